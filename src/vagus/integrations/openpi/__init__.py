"""openpi's WebSocket protocol."""
