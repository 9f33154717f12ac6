"""Pipe to the parent process: this process ends when the parent is gone, for whatever reason.

The end is the orderly one: SIGTERM, so that a robot is stopped first. A pipe works wherever processes do; on
Linux a parent's death also wakes a child that is stopped (SIGSTOP), which could not notice otherwise.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import MutableMapping

from vagus.threads import Supervised

__all__ = ["LIFELINE", "follow_parent"]

LIFELINE = "VAGUS_LIFELINE"
"""Environment variable with the number of the file descriptor to watch."""
END_WITHIN_S = 30.0
"""Longest orderly end; it is longer than a server drains by default. Afterwards, the process is killed."""
PR_SET_PDEATHSIG = 1


def follow_parent(environment: MutableMapping[str, str] = os.environ) -> None:
    """End this process in order when the parent that started it with a lifeline is gone.

    Children of this process do not inherit the lifeline: this process must end them.
    """
    number = environment.pop(LIFELINE, "")
    if not number:
        return
    descriptor = int(number)
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - of the standard library
    _wake_when_orphaned()  # before the first look: a parent that has gone meanwhile has closed its end
    Supervised(lambda: _watch(descriptor), name="vagus-lifeline", is_repeated=False).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass  # nobody writes; the end of the parent is the end of the file
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(END_WITHIN_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _wake_when_orphaned() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
