"""LeRobot: its policies served, its robots driven, its rollout with a served policy, its datasets."""
