"""A run recorded as a LeRobotDataset, by a process of its own."""
