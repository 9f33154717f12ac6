"""Standard output and error that never fail and keep nobody waiting: a terminal may be gone, or unread."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

from vagus.cli.log_output import flush_log
from vagus.control.watchdog import within
from vagus.threads import Supervised

__all__ = ["SteadyOutput", "end_process", "steady_output"]

MAX_WAITING_BYTES = 1 << 20
"""What may wait for a terminal that takes nothing; more is dropped."""
DRAIN_S = 1.0
"""How long the end waits for the rest to be written."""
SAY_S = 1.0
"""How long the summary of a run whose main thread is stuck may take."""
RETRY_S = 0.01


class SteadyOutput:
    """Writes to file descriptors in the order of the calls, on a thread of its own."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._gone: set[int] = set()
        self._thread = Supervised(self._write_all, name="vagus-output")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write(self, descriptor: int, piece: bytes) -> None:
        """Have `piece` written; dropped where nobody reads any more."""
        with self._changed:
            if descriptor in self._gone or self._waiting_bytes + len(piece) > MAX_WAITING_BYTES:
                return
            self._pieces.append((descriptor, piece))
            self._waiting_bytes += len(piece)
            self._changed.notify_all()

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait until all is written, but not for ever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes, timeout_s)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces)
                descriptor, piece = self._pieces.popleft()
            if descriptor not in self._gone and not _write(descriptor, piece):
                self._gone.add(descriptor)
            with self._changed:
                self._waiting_bytes -= len(piece)
                self._changed.notify_all()


class _Stream(io.TextIOBase):
    """Stands in for a text stream; whatever is not about writing is the stream's own."""

    def __init__(self, stream: TextIO, output: SteadyOutput) -> None:
        self._stream = stream
        self._output = output
        self._descriptor = stream.fileno()

    def write(self, text: str) -> int:
        """Have `text` written; characters that the terminal does not know are replaced."""
        encoding = self._stream.encoding or "utf-8"
        self._output.write(self._descriptor, text.encode(encoding, errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Return at once."""

    def drain(self) -> None:
        """Wait until all is written, but not for ever."""
        self._output.drain()

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # a property of the stream it stands for
        """The stream's encoding."""
        return self._stream.encoding

    @property
    def buffer(self) -> object:
        """The stream's bytes; who writes there waits."""
        return self._stream.buffer


def end_process(say: Callable[[], None], code: int) -> NoReturn:
    """End the process from beside the main thread, which is stuck; first `say`, but not for ever."""
    within("the summary", say, SAY_S)
    for flush in (*(handler.flush for handler in logging.getLogger().handlers), flush_log):
        within("the log", flush, DRAIN_S)
    if isinstance(sys.stdout, _Stream):
        sys.stdout.drain()
    os._exit(code)


@contextlib.contextmanager
def steady_output() -> Iterator[SteadyOutput]:
    """Put steady streams in the place of `sys.stdout` and `sys.stderr`, where these are real files."""
    output = SteadyOutput()
    output.start()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_steady(stream, output) for stream in before)
    try:
        yield output
    finally:
        output.drain()
        sys.stdout, sys.stderr = before


def _steady(stream: TextIO | None, output: SteadyOutput) -> TextIO:
    """Return a steady stream for this one; for one that was closed from the start, one that goes nowhere."""
    if stream is None:
        return io.StringIO()
    try:
        stream.flush()
        return _Stream(stream, output)  # type: ignore[return-value] # all of it that is used
    except (OSError, ValueError):
        return stream


def _write(descriptor: int, piece: bytes) -> bool:
    """Write all of `piece`, however long that takes; return whether somebody is there."""
    while piece:
        try:
            piece = piece[os.write(descriptor, piece) :]
        except OSError as error:  # noqa: PERF203 - each piece on its own
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                return False
            threading.Event().wait(RETRY_S)
    return True
