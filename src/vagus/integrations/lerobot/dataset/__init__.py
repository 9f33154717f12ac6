"""Recording of a run as a LeRobotDataset, by a process of its own."""
