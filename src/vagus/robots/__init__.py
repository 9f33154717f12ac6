"""Robots, loaded by name."""
