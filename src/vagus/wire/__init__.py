"""Messages and bytes: what travels between robot and server."""
