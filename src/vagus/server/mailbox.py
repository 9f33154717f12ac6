"""One slot per session that keeps the newest request only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vagus.wire.schema import Header

__all__ = ["Mailbox", "QueuedRequest"]


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request as it came.

    Attributes:
        header: its header, with the request's number within the session.
        payload: the observation, encoded.
        arrived_ns: monotonic time of its arrival.
        superseded: older requests that this one replaced.
    """

    header: Header
    payload: bytes
    arrived_ns: int
    superseded: int = 0


class Mailbox:
    """The newest request that nobody has taken yet."""

    def __init__(self) -> None:
        self._waiting: QueuedRequest | None = None
        self._newest_seq = 0
        self._carried = 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return self._waiting is None

    def deposit(self, queued: QueuedRequest) -> bool:
        """Put a request in, in place of an older one; False, and no change, if it is not the newest ever."""
        if queued.header.seq <= self._newest_seq:
            return False
        self._newest_seq = queued.header.seq
        waiting = self._waiting
        superseded = self._carried if waiting is None else waiting.superseded + 1
        self._carried = 0
        self._waiting = replace(queued, superseded=superseded)
        return True

    def take(self) -> QueuedRequest | None:
        """Take the request out."""
        queued, self._waiting = self._waiting, None
        return queued

    def put_back(self, queued: QueuedRequest) -> None:
        """Undo `take`; nothing may have been deposited since."""
        self._waiting = queued

    def pass_over(self, queued: QueuedRequest) -> None:
        """Count a request that was taken and is not served, because a newer one is here or on its way."""
        count = queued.superseded + 1
        waiting = self._waiting
        if waiting is None:
            self._carried += count
        else:
            self._waiting = replace(waiting, superseded=waiting.superseded + count)
