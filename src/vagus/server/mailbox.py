"""One slot per session that keeps the newest request only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Letter", "Mailbox"]

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Letter(Generic[ItemT]):
    """A request on its way.

    Attributes:
        seq: request number within the session epoch.
        item: what was sent.
        arrived_ns: monotonic time of its arrival.
        superseded: older requests that this one replaced.
    """

    seq: int
    item: ItemT
    arrived_ns: int
    superseded: int = 0


class Mailbox(Generic[ItemT]):
    """The newest request that nobody has taken yet."""

    def __init__(self) -> None:
        self._letter: Letter[ItemT] | None = None
        self._newest_seq = 0
        self._carried = 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return self._letter is None

    def deposit(self, seq: int, item: ItemT, arrived_ns: int) -> bool:
        """Put a request in, in place of an older one; False, and no change, if it is not the newest ever."""
        if seq <= self._newest_seq:
            return False
        self._newest_seq = seq
        waiting = self._letter
        superseded = self._carried if waiting is None else waiting.superseded + 1
        self._carried = 0
        self._letter = Letter(seq, item, arrived_ns, superseded)
        return True

    def take(self) -> Letter[ItemT] | None:
        """Take the request out."""
        letter, self._letter = self._letter, None
        return letter

    def put_back(self, letter: Letter[ItemT]) -> None:
        """Undo `take`; nothing may have been deposited since."""
        self._letter = letter

    def pass_over(self, letter: Letter[ItemT]) -> None:
        """Count a request that was taken and is not served, because a newer one is here or on its way."""
        count = letter.superseded + 1
        waiting = self._letter
        if waiting is None:
            self._carried += count
        else:
            self._letter = Letter(waiting.seq, waiting.item, waiting.arrived_ns, waiting.superseded + count)
