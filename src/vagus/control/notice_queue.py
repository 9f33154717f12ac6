"""Queue of the control thread's messages, which another thread writes.

A terminal that nobody reads blocks whoever writes to it.
"""

from __future__ import annotations

import logging
import queue

from vagus.threads import Supervised

__all__ = ["MAX_WAITING", "NoticeQueue"]

MAX_WAITING = 256
"""Most lines that wait for the log; further ones are dropped and counted."""
CLOSE_S = 1.0
"""Longest wait at the end for a log that accepts no line."""


class NoticeQueue:
    """Queue of log lines: the caller never waits, whatever the log does.

    Args:
        logger: takes the lines, on a thread of this object.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        self._thread = Supervised(self._run, name="vagus-notices")
        self.dropped = 0

    def start(self) -> NoticeQueue:
        """Start the writer; lines said before wait for it."""
        self._thread.start()
        return self

    def warning(self, line: str) -> None:
        """Queue `line` as a warning (any thread); never waits."""
        self._put(logging.WARNING, line)

    def info(self, line: str) -> None:
        """Queue `line` as information (any thread); never waits."""
        self._put(logging.INFO, line)

    def close(self) -> None:
        """Write what is left, for at most `CLOSE_S`. Twice is harmless."""
        if self._thread.is_alive():
            self._lines.put(None)
            self._thread.join(CLOSE_S)

    def _put(self, level: int, line: str) -> None:
        if self._lines.qsize() >= MAX_WAITING:
            self.dropped += 1
            return
        self._lines.put((level, line))

    def _run(self) -> None:
        while True:
            item = self._lines.get()
            if item is None:
                return
            level, line = item
            self._logger.log(level, "%s", line)
