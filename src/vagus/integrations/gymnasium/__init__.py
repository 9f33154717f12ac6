"""Gymnasium environments as robots."""
