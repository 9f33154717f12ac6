"""A bounded queue with one thread behind it: what is slow happens there, and what is too much is counted."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Spool"]

ItemT = TypeVar("ItemT")

logger = logging.getLogger(__name__)


class Spool(Generic[ItemT]):
    """Takes items from any thread without waiting and gives them to `work` on its own thread, in order.

    Args:
        name: of the thread.
        work: what to do with an item; an exception costs that item only.
        capacity: items that may wait; more are dropped.
        on_drop: called for each item that was dropped.
        on_error: called for each item that `work` failed on.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[ItemT], None],
        *,
        capacity: int,
        on_drop: Callable[[], None],
        on_error: Callable[[], None],
    ) -> None:
        self._name = name
        self._work = work
        self._on_drop = on_drop
        self._on_error = on_error
        self._items: queue.Queue[ItemT | None] = queue.Queue(capacity)
        self._thread: threading.Thread | None = None
        self._has_failed = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def put(self, item: ItemT) -> bool:
        """Hand over an item; False: it was dropped."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self._on_drop()
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """Work off what waits, at most for `timeout_s`, and end the thread."""
        if self._thread is None:
            return
        try:
            self._items.put(None, timeout=timeout_s)
        except queue.Full:
            logger.warning("%s is stuck; what waits there is lost", self._name)
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._work_on(item)

    def _work_on(self, item: ItemT) -> None:
        try:
            self._work(item)
        except Exception:
            self._on_error()
            if not self._has_failed:  # once: a full disk must not fill the log as well
                logger.exception("%s failed; further failures are counted only", self._name)
            self._has_failed = True
