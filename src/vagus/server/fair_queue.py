"""Fair queue of the clients' work and the threads that do it: the client that used the least time is next."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.threads import ThreadPool, Threads

__all__ = ["Allowance", "DecodePool", "FairQueue", "Shares"]

HALF_LIFE_NS = 2 * NS_PER_S
"""After this time half of what a client used is forgotten."""
MAX_CLIENTS = 1024
"""Clients remembered; the names are theirs to choose."""
CAPACITY = 1 << 16
"""Requests to be decoded; more than sessions, and each has one at a time."""

ItemT = TypeVar("ItemT")


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
        """Note that a client used `cost_ns`; more than a half-life at once is the machine's fault."""
        self._used[client] = (self.used_ns(client, now_ns) + min(cost_ns, self._half_life_ns), now_ns)
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


class DecodePool(Generic[ItemT]):
    """Runs `work` on what clients put in, on as many threads as there are workers.

    Args:
        workers: threads, and as many helpers for the frames of one request.
        work: what to do with an item; whatever it raises costs that item only.
        threads: where the threads belong, and their clock.
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
        """Let an item of a client wait for its turn."""
        self._queue.put(client, item)

    def stop(self, timeout_s: float) -> None:
        """End the threads; what waits is dropped."""
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
