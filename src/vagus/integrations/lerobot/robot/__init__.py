"""LeRobot robots as robots of vagus. Needs LeRobot; loaded by name."""
