"""Messages between robot and server, and their encoding as bytes."""
