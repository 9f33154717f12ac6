"""Fair queue of the clients' items, with its threads: the client that used the least time is next."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.threads import ThreadPool, Threads

__all__ = ["Allowance", "DecodePool", "FairQueue", "Shares"]

HALF_LIFE_NS = 2 * NS_PER_S
"""Half-life of a client's use: after this time, half of it is forgotten."""
MAX_CLIENTS = 1024
"""Largest number of clients that are remembered, because clients choose their names."""
CAPACITY = 1 << 16
"""Largest number of waiting requests: more than sessions, of which each has one request at a time."""

ItemT = TypeVar("ItemT")


class Shares:
    """Recent use by each client. Pure; not thread-safe."""

    def __init__(self, half_life_ns: int = HALF_LIFE_NS) -> None:
        self._half_life_ns = half_life_ns
        self._used: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def used_ns(self, client: str, now_ns: int) -> float:
        """Return the recent use by a client."""
        amount, at_ns = self._used.get(client, (0.0, now_ns))
        return float(amount * 0.5 ** ((now_ns - at_ns) / self._half_life_ns))

    def add(self, client: str, cost_ns: int, now_ns: int) -> None:
        """Add `cost_ns` to the use by a client, at most one half-life (the machine may have slept)."""
        self._used[client] = (self.used_ns(client, now_ns) + min(cost_ns, self._half_life_ns), now_ns)
        self._used.move_to_end(client)
        if len(self._used) > MAX_CLIENTS:
            self._used.popitem(last=False)

    def least(self, clients: Iterable[tuple[str, int]], now_ns: int) -> str:
        """Return the client with the least use of (client, size of its request); if equal, the smallest."""
        return min(clients, key=lambda wish: (self.used_ns(wish[0], now_ns), wish[1]))[0]


class Allowance:
    """Rate limit per client: a burst, then a rate per second. Pure; not thread-safe.

    Args:
        burst: number allowed at once after a pause.
        per_s: number allowed per second in the long run.
    """

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, client: str, now_ns: int) -> bool:
        """Use one; return False, without a change, if none is left."""
        left, at_ns = self._left.get(client, (float(self._burst), now_ns))
        left = min(left + (now_ns - at_ns) / NS_PER_S * self._per_s, self._burst)
        is_allowed = left >= 1
        self._left[client] = (left - is_allowed, now_ns)
        self._left.move_to_end(client)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return is_allowed


class FairQueue(Generic[ItemT]):
    """Queue of the clients' items for worker threads; the client that used the least of their time is next.

    Args:
        clock: monotonic clock.
        per_client: largest number of waiting items of one client.
        capacity: largest number of waiting items of all clients.
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
        """Add an item; return False if the queue is full or closed."""
        with self._changed:
            count = sum(len(items) for items in self._waiting.values())
            own = self._waiting.get(client, ())
            if self._is_closed or count >= self._capacity or len(own) >= self._per_client:
                return False
            self._waiting.setdefault(client, deque()).append((item, size))
            self._changed.notify()
        return True

    def take(self) -> tuple[str, ItemT] | None:
        """Wait for the next item and return it with its client; None: the queue is closed."""
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
        """Note the time that the work for a client took."""
        with self._changed:
            self._shares.add(client, cost_ns, self._clock.now_ns())

    def close(self) -> None:
        """Close the queue; waiting items are dropped."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()


class DecodePool(Generic[ItemT]):
    """Pool of threads that call `work` with the items of clients.

    Args:
        workers: number of threads, and of helpers for the frames of one request.
        work: function for one item; if it raises, only this item is lost.
        threads: the threads of the server, to which these threads are added, and their clock.
    """

    def __init__(self, workers: int, work: Callable[[ItemT], None], threads: Threads) -> None:
        self._work = work
        self._group = threads
        self._clock = threads.clock
        self._queue: FairQueue[ItemT] = FairQueue(threads.clock, per_client=CAPACITY, capacity=CAPACITY)
        self._threads = [threads.make(f"vagus-decode-{number}", self._run) for number in range(workers)]
        self.helpers = ThreadPool(workers, "vagus-frames")

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, client: str, item: ItemT) -> None:
        """Add an item of a client to the queue."""
        self._queue.put(client, item)

    def stop(self, timeout_s: float) -> None:
        """End the threads; waiting items are dropped."""
        self._queue.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout_s)
        self.helpers.close()

    def _run(self) -> None:
        while (taken := self._queue.take()) is not None:
            client, item = taken
            begin_ns = self._clock.now_ns()
            with self._group.going_on("decoding a request"):
                self._work(item)
            self._queue.used(client, self._clock.now_ns() - begin_ns)
