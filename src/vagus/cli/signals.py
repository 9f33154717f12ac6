"""Ctrl-C and SIGTERM, as an event to wait for."""

from __future__ import annotations

import signal
import threading
from types import FrameType

__all__ = ["stop_event", "wait_for_signal"]


def stop_event() -> threading.Event:
    """Return an event that Ctrl-C or SIGTERM sets; call it on the main thread.

    A second signal raises KeyboardInterrupt, so that a stuck shutdown can be left.
    """
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stopping


def wait_for_signal() -> None:
    """Return after Ctrl-C or SIGTERM."""
    stop_event().wait()
