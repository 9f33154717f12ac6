"""LeRobot policies as policies of vagus. Needs LeRobot; loaded by name."""
