"""Demo: a simulated arm, and `reach`, a small policy for it. Needs only numpy."""
