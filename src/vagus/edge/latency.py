"""How long a request takes, as the worst of the last few: a spike counts, and is forgotten again."""

from __future__ import annotations

from collections import deque

__all__ = ["LatencyWindow"]

DEFAULT_SIZE = 10
"""Replies remembered: about ten seconds of a policy that is asked once a second."""


class LatencyWindow:
    """The last few round trips, capture to reply, in nanoseconds."""

    def __init__(self, size: int = DEFAULT_SIZE, *, initial_ns: int = 0) -> None:
        """Start with `initial_ns` as the answer until the first round trip is known."""
        self._samples: deque[int] = deque(maxlen=size)
        self._initial_ns = initial_ns

    def add(self, round_trip_ns: int) -> None:
        """Remember one round trip; the oldest beyond the window is forgotten."""
        self._samples.append(max(0, round_trip_ns))

    @property
    def windowed_ns(self) -> int:
        """Worst round trip of the window.

        A short guess makes the robot act on a chunk that assumed less delay; a long one only costs a little
        freshness.
        """
        return max(self._samples, default=self._initial_ns)

    @property
    def fastest_ns(self) -> int:
        """Best round trip of the window, 0 before the first: no reply is to be expected sooner."""
        return min(self._samples, default=0)

    @property
    def newest_ns(self) -> int | None:
        """Last round trip, or None before the first."""
        return self._samples[-1] if self._samples else None
