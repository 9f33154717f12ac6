"""Queue of session requests, which are answered one by one on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.fair_queue import Allowance, FairQueue, Waiting
from vagus.server.tenants import TenantTable
from vagus.threads import Threads
from vagus.transport.link import Query

__all__ = ["OPENS_PER_S", "SessionRequests"]

OPEN_BURST = 40
"""Requests at once from one client: it opens and closes, and its link may be lost repeatedly."""
OPENS_PER_S = 4.0
"""Requests per second from one client, in the long run."""
PER_CLIENT = 4
CAPACITY = 256
"""Largest number of waiting requests, of one client and of all clients."""
REST = 3
"""Pause after a request, as a multiple of its duration: all requests take at most a quarter of a core."""
LONG_NS = 2 * NS_PER_MS
MAX_REST_S = 0.2
"""Longest pause, in case the machine slept during a request."""


class SessionRequests:
    """Queue of session requests. `put` is called on the link's threads and returns at once.

    Args:
        work: function that answers one request; if it raises, only this request is lost.
        tenants: who belongs to whom; each tenant has an equal part of the places.
        threads: the threads of the server, to which this thread is added, and their clock.
    """

    def __init__(self, work: Callable[[Query], None], tenants: TenantTable, threads: Threads) -> None:
        self._work = work
        self._group = threads
        self._clock = threads.clock
        self._lock = threading.Lock()
        self._allowance = Allowance(burst=OPEN_BURST, per_s=OPENS_PER_S)
        self._tenants = tenants
        self._queue: FairQueue[Query] = FairQueue(
            threads.clock,
            per_client=PER_CLIENT,
            capacity=CAPACITY,
            per_tenant=CAPACITY // max(len(tenants.labels), 1),
        )
        self._stopping = threading.Event()
        self._thread = threads.make("vagus-sessions", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, client: str, query: Query) -> bool:
        """Add a request of a client; return False if it asks too often or too many requests wait."""
        with self._lock:
            is_allowed = self._allowance.take(client, self._clock.now_ns())
        waiting = Waiting(self._tenants.of(client), client, query, len(query.payload))
        return is_allowed and self._queue.put(waiting)

    def stop(self, timeout_s: float) -> None:
        """End the thread; waiting requests get no answer."""
        self._stopping.set()
        self._queue.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (taken := self._queue.take()) is not None:
            begin_ns = self._clock.now_ns()
            with self._group.going_on("answering a session request"):
                self._work(taken.item)
            took_ns = self._clock.now_ns() - begin_ns
            self._queue.used(taken, took_ns)
            if took_ns > LONG_NS:
                self._stopping.wait(min(REST * took_ns / NS_PER_S, MAX_REST_S))
