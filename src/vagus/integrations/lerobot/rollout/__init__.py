"""LeRobot's own rollout, driven by a served policy. Needs LeRobot; loaded by name."""
