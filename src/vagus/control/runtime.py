"""The process around a control loop: signals, garbage collection, thread switching, priority."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupt", "quiet_runtime"]

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""How long another thread may keep the interpreter while the control thread is due."""


class Interrupt:
    """Ctrl-C and SIGTERM as a flag that the control thread looks at; handlers are put back at the end.

    A second signal raises KeyboardInterrupt, so that a call that hangs can be left. Outside the main thread
    nothing is installed. A flag, not an Event: an Event's lock may be held by the very thread that the
    handler interrupts.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._is_closing = False
        self._before: dict[int, object] = {}

    def closing(self) -> None:
        """From now on signals raise no more: the robot is being stopped."""
        self._is_closing = True

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            if callable(handler) or isinstance(handler, (signal.Handlers, int)):
                signal.signal(number, handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.is_set and not self._is_closing:
            raise KeyboardInterrupt
        self.is_set = True


@contextmanager
def quiet_runtime(realtime_priority: int | None) -> Iterator[None]:
    """Keep pauses away from the calling thread: no garbage collection, short switch interval, priority."""
    was_enabled, interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    was_raised = realtime_priority is not None and _raise_priority(realtime_priority)
    try:
        yield
    finally:
        if was_raised:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        sys.setswitchinterval(interval_s)
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _raise_priority(priority: int) -> bool:
    if not hasattr(os, "sched_setscheduler"):
        logger.warning("this system has no real-time priorities; running without")
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        logger.warning("real-time priority %d was refused (%s); running without", priority, error)
        return False
    return True
