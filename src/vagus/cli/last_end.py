"""End of the process within a time limit, because foreign code may delay it after all work is done."""

from __future__ import annotations

import contextlib
import os
import threading
from functools import partial

from vagus.threads import Supervised

__all__ = ["end_within"]

PATIENCE_S = 10.0
"""Longest time that threads and exit functions of a robot, policy or library may delay the end."""


def end_within(code: int, patience_s: float = PATIENCE_S) -> None:
    """End this process with `code` after a time limit, if it has not ended by itself; return at once."""
    Supervised(partial(_end, code, patience_s), name="vagus-end", is_repeated=False).start()


def _end(code: int, patience_s: float) -> None:
    threading.Event().wait(patience_s)
    with contextlib.suppress(OSError):
        os.write(2, f"vagus: {_said(patience_s)}\n".encode(errors="replace"))
    os._exit(code)


def _said(patience_s: float) -> str:
    names = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    who = f"threads that are no daemons: {', '.join(names)}" if names else "something that runs at the exit"
    return (
        f"all is done, but the process has not ended for {patience_s:g} s for {who}; code of the robot, the "
        "policy or a library keeps it; it is ended now"
    )
