"""Fair queue of the clients' items, with its threads: who used the least time is next.

First the tenant, by its weight, and of its clients the one that used the least.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.server.tenants import Tenant
from vagus.threads import ThreadPool, Threads

__all__ = ["Allowance", "DecodePool", "FairQueue", "Shares", "Waiting"]

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

    def add(self, client: str, cost_ns: int, now_ns: int, *, weight: float = 1.0) -> None:
        """Add `cost_ns` to the use by a client, at most one half-life (the machine may have slept).

        With a weight, a part of it counts: who has weight 2 is as well off as others with half of its use.
        """
        counted = min(cost_ns, self._half_life_ns) / weight
        self._used[client] = (self.used_ns(client, now_ns) + counted, now_ns)
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


@dataclass(frozen=True, slots=True)
class Waiting(Generic[ItemT]):
    """An item that waits: whose it is, and its size in bytes."""

    tenant: Tenant
    client: str
    item: ItemT
    size: int = 0


class FairQueue(Generic[ItemT]):
    """Queue of the clients' items for worker threads; who used the least of their time is next.

    Args:
        clock: monotonic clock.
        per_client: largest number of waiting items of one client.
        capacity: largest number of waiting items of all clients.
        per_tenant: largest number of waiting items of one tenant's clients; None: as of all.
    """

    def __init__(
        self, clock: Clock, *, per_client: int, capacity: int, per_tenant: int | None = None
    ) -> None:
        self._clock = clock
        self._per_client = per_client
        self._per_tenant = capacity if per_tenant is None else per_tenant
        self._capacity = capacity
        self._changed = threading.Condition()
        self._of_tenants = Shares()
        self._of_clients = Shares()
        self._waiting: dict[str, dict[str, deque[Waiting[ItemT]]]] = {}
        """Tenant → client → its items. None is empty."""
        self._counts: Counter[str] = Counter()
        """Tenant → number of its items."""
        self._is_closed = False

    def put(self, waiting: Waiting[ItemT]) -> bool:
        """Add an item; return False if the queue is full or closed."""
        tenant, client = waiting.tenant.name, waiting.client
        with self._changed:
            clients = self._waiting.get(tenant, {})
            if self._is_closed or self._is_full(tenant, len(clients.get(client, ()))):
                return False
            self._waiting.setdefault(tenant, clients).setdefault(client, deque()).append(waiting)
            self._counts[tenant] += 1
            self._changed.notify()
        return True

    def _is_full(self, tenant: str, of_client: int) -> bool:
        is_tenant_full = self._counts[tenant] >= self._per_tenant
        return is_tenant_full or of_client >= self._per_client or self._counts.total() >= self._capacity

    def take(self) -> Waiting[ItemT] | None:
        """Wait for the next item and return it; None: the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or bool(self._waiting))
            if self._is_closed:
                return None
            now_ns = self._clock.now_ns()
            firsts = ((tenant, min(map(_first_size, of.values()))) for tenant, of in self._waiting.items())
            tenant = self._of_tenants.least(firsts, now_ns)
            clients = self._waiting[tenant]
            wishes = ((client, _first_size(items)) for client, items in clients.items())
            client = self._of_clients.least(wishes, now_ns)
            return self._pop(tenant, client)

    def _pop(self, tenant: str, client: str) -> Waiting[ItemT]:
        clients = self._waiting[tenant]
        taken = clients[client].popleft()
        self._counts[tenant] -= 1
        if not clients[client]:
            del clients[client]
        if not clients:
            del self._waiting[tenant], self._counts[tenant]
        return taken

    def used(self, taken: Waiting[ItemT], cost_ns: int) -> None:
        """Note the time that the work on an item took."""
        tenant = taken.tenant
        with self._changed:
            now_ns = self._clock.now_ns()
            self._of_tenants.add(tenant.name, cost_ns, now_ns, weight=tenant.weight)
            self._of_clients.add(taken.client, cost_ns, now_ns)

    def close(self) -> None:
        """Close the queue; waiting items are dropped."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._counts.clear()
            self._changed.notify_all()


def _first_size(items: deque[Waiting[ItemT]]) -> int:
    return items[0].size


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

    def put(self, tenant: Tenant, client: str, item: ItemT) -> None:
        """Add an item of a client to the queue."""
        self._queue.put(Waiting(tenant, client, item))

    def stop(self, timeout_s: float) -> None:
        """End the threads; waiting items are dropped."""
        self._queue.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout_s)
        self.helpers.close()

    def _run(self) -> None:
        while (taken := self._queue.take()) is not None:
            begin_ns = self._clock.now_ns()
            with self._group.going_on("decoding a request"):
                self._work(taken.item)
            self._queue.used(taken, self._clock.now_ns() - begin_ns)
