"""The demo: a simulated arm, and `reach`, a small policy that drives it. Numpy only."""
