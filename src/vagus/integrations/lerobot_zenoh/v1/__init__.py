"""Version 1 of LeRobot's remote inference: its messages, and the arithmetic of its cursors."""
