"""LeRobot's asynchronous inference over gRPC: its bytes, without torch, LeRobot or pickle."""
