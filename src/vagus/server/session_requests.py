"""Works on session requests one by one, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.fair_queue import Allowance, FairQueue
from vagus.threads import Threads
from vagus.transport.link import Query

__all__ = ["OPENS_PER_S", "SessionRequests"]

OPEN_BURST = 40
"""Requests at once from one client: it opens and closes, and its link may flap."""
OPENS_PER_S = 4.0
"""Requests per second from one client, for ever."""
PER_CLIENT = 4
CAPACITY = 256
"""Requests that wait, of one client and of all."""
REST = 3
"""Times that the desk rests after a long piece of work: all opens together take a quarter of a core."""
LONG_NS = 2 * NS_PER_MS
MAX_REST_S = 0.2
"""The machine may have been asleep."""


class SessionRequests:
    """Takes session requests on the link's threads and returns at once.

    Args:
        work: answers one; whatever it raises costs that request only.
        threads: where the thread belongs, and its clock.
    """

    def __init__(self, work: Callable[[Query], None], threads: Threads) -> None:
        self._work = work
        self._group = threads
        self._clock = threads.clock
        self._lock = threading.Lock()
        self._allowance = Allowance(burst=OPEN_BURST, per_s=OPENS_PER_S)
        self._queue: FairQueue[Query] = FairQueue(threads.clock, per_client=PER_CLIENT, capacity=CAPACITY)
        self._stopping = threading.Event()
        self._thread = threads.make("vagus-sessions", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, client: str, query: Query) -> bool:
        """Let a request of a client wait for its turn; False: the client asks too often, or too many wait."""
        with self._lock:
            is_allowed = self._allowance.take(client, self._clock.now_ns())
        return is_allowed and self._queue.put(client, query, size=len(query.payload))

    def stop(self, timeout_s: float) -> None:
        """End the thread; what waits is not answered."""
        self._stopping.set()
        self._queue.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (taken := self._queue.take()) is not None:
            client, query = taken
            begin_ns = self._clock.now_ns()
            with self._group.going_on("answering a session request"):
                self._work(query)
            took_ns = self._clock.now_ns() - begin_ns
            self._queue.used(client, took_ns)
            if took_ns > LONG_NS:
                self._stopping.wait(min(REST * took_ns / NS_PER_S, MAX_REST_S))
