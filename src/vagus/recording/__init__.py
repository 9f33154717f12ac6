"""Recorders: what a run leaves on disk, in which format."""
