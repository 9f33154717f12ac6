"""Recorders of runs on disk, and their formats."""
