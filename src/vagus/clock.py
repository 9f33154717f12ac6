"""Monotonic clock, given to the code as an argument, so that tests can replace it.

Every internal time is an int of monotonic nanoseconds, valid on one machine only. Time in which the machine
slept counts, because a plan gets older in it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

__all__ = [
    "NS_PER_MS",
    "NS_PER_S",
    "Clock",
    "MonotonicClock",
    "monotonic_ns",
    "seconds_left",
    "seconds_to_ns",
]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

COUNTS_SLEEP = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC_RAW"}
"""Clock that continues while the machine sleeps. Python's `time.monotonic` stands still then on both systems:
it is CLOCK_MONOTONIC on Linux, and mach_absolute_time (CLOCK_UPTIME_RAW) on macOS."""


def _sleepless(platform: str) -> Callable[[], int]:
    """Return a function that reads the clock that counts sleep; without such a clock, `time.monotonic_ns`."""
    number = getattr(time, COUNTS_SLEEP.get(platform, ""), None)
    return time.monotonic_ns if number is None else partial(time.clock_gettime_ns, number)


monotonic_ns = _sleepless(sys.platform)
"""Function that returns the monotonic nanoseconds of this machine, sleep included."""


def seconds_left(end_ns: int) -> float:
    """Return the seconds until `end_ns` of `monotonic_ns`, 0 after it."""
    return max(end_ns - monotonic_ns(), 0) / NS_PER_S


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
    """The machine's monotonic clock, sleep included."""

    def now_ns(self) -> int:
        """Return `monotonic_ns()`."""
        return monotonic_ns()

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        """Sleep until `deadline_ns`; a set `stop` ends the wait at once.

        If the machine itself sleeps meanwhile, the wait may end later, never earlier.
        """
        while not stop.is_set():
            remaining_ns = deadline_ns - monotonic_ns()
            if remaining_ns <= 0:
                return
            stop.wait(remaining_ns / NS_PER_S)
