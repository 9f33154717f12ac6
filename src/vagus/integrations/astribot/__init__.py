"""The Astribot S1: its gRPC messages, its session, its layouts, and the robot itself through its SDK."""
