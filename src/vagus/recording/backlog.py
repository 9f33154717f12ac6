"""What waits for the disk: items of one kind, bounded; what is too much is dropped and counted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Backlog"]

_ItemT = TypeVar("_ItemT")
_LineT = TypeVar("_LineT")


class Backlog(Generic[_ItemT, _LineT]):
    """Queue of one kind of records. `put` belongs to the control thread, all else to the writer.

    Args:
        name: counter of what is written; what is dropped is counted under it and "_dropped".
        most: largest number of items that wait.
        batch: largest number of lines in one write, so that a slow disk loses few at once.
        line_of: makes a line of an item, on the writer.
        write: writes lines; raises OSError if it has written none.
        counters: where it counts.
    """

    def __init__(
        self,
        name: str,
        *,
        most: int,
        batch: int,
        line_of: Callable[[_ItemT], _LineT],
        write: Callable[[Sequence[_LineT]], None],
        counters: Counter[str],
    ) -> None:
        self._name = name
        self._most = most
        self._batch = batch
        self._line_of = line_of
        self._write = write
        self._counters = counters
        self._waiting: deque[_ItemT] = deque()
        self._lines: list[_LineT] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._lines)

    @property
    def has_batch(self) -> bool:
        """Whether a whole batch waits."""
        return len(self._lines) >= self._batch

    def put(self, item: _ItemT) -> None:
        """Take an item; returns at once."""
        if len(self._waiting) >= self._most:
            self._counters[f"{self._name}_dropped"] += 1
            return
        self._waiting.append(item)

    def take(self) -> None:
        """Make lines of the items, up to a batch."""
        while self._waiting and not self.has_batch:
            self._lines.append(self._line_of(self._waiting.popleft()))

    def write(self) -> None:
        """Write the lines; those that the disk does not take wait for the next attempt.

        Raises:
            OSError: it took none.
        """
        if self._lines:
            self._write(self._lines)
            self._counters[self._name] += len(self._lines)
            self._lines.clear()

    def drop(self) -> None:
        """Drop and count all that waits."""
        self._counters[f"{self._name}_dropped"] += len(self)
        self._waiting.clear()
        self._lines.clear()
