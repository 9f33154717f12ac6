"""Recordings and running robots in the Rerun viewer."""
