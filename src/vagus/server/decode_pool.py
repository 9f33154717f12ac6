"""Threads that turn bytes into arrays; each client gets its share of their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from vagus.server.fair_queue import FairQueue
from vagus.server.threads import Threads
from vagus.thread_pool import ThreadPool

__all__ = ["DecodePool"]

ItemT = TypeVar("ItemT")

CAPACITY = 1 << 16
"""More than sessions; each has one request at a time."""


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
