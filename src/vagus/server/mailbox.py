"""Mailbox of a session, which keeps only the newest request."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vagus.wire.schema import Header

__all__ = ["Mailbox", "QueuedRequest"]


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """Request as it was received.

    Attributes:
        header: header of the request, with its number within the session.
        payload: bytes of the observation.
        arrived_ns: monotonic time of arrival.
        superseded: number of older requests that this one replaced.
    """

    header: Header
    payload: bytes
    arrived_ns: int
    superseded: int = 0


class Mailbox:
    """Mailbox with at most one request, the newest that was not taken."""

    def __init__(self) -> None:
        self._waiting: QueuedRequest | None = None
        self._newest_seq = 0
        self._carried = 0

    @property
    def is_empty(self) -> bool:
        """Whether no request waits."""
        return self._waiting is None

    def deposit(self, queued: QueuedRequest) -> bool:
        """Store a request, in place of an older one; return False, and change nothing, if it is not newer."""
        if queued.header.seq <= self._newest_seq:
            return False
        self._newest_seq = queued.header.seq
        waiting = self._waiting
        superseded = self._carried if waiting is None else waiting.superseded + 1
        self._carried = 0
        self._waiting = replace(queued, superseded=superseded)
        return True

    def take(self) -> QueuedRequest | None:
        """Remove and return the request."""
        queued, self._waiting = self._waiting, None
        return queued

    def put_back(self, queued: QueuedRequest) -> None:
        """Undo `take`, if nothing was deposited since."""
        self._waiting = queued

    def pass_over(self, queued: QueuedRequest) -> None:
        """Count a taken request as superseded by a newer one."""
        count = queued.superseded + 1
        waiting = self._waiting
        if waiting is None:
            self._carried += count
        else:
            self._waiting = replace(waiting, superseded=waiting.superseded + count)
