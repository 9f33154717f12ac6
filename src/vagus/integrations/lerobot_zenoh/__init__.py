"""LeRobot's remote inference over Zenoh: version 1, and the draft before it."""
