"""Fair queue of the clients' work: the client that used the least time is next."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from vagus.clock import Clock
from vagus.server.shares import Shares

__all__ = ["FairQueue"]

ItemT = TypeVar("ItemT")


class FairQueue(Generic[ItemT]):
    """What clients want done, for threads that do it: the client that used least of their time is next.

    Args:
        clock: monotonic.
        per_client: items of one client that may wait.
        capacity: items of all clients that may wait.
    """

    def __init__(self, clock: Clock, *, per_client: int, capacity: int) -> None:
        self._clock = clock
        self._per_client = per_client
        self._capacity = capacity
        self._changed = threading.Condition()
        self._shares = Shares()
        self._waiting: dict[str, deque[tuple[ItemT, int]]] = {}
        self._is_closed = False

    def put(self, client: str, item: ItemT, *, size: int = 0) -> bool:
        """Let an item wait; False: there is no room for it, or nobody works any more."""
        with self._changed:
            count = sum(len(items) for items in self._waiting.values())
            own = self._waiting.get(client, ())
            if self._is_closed or count >= self._capacity or len(own) >= self._per_client:
                return False
            self._waiting.setdefault(client, deque()).append((item, size))
            self._changed.notify()
        return True

    def take(self) -> tuple[str, ItemT] | None:
        """Wait for the next item and return it with its client; None: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or bool(self._waiting))
            if self._is_closed:
                return None
            wishes = ((client, items[0][1]) for client, items in self._waiting.items())
            client = self._shares.least(wishes, self._clock.now_ns())
            items = self._waiting[client]
            item, _ = items.popleft()
            if not items:
                del self._waiting[client]
            return client, item

    def used(self, client: str, cost_ns: int) -> None:
        """Note what the work for a client took."""
        with self._changed:
            self._shares.add(client, cost_ns, self._clock.now_ns())

    def close(self) -> None:
        """End it; what waits is forgotten."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
