"""Time as an argument: the clock that shells read and tests replace.

Every internal time is an int of monotonic nanoseconds, meaningful on one machine only.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["NS_PER_MS", "NS_PER_S", "Clock", "MonotonicClock", "seconds_to_ns"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def seconds_to_ns(seconds: float) -> int:
    """Return `seconds` as whole nanoseconds."""
    return round(seconds * NS_PER_S)


class Clock(Protocol):
    """A monotonic clock that can also wait."""

    def now_ns(self) -> int:
        """Return monotonic nanoseconds; the zero point is arbitrary."""
        ...

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        """Return at `deadline_ns`, or as soon as `stop` is set."""
        ...


class MonotonicClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        """Sleep to `deadline_ns`; a set `stop` ends the wait at once."""
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0:
            stop.wait(remaining_ns / NS_PER_S)
