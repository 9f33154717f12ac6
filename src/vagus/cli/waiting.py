"""Repeated attempts for `--wait`, with growing pauses and one line per change of the reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from vagus.cli.console import say
from vagus.edge.client.handshake import TRANSIENT_REFUSALS
from vagus.errors import LinkError, SessionRefusedError

__all__ = ["keep_trying"]

ResultT = TypeVar("ResultT")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0


def keep_trying(
    attempt: Callable[[], ResultT], screen: Console, stopping: threading.Event | None = None
) -> ResultT:
    """Call `attempt` until it does not fail for a missing router, server or free session; return its result.

    Args:
        attempt: function to try.
        screen: console that shows the reason of the wait when it changes.
        stopping: event that ends the wait with the last error; without it, Ctrl-C does.

    Raises:
        VagusError: an error that does not pass with time, e.g. robot and policy do not match.
    """
    waiting, pause_s, told = stopping or threading.Event(), FIRST_PAUSE_S, ""
    while True:
        try:
            return attempt()
        except (LinkError, SessionRefusedError) as error:
            is_final = isinstance(error, SessionRefusedError) and error.code not in TRANSIENT_REFUSALS
            if is_final or waiting.is_set():
                raise
            if str(error) != told:
                told, pause_s = str(error), FIRST_PAUSE_S
                say(f"waiting: {told}", screen)
            if waiting.wait(pause_s):
                raise
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
