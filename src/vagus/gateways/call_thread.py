"""Thread for the calls of one connection: a call that never returns costs its caller only a deadline."""

from __future__ import annotations

import atexit
import queue
from collections.abc import Callable
from typing import Final, TypeVar

from vagus.errors import QueryTimeoutError
from vagus.threads import Supervised

__all__ = ["CallThread"]

ResultT = TypeVar("ResultT")
EXIT_S: Final = 4.0
"""Longest wait for the cleanup at the interpreter's exit; to close a link takes up to 3 s."""


class CallThread:
    """Thread of one connection, from `start` to `end`.

    After a call that took too long the thread may hang in it: end it, close what it waits for, and make
    another. The interpreter waits for it at its exit, for some seconds: to end a thread inside of another
    language's code aborts the process.

    Args:
        name: name of the thread.
        cleanup: called on the thread as its last work.
    """

    def __init__(self, name: str, cleanup: Callable[[], None]) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._cleanup = cleanup
        self._thread = Supervised(self._work, name=name, is_repeated=False)

    def start(self) -> None:
        """Start the thread."""
        atexit.register(self._await_end)
        self._thread.start()

    def call(self, work: Callable[[], ResultT], timeout_s: float, what: str) -> ResultT:
        """Return the result of `work`, called on the thread; what it raises is raised here.

        Raises:
            QueryTimeoutError: it did not return in time; `what` says what was waited for.
        """
        outcome: queue.SimpleQueue[tuple[ResultT | None, BaseException | None]] = queue.SimpleQueue()

        def settle() -> None:
            try:
                outcome.put((work(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
                outcome.put((None, error))

        self._calls.put(settle)
        try:
            result, error = outcome.get(timeout=timeout_s)
        except queue.Empty:
            raise QueryTimeoutError(f"{what} within {timeout_s:.1f} s") from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value] # None only where `work` returns it

    def end(self) -> None:
        """Let the thread end once its present call returns, without waiting for it."""
        self._calls.put(None)

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call()
        finally:
            self._cleanup()
            atexit.unregister(self._await_end)

    def _await_end(self) -> None:
        self.end()
        self._thread.join(EXIT_S)
