"""The rule `execute_horizon: auto`: how soon after an observation a robot asks for the next chunk (pure).

What a robot plays is as old as the delay and, on average, half of the time between two of its observations.
To ask sooner makes it fresher, until an answer is always under way; but one server, its device and its
processor, serves many robots.
"""

from __future__ import annotations

import math

from vagus.clock import NS_PER_S

__all__ = ["DEVICE_SHARE", "fair_interval_ns", "observe_steps", "processor_time_s"]

CONTINUED_PART = 8
"""A chunk that continues the running plan is replaced after this part of its steps; sooner wins little."""
REPLACED_PART = 4
"""The same for a chunk that knows nothing of the plan: each change may lead elsewhere."""
DEVICE_SHARE = 0.5
"""Share of the device that all robots together use, as far as they ask sooner than they must. A device that
carries 27 robots which ask by their buffer carries 27 with half of it, and 18 with 0.8. The same share of
the processor leaves room for those that ask at the same moment."""
OVERHEAD_S = 0.0003
"""Processor time of a request besides decoding: docs/benchmarks/server.md, 64 sessions with a state alone."""
LONGEST_S = 1e6
"""Longest time for one request that is believed of a server."""
MAX_SESSIONS = 100_000
"""Most sessions of a server that are believed."""


def observe_steps(horizon: int, *, continues_plan: bool) -> int:
    """Return the steps from an observation to the next one that is worth a request, at least 1.

    Args:
        horizon: actions in a chunk.
        continues_plan: chunks continue the running plan (real-time chunking).
    """
    return max(math.ceil(horizon / (CONTINUED_PART if continues_plan else REPLACED_PART)), 1)


def processor_time_s(decode_per_s: float) -> float:
    """Return the time that a server's processor needs for one request, in seconds; 0: not known.

    Args:
        decode_per_s: observations that its decoders take in a second, all together; 0 or NaN: not known.
    """
    if not decode_per_s > 0:
        return 0.0
    return min(1 / decode_per_s, LONGEST_S) + OVERHEAD_S


def fair_interval_ns(row_ns: float, sessions: int, *, processor_s: float = 0.0) -> int:
    """Return the time between two requests at which a robot uses no more than its part of the server.

    A request costs as much as the scarcer of the two, device or processor, needs for it.

    Args:
        row_ns: time of the device for one request: that of a batch by its rows.
        sessions: robots that the server serves, this one included.
        processor_s: time of its processor for one request, in seconds; 0: not known.
    """
    request_s = max(0.0, row_ns / NS_PER_S, processor_s)  # in this order NaN is nothing
    return round(min(request_s, LONGEST_S) * NS_PER_S * min(max(sessions, 1), MAX_SESSIONS) / DEVICE_SHARE)
