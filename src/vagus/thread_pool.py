"""Threads that help with a few pieces of work that release the interpreter, such as coding camera frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ThreadPool"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class ThreadPool:
    """Helpers beside the calling thread. They are started when they are first needed."""

    def __init__(self, helpers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix=name)

    def map(self, work: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        """Return `work(item)` for each item, in order; what it raises is raised.

        The caller works too, and waits for nothing that no helper has begun: on busy cores, where a helper
        may sleep for milliseconds before it runs, this is a plain loop.
        """
        everything = list(items)
        if not everything:
            return []
        first, *rest = everything
        begun = [self._pool.submit(work, item) for item in reversed(rest)][::-1]  # helpers begin at the end
        try:
            results = [work(first)]
            for item, future in zip(rest, begun, strict=True):
                results.append(work(item) if future.cancel() else future.result())
        finally:
            for future in begun:
                future.cancel()
        return results

    def close(self) -> None:
        """End the helpers; they finish what they have begun."""
        self._pool.shutdown()
