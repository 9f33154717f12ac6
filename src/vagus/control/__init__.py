"""The control loop: readings, motion within limits, fallbacks, watchdog."""
