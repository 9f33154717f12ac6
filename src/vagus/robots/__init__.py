"""Robots: the protocol of a robot, and robots that are loaded by name."""
