"""The draft of LeRobot's remote inference: a 27-byte attachment beside each message."""
