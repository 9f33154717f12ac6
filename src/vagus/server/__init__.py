"""Server: one policy for many robots."""
