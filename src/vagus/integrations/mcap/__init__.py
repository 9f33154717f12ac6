"""Recordings as MCAP files, which Foxglove and other tools open."""
