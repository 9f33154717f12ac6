"""GR00T's ZeroMQ protocol."""
