"""End signals of a command, and their handling."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from vagus.api.stop_signal import ENDING, StopEvent, release_in_forks, stop_event
from vagus.cli.exit_code import ExitCode

__all__ = ["EndedError", "code_after", "ended_by_signals", "wait_for_signal"]


class EndedError(KeyboardInterrupt):
    """A signal ended the command while the robot did not move."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code.name)
        self.code = code


def code_after(stopping: StopEvent) -> ExitCode:
    """Return the exit code of a command that a signal ended before its work: 0 for SIGTERM."""
    return ExitCode.OK if stopping.number == signal.SIGTERM else ExitCode.INTERRUPTED


def wait_for_signal() -> None:
    """Wait for an end signal."""
    stop_event().wait()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `EndedError` at SIGTERM and SIGHUP (as KeyboardInterrupt at Ctrl-C), while nothing moves."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        raise EndedError(ExitCode.OK if number == signal.SIGTERM else ExitCode.INTERRUPTED)

    release_in_forks(on_signal)

    before: dict[int, object] = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING[1:]:
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
