"""The Python face: serves, asks and drives from programs of your own what the commands do."""
