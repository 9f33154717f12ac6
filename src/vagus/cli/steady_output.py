"""Standard output and error that never fail and never block, even if the terminal is gone or not read."""

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
"""Largest waiting output for a terminal that takes nothing; more is dropped."""
DRAIN_S = 1.0
"""Longest wait at the end for the remaining output."""
SAY_S = 1.0
"""Longest time for the summary of a run whose main thread hangs."""
RETRY_S = 0.01


class SteadyOutput:
    """Writer to file descriptors, in the order of the calls, on a thread of its own."""

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
        """Queue `piece` to be written; it is dropped if nobody reads any more."""
        with self._changed:
            if descriptor in self._gone or self._waiting_bytes + len(piece) > MAX_WAITING_BYTES:
                return
            self._pieces.append((descriptor, piece))
            self._waiting_bytes += len(piece)
            self._changed.notify_all()

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait until all is written, for a limited time."""
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
    """Replacement of a text stream for writing; everything else is passed to the stream."""

    def __init__(self, stream: TextIO, output: SteadyOutput) -> None:
        self._stream = stream
        self._output = output
        self._descriptor = stream.fileno()

    def write(self, text: str) -> int:
        """Queue `text` to be written; characters that the terminal does not know are replaced."""
        encoding = self._stream.encoding or "utf-8"
        self._output.write(self._descriptor, text.encode(encoding, errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Return at once."""

    def drain(self) -> None:
        """Wait until all is written, for a limited time."""
        self._output.drain()

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override] # a property of the stream it stands for
        """Encoding of the stream."""
        return self._stream.encoding

    @property
    def buffer(self) -> object:
        """Binary buffer of the stream; a write to it may block."""
        return self._stream.buffer


def end_process(say: Callable[[], None], code: int) -> NoReturn:
    """End the process while its main thread hangs; call `say` first, for a limited time."""
    within("the summary", say, SAY_S)
    for flush in (*(handler.flush for handler in logging.getLogger().handlers), flush_log):
        within("the log", flush, DRAIN_S)
    if isinstance(sys.stdout, _Stream):
        sys.stdout.drain()
    os._exit(code)


@contextlib.contextmanager
def steady_output() -> Iterator[SteadyOutput]:
    """Replace `sys.stdout` and `sys.stderr` by steady streams, if they are real files."""
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
    """Return a steady stream for a stream; for a closed stream, one that drops everything."""
    if stream is None:
        return io.StringIO()
    try:
        stream.flush()
        return _Stream(stream, output)  # type: ignore[return-value] # all of it that is used
    except (OSError, ValueError):
        return stream


def _write(descriptor: int, piece: bytes) -> bool:
    """Write all of `piece`, for as long as needed; return whether the reader still exists."""
    while piece:
        try:
            piece = piece[os.write(descriptor, piece) :]
        except OSError as error:  # noqa: PERF203 - each piece on its own
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                return False
            threading.Event().wait(RETRY_S)
    return True
