"""Log lines to the terminal, from a thread of their own: nobody waits for a terminal that takes none."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from contextlib import suppress

from vagus.threads import Supervised

__all__ = ["SteadyHandler", "write_on_a_thread"]

MAX_WAITING = 1024
"""Largest number of waiting lines; further ones are dropped and counted."""
FLUSH_S = 1.0
"""Longest wait at the end for a terminal that accepts no line."""


class SteadyHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at that moment, e.g. the one that keeps a live line in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING)
        self._writer: Supervised | None = None
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never waits."""
        if self._writer is None:  # under the handler's lock
            self._writer = Supervised(self._write_all, name="vagus-log")
            self._writer.start()
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until all is written, but not for ever."""
        if self._writer is None or threading.current_thread() is self._writer:
            return
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, FLUSH_S)

    def _write_all(self) -> None:
        while True:
            line = self._lines.get()
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line = f"({dropped} lines were dropped: the terminal took none)\n{line}"
            with suppress(OSError, ValueError):  # a terminal that is gone, or closed at exit
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
            self._lines.task_done()


def write_on_a_thread(logger: logging.Logger) -> None:
    """Replace each terminal handler of `logger` by one that never waits."""
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler and handler.stream is sys.stderr:
            steady = SteadyHandler()
            steady.setFormatter(handler.formatter)
            steady.setLevel(handler.level)
            logger.removeHandler(handler)
            logger.addHandler(steady)
