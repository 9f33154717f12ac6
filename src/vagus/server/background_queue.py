"""Bounded queue with one worker thread, for slow work; items that do not fit are counted as lost."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from vagus.threads import Threads

__all__ = ["BackgroundQueue", "QueueLimits"]

ItemT = TypeVar("ItemT")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits of the items that wait.

    Attributes:
        counts: largest number of items of each rank.
        max_bytes: largest size of all items of a rank; a single item is always accepted.
    """

    counts: tuple[int, ...]
    max_bytes: int


class BackgroundQueue(Generic[ItemT]):
    """Queue that accepts items from any thread without waiting and calls `work` with them on its own thread.

    Items of a lower rank come first; items of one rank keep their order.

    Args:
        name: name of the thread.
        work: function for one item; if it raises, only this item is lost.
        threads: the threads of the server, to which this thread is added.
        limits: limits of the items that wait; further items are dropped.
        on_lost: called with "full" for a dropped item, and with "error" if `work` failed.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[ItemT], None],
        *,
        threads: Threads,
        limits: QueueLimits,
        on_lost: Callable[[str], None],
    ) -> None:
        self._name = name
        self._work = work
        self._limits = limits
        self._on_lost = on_lost
        self._changed = threading.Condition()
        self._items: tuple[deque[tuple[ItemT, int]], ...] = tuple(deque() for _ in limits.counts)
        self._waiting_bytes = [0 for _ in limits.counts]
        self._is_ending = False
        self._thread = threads.make(name, self._run)
        self._has_failed = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: ItemT, *, rank: int = 0, size_bytes: int = 0) -> bool:
        """Add an item; return False if it was dropped."""
        with self._changed:
            is_taken = self._has_room(rank, size_bytes)
            if is_taken:
                self._items[rank].append((item, size_bytes))
                self._waiting_bytes[rank] += size_bytes
                self._changed.notify()
        if not is_taken:
            self._on_lost("full")
        return is_taken

    def stop(self, timeout_s: float) -> None:
        """Process the waiting items for at most `timeout_s`, and end the thread."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        if self._thread.ident is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("%s is stuck; what waits there is lost", self._name)

    def _has_room(self, rank: int, size_bytes: int) -> bool:
        waiting = self._items[rank]
        is_too_large = bool(waiting) and self._waiting_bytes[rank] + size_bytes > self._limits.max_bytes
        return len(waiting) < self._limits.counts[rank] and not is_too_large

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._work_on(item[0])

    def _next(self) -> tuple[ItemT, int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or any(self._items))
            rank = next((rank for rank, items in enumerate(self._items) if items), None)
            if rank is None:
                return None
            item = self._items[rank].popleft()
            self._waiting_bytes[rank] -= item[1]
            return item

    def _work_on(self, item: ItemT) -> None:
        try:
            self._work(item)
        except BaseException:
            self._on_lost("error")
            if not self._has_failed:  # once: a full disk must not fill the log as well
                logger.exception("%s failed; further failures are counted only", self._name)
            self._has_failed = True
