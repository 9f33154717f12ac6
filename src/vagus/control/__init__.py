"""The control loop: robot protocol, limits, interpolation, recording."""
