"""Threads: one that does not end in silence, a group whose ends are noticed, and a pool of helpers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.repeats import Repeats

__all__ = ["Supervised", "ThreadPool", "Threads", "join_in"]

logger = logging.getLogger(__name__)

PAUSE_FIRST_S = 0.01
PAUSE_MAX_S = 1.0
"""Longest pause before failed work is repeated; pauses double, so that a lasting fault takes no CPU time."""
INTERVAL_NS = 10 * NS_PER_S
"""One kind of failure in a group is told with its traceback at most this often."""
MAX_KINDS = 64

ArrivalT = TypeVar("ArrivalT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Supervised(threading.Thread):
    """Daemon thread that reports a failure of its work to its owner, and repeats the work if wanted.

    A driver, a callback or an extension may raise an error that is no `Exception`: SystemExit,
    CancelledError, a Rust panic. An ordinary thread then ends, sometimes without a message, and its owner
    waits for ever.

    Args:
        work: function that runs on the thread; it must itself check whether it should end.
        name: name of the thread, also in the log.
        on_fault: called on this thread with each failure.
        is_repeated: repeat failed work; otherwise the thread ends with an error in the log.
    """

    def __init__(
        self,
        work: Callable[[], None],
        *,
        name: str,
        on_fault: Callable[[BaseException], None] = lambda _: None,
        is_repeated: bool = True,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._on_fault = on_fault
        self._is_repeated = is_repeated

    def run(self) -> None:
        """Run the work until it ends."""
        pause_s = PAUSE_FIRST_S
        while not self._is_done():
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _is_done(self) -> bool:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the owner is told
            self._tell(error)
            return not self._is_repeated
        return True

    def _tell(self, error: BaseException) -> None:
        try:
            going = "it goes on" if self._is_repeated else "it has ended"
            logger.critical("thread %s failed; %s: %r", self.name, going, error, exc_info=error)
            self._on_fault(error)
        except BaseException:
            logger.critical("the failure of thread %s could not be told", self.name, exc_info=True)


class Threads:
    """Group of threads of one owner: a failure costs one piece of work, and the end of a thread is noticed.

    Any thread may ask.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._failures: Repeats[tuple[str, str]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_KINDS)
        self._ended: list[str] = []

    def make(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Return a new thread that works until it is told to end; it is not started.

        A thread that ends by an error is logged and stays in `ended`.
        """

        def note(_: BaseException) -> None:
            with self._lock:
                self._ended.append(name)

        return Supervised(work, name=name, on_fault=note, is_repeated=False)

    @property
    def ended(self) -> str:
        """Names of the threads that ended without an order; "": none."""
        with self._lock:
            return ", ".join(self._ended)

    @contextmanager
    def going_on(self, what: str) -> Iterator[None]:
        """Run one piece of work; if it raises, only this piece is lost, and the error is logged.

        Even what is no Exception: where code of others runs, an asyncio.CancelledError or a SystemExit
        is its failure, not an order to us.
        """
        try:
            yield
        except BaseException as error:
            with self._lock:
                repeat = self._failures.note((what, type(error).__name__), self.clock.now_ns())
            if repeat is not None:
                logger.exception("%s failed (%d times since it was told last)", what, repeat.count)

    def guarded(self, what: str, receive: Callable[[ArrivalT], None]) -> Callable[[ArrivalT], None]:
        """Return `receive` as a callback for foreign threads: if it raises, only this call is lost."""

        def receive_guarded(arrival: ArrivalT) -> None:
            with self.going_on(what):
                receive(arrival)

        return receive_guarded


def join_in(thread: threading.Thread, timeout_s: float) -> bool:
    """Wait for the end of a thread; return False, with an error in the log, if it hangs.

    A thread that was never started, and the calling thread, are not waited for.
    """
    if thread.ident is None or thread is threading.current_thread():
        return True
    thread.join(timeout_s)
    if thread.is_alive():
        logger.error("%s did not end in %.1f s and is left behind", thread.name, timeout_s)
    return not thread.is_alive()


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
