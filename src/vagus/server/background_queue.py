"""A bounded queue with one thread behind it: what is slow happens there, and what is too much is counted."""

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
    """What may wait.

    Attributes:
        counts: items of each rank.
        max_bytes: size of all items of a rank; one alone is always taken.
    """

    counts: tuple[int, ...]
    max_bytes: int


class BackgroundQueue(Generic[ItemT]):
    """Takes items from any thread without waiting and gives them to `work` on its own thread.

    Items of a lower rank come first, those of one rank in order.

    Args:
        name: of the thread.
        work: what to do with an item; whatever it raises costs that item only.
        threads: where the thread belongs.
        limits: what may wait; more is dropped.
        on_lost: called with "full" for an item that was dropped, with "error" for one that `work` failed on.
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
        """Hand over an item; False: it was dropped."""
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
        """Work off what waits, at most for `timeout_s`, and end the thread."""
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
