"""Signals that end a command in order."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from vagus.cli.exit_code import ExitCode

__all__ = ["EndedError", "StopEvent", "ended_by_signals", "stop_event", "wait_for_signal"]

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
"""What people, terminals and supervisors end a program by. One that is ignored (nohup) stays so."""


_OURS: set[object] = set()
"""Handlers that were installed here."""


def _let_go_in_child() -> None:
    """Give a process that a policy or driver has forked its own end: `terminate()` must end it."""
    for number in ENDING:
        if signal.getsignal(number) in _OURS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


class EndedError(KeyboardInterrupt):
    """A signal has ended the command, before anything moved or after it stood."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code.name)
        self.code = code


class StopEvent(threading.Event):
    """Set by a signal."""

    number: int | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What a command returns that was ended before it did anything: to SIGTERM no failure."""
        return ExitCode.OK if self.number == signal.SIGTERM else ExitCode.INTERRUPTED


def stop_event() -> StopEvent:
    """Return an event that a signal sets; call it on the main thread.

    A second signal raises KeyboardInterrupt, so that a stuck shutdown can be left.
    """
    stopping = StopEvent()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.number = number
        stopping.set()

    _OURS.add(on_signal)

    for number in ENDING:
        if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_signal)
    return stopping


def wait_for_signal() -> None:
    """Return after a signal that ends."""
    stop_event().wait()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `EndedError` at SIGTERM and SIGHUP, as Ctrl-C raises KeyboardInterrupt, while nothing moves."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        raise EndedError(ExitCode.OK if number == signal.SIGTERM else ExitCode.INTERRUPTED)

    _OURS.add(on_signal)

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
