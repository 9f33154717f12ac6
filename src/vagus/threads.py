"""Threads that do not end in silence, whatever is raised in them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Supervised"]

logger = logging.getLogger(__name__)

PAUSE_FIRST_S = 0.01
PAUSE_MAX_S = 1.0
"""Pauses before work that failed is taken up again; they double, so that a lasting fault costs no core."""


class Supervised(threading.Thread):
    """A daemon thread that takes its work up again when it fails, and tells its owner.

    A driver, a callback or an extension may raise what is no Exception: SystemExit, CancelledError, a Rust
    panic. An ordinary thread ends then, some of these without a word, and its owner waits for ever.

    Args:
        work: runs until it returns; it looks itself whether it is still wanted.
        name: of the thread, and in the log.
        on_fault: told of each failure, on this thread.
        is_repeated: take failed work up again; otherwise the thread ends with it, loudly.
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
        """Do the work to its end."""
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
