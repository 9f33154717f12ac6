"""Trials: episodes of a world under a delay, through the real engine on a simulated clock."""
