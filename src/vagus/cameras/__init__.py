"""Cameras: intrinsics, where one stands, and the files of both."""
