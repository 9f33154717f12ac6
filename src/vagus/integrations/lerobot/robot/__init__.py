"""Any LeRobot robot as a robot of ours. Needs LeRobot; loaded by name."""
