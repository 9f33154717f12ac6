"""Pool of threads for work that releases the interpreter lock, such as encoding of camera frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ThreadPool"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class ThreadPool:
    """Helper threads that share work with the calling thread. They start at the first use."""

    def __init__(self, helpers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix=name)

    def map(self, work: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        """Return `work(item)` for each item, in order; an error of `work` is raised.

        The caller works, too, and waits only for items that a helper has begun. On busy cores, where a helper
        may need milliseconds to start, this is a plain loop in the caller.
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
        """Stop the helpers; they finish the items that they have begun."""
        self._pool.shutdown()
