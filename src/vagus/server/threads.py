"""Threads that last as long as their server: a failure costs one piece of work, and an end is noticed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vagus.clock import NS_PER_S, Clock
from vagus.repeats import Repeats
from vagus.threads import Supervised

__all__ = ["Threads"]

INTERVAL_NS = 10 * NS_PER_S
"""One kind of failure is told with its traceback at most this often."""
MAX_KINDS = 64

logger = logging.getLogger(__name__)


class Threads:
    """The threads of one server. Any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._failures: Repeats[tuple[str, str]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_KINDS)
        self._ended: list[str] = []

    def make(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Return a thread, not started, that is to work until it is told to end.

        One that ends by an error is told of and stays in `ended`.
        """

        def note(_: BaseException) -> None:
            with self._lock:
                self._ended.append(name)

        return Supervised(work, name=name, on_fault=note, is_repeated=False)

    @property
    def ended(self) -> str:
        """Which threads have ended though nobody told them to; "" while none has."""
        with self._lock:
            return ", ".join(self._ended)

    @contextmanager
    def going_on(self, what: str) -> Iterator[None]:
        """Run one piece of work; whatever it raises costs this piece only, and is told.

        Even what is no Exception: where code of others runs, an asyncio.CancelledError or a SystemExit
        is its failure, not an order to us.
        """
        try:
            yield
        except BaseException as error:
            with self._lock:
                repeat = self._failures.note((what, type(error).__name__), self.clock.now_ns())
            if repeat is not None:
                logger.exception("%s failed (%d times since it was told last)", what, repeat.count)
