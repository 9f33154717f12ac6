"""Replay of recorded data: captures to a server, sessions as a policy, as a robot, on another network."""
