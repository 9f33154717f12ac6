"""Supervised threads: every failure in them is reported."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Supervised"]

logger = logging.getLogger(__name__)

PAUSE_FIRST_S = 0.01
PAUSE_MAX_S = 1.0
"""Longest pause before failed work is repeated; pauses double, so that a lasting fault takes no CPU time."""


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
