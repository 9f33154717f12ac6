"""The rule `execute_horizon: auto`: how soon after an observation a robot asks for the next chunk (pure).

What a robot plays is as old as the delay and, on average, half of the time between two of its observations.
To ask sooner makes it fresher, until an answer is always under way; but one device serves many robots.
"""

from __future__ import annotations

import math

__all__ = ["DEVICE_SHARE", "fair_interval_ns", "observe_steps"]

CONTINUED_PART = 8
"""A chunk that continues the running plan is replaced after this part of its steps; sooner wins little."""
REPLACED_PART = 4
"""The same for a chunk that knows nothing of the plan: each change may lead elsewhere."""
DEVICE_SHARE = 0.5
"""Share of the device that all robots together use, as far as they ask sooner than they must. A device that
carries 27 robots which ask by their buffer carries 27 with half of it, and 18 with 0.8."""
MAX_SESSIONS = 100_000
"""Most sessions of a server that are believed."""


def observe_steps(horizon: int, *, continues_plan: bool) -> int:
    """Return the steps from an observation to the next one that is worth a request, at least 1.

    Args:
        horizon: actions in a chunk.
        continues_plan: chunks continue the running plan (real-time chunking).
    """
    return max(math.ceil(horizon / (CONTINUED_PART if continues_plan else REPLACED_PART)), 1)


def fair_interval_ns(row_ns: float, sessions: int) -> int:
    """Return the time between two requests at which a robot uses no more than its part of the device.

    Args:
        row_ns: time of the device for one request: that of a batch by its rows.
        sessions: robots that the device serves, this one included.
    """
    return round(max(row_ns, 0.0) * min(max(sessions, 1), MAX_SESSIONS) / DEVICE_SHARE)
