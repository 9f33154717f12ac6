"""Bound on the processor time that requests may take before a robot stands behind them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from vagus.clock import NS_PER_MS, NS_PER_S

__all__ = ["Entrance"]

FREE_NS = 2 * NS_PER_MS
"""Processor time in which a request may be read without a pause: ten times that of one with two pictures."""
PAUSE_PER_WORK = 4
"""Pause for each second of work beyond that: whoever sends what is slow to read gets a fifth of a core."""


class Entrance:
    """Serves clients that have no robot one at a time, and slows down whoever sends what is slow to read.

    Python runs one thread at a time: without this, a few connections that send nothing but long lists would
    keep every robot waiting.

    Args:
        work_ns: processor time of the calling thread.
        pause: waits for so many seconds.
    """

    def __init__(
        self, work_ns: Callable[[], int] = time.thread_time_ns, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._work_ns = work_ns
        self._pause = pause
        self._strangers = threading.Lock()

    @contextmanager
    def turn(self, *, is_known: bool) -> Iterator[None]:
        """Work on a request inside; `is_known`: for a client that has a robot at the gateway."""
        with nullcontext() if is_known else self._strangers:
            begin_ns = self._work_ns()
            try:
                yield
            finally:
                over_ns = self._work_ns() - begin_ns - FREE_NS
                if over_ns > 0:
                    self._pause(PAUSE_PER_WORK * over_ns / NS_PER_S)
