"""Any LeRobot policy as a policy of ours. Needs LeRobot; loaded by name."""
