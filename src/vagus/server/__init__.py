"""The server: one policy, many robots."""
