"""Signals that end a program in order: an event that they set."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from vagus.errors import ConfigError

__all__ = ["ENDING", "StopEvent", "release_in_forks", "stop_event", "stopped_by_signals"]

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
"""What people, terminals and supervisors end a program by. One that is ignored (nohup) stays so."""


_OURS: set[object] = set()
"""Handlers of ours."""


def _let_go_in_child() -> None:
    """Give a process that a policy or driver has forked its own end: `terminate()` must end it."""
    for number in ENDING:
        if signal.getsignal(number) in _OURS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def release_in_forks(handler: object) -> None:
    """Have `handler`, one of ours, taken out in every process that is forked from now on."""
    _OURS.add(handler)


POLL_S = 0.1
"""Bounds how late a signal is noticed that came just before the wait began: it wakes nobody."""


class StopEvent(threading.Event):
    """Set by a signal, whose handler takes no lock: the code that it interrupts may hold it."""

    number: int | None = None

    def is_set(self) -> bool:
        """Return whether the program is to end."""
        return self.number is not None or super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the program is to end, at most `timeout` seconds; return whether it is."""
        end_s = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left_s = POLL_S if end_s is None else min(POLL_S, end_s - time.monotonic())
            if left_s <= 0:
                return False
            super().wait(left_s)
        return True


def stop_event() -> StopEvent:
    """Return an event that a signal sets; call it on the main thread.

    A second signal raises KeyboardInterrupt, so that a stuck shutdown can be left.
    """
    return _installed()[0]


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[StopEvent]:
    """Yield such an event, and put the handlers from before back at the end.

    Raises:
        ConfigError: this is not the main thread, which alone is told of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        name = threading.current_thread().name
        raise ConfigError("serve", wanted="the main thread, or wait=False", got=f"thread {name!r}")
    stopping, before = _installed()
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what `getsignal` said


def _installed() -> tuple[StopEvent, dict[int, object]]:
    """Return an event that signals set, and their handlers from before; those of other languages stay."""
    stopping = StopEvent()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.number = number

    release_in_forks(on_signal)
    before: dict[int, object] = {}
    for number in ENDING:
        former = signal.getsignal(number)
        if number in (signal.SIGINT, signal.SIGTERM) or former is not signal.SIG_IGN:
            signal.signal(number, on_signal)
            before[number] = signal.SIG_DFL if former is None else former
    return stopping, before
