"""Observations of one StreamPredict: the newest is answered, each that it overtook is told so, in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass

__all__ = ["ObservationStream", "StreamTurn"]


@dataclass(frozen=True, slots=True)
class StreamTurn:
    """What is to be answered next: so many observations that were overtaken, and then this one."""

    overtaken: int
    message: bytes


class ObservationStream:
    """Inbox of one stream; one thread puts, another takes.

    It holds one message, whatever comes: a robot that sends faster than it is answered does not get actions
    for ever older observations, and costs no memory.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: bytes | None = None
        self._overtaken = 0
        self._is_ended = False
        self._is_cut = False

    def put(self, message: bytes) -> None:
        """Take an observation in the place of the one that waits."""
        with self._changed:
            self._overtaken += self._newest is not None
            self._newest = message
            self._changed.notify_all()

    def end(self) -> None:
        """Let no more come; what waits is still given out. Twice does nothing."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Note that the call is over before we have ended it: the robot has gone."""
        with self._changed:
            self._is_ended = self._is_cut = True
            self._changed.notify_all()

    def is_cut(self, timeout_s: float) -> bool:
        """Return whether the call is over, or will be within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_cut, timeout_s)

    def take(self, timeout_s: float) -> StreamTurn | None:
        """Return what is to be answered; None: the stream has ended, or nothing came in this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._is_ended, timeout_s)
            if self._newest is None:
                return None
            turn = StreamTurn(self._overtaken, self._newest)
            self._newest, self._overtaken = None, 0
            return turn
