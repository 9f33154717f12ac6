"""Who gets the next piece of a thing that all clients share: whoever used least of it lately."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock

__all__ = ["Allowance", "FairQueue", "Shares"]

ItemT = TypeVar("ItemT")

HALF_LIFE_NS = 2 * NS_PER_S
"""After this time half of what a client used is forgotten."""
MAX_CLIENTS = 1024
"""Clients remembered; the names are theirs to choose."""


class Shares:
    """How much each client used lately. Pure; not thread-safe."""

    def __init__(self, half_life_ns: int = HALF_LIFE_NS) -> None:
        self._half_life_ns = half_life_ns
        self._used: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def used_ns(self, client: str, now_ns: int) -> float:
        """Return what a client used, less what is forgotten."""
        amount, at_ns = self._used.get(client, (0.0, now_ns))
        return float(amount * 0.5 ** ((now_ns - at_ns) / self._half_life_ns))

    def add(self, client: str, cost_ns: int, now_ns: int) -> None:
        """Note that a client used `cost_ns`."""
        self._used[client] = (self.used_ns(client, now_ns) + cost_ns, now_ns)
        self._used.move_to_end(client)
        if len(self._used) > MAX_CLIENTS:
            self._used.popitem(last=False)

    def least(self, clients: Iterable[tuple[str, int]], now_ns: int) -> str:
        """Return the client of (client, size of its wish) that used least; of equals the smallest wish."""
        return min(clients, key=lambda wish: (self.used_ns(wish[0], now_ns), wish[1]))[0]


class Allowance:
    """So many at once, then so many per second, for each client. Pure; not thread-safe.

    Args:
        burst: allowed at once to a client that has been quiet.
        per_s: allowed for ever.
    """

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, client: str, now_ns: int) -> bool:
        """Use one up; False: there is none left, and nothing changes."""
        left, at_ns = self._left.get(client, (float(self._burst), now_ns))
        left = min(left + (now_ns - at_ns) / NS_PER_S * self._per_s, self._burst)
        is_allowed = left >= 1
        self._left[client] = (left - is_allowed, now_ns)
        self._left.move_to_end(client)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return is_allowed


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
