"""Keys, delivery classes and links."""
