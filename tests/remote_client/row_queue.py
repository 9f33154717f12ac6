"""Rows that a client of LeRobot's remote inference has, and how a reply joins them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.types import FloatArray

__all__ = ["QueuedRow", "Reply", "RowQueue", "RowsError", "Turnaround"]


class RowsError(Exception):
    """A reply that ends the client's run."""


@dataclass(frozen=True, eq=False)
class QueuedRow:
    """One row: in the robot's units and in the model's, and when the frame behind it was taken."""

    canonical: FloatArray
    model: FloatArray
    captured_ns: int


@dataclass(frozen=True, eq=False)
class Reply:
    """Rows of a reply, and of what request.

    Attributes:
        canonical: (steps, action_dim) float32.
        model: (steps, model_dim) float32; in the mode chunk the same array.
        captured_ns: when the request's frame was taken.
        cursor: actions executed when the request was made.
        observation_cursor: actions executed when the frame was taken.
        delay: what the request said.
        elapsed_ns: since the request.
    """

    canonical: FloatArray
    model: FloatArray
    captured_ns: int
    cursor: int
    observation_cursor: int
    delay: int
    elapsed_ns: int


class RowQueue:
    """Rows not executed yet, and the number of those that were."""

    def __init__(
        self, interval_s: float, mode: InferenceMode, *, is_aligned: bool, training_max_delay: int = 0
    ) -> None:
        self.cursor = 0
        self.rows: list[QueuedRow] = []
        self._ends: list[int] = []
        self._interval_s = interval_s
        self._mode = mode
        self._is_aligned = is_aligned
        self._training_max_delay = training_max_delay

    @property
    def seconds(self) -> float:
        """How long the rows last."""
        return len(self.rows) * self._interval_s

    @property
    def has_successor(self) -> bool:
        """Whether a chunk waits behind the one that is playing; only where chunks are appended."""
        return sum(end > self.cursor for end in self._ends) > 1

    def clear(self) -> None:
        """Forget all rows, and count from 0 again."""
        self.rows, self._ends, self.cursor = [], [], 0

    def pop(self) -> QueuedRow | None:
        """Return the next row, which counts as executed, or None."""
        if not self.rows:
            return None
        self.cursor += 1
        return self.rows.pop(0)

    def continuation(self, most: int) -> tuple[FloatArray, FloatArray] | None:
        """Return the rows not executed yet, at most so many: canonical, model; None: there are none."""
        rows = self.rows[:most]
        if not rows:
            return None
        return np.stack([row.canonical for row in rows]), np.stack([row.model for row in rows])

    def accept(self, reply: Reply) -> bool:
        """Join a reply; return whether any of its rows is of use.

        Raises:
            RowsError: in RTC, all its rows are past.
        """
        rows = [
            QueuedRow(canonical, model, reply.captured_ns)
            for canonical, model in zip(reply.canonical, reply.model, strict=True)
        ]
        if self._mode is not InferenceMode.CHUNK:
            return self._accept_rtc(rows, reply)
        if not self._is_aligned:
            self._ends = [*(end for end in self._ends if end > self.cursor), self._end + len(rows)]
            self.rows += rows
            return True
        past = self.cursor - reply.observation_cursor
        if past >= len(rows):
            return False
        self.rows = rows[past:]
        return True

    @property
    def _end(self) -> int:
        return self.cursor + len(self.rows)

    def _accept_rtc(self, rows: list[QueuedRow], reply: Reply) -> bool:
        committed = self.cursor - reply.cursor
        if self._mode is InferenceMode.RTC_TRAINED and committed > min(reply.delay, self._training_max_delay):
            return False
        past = min(math.ceil(reply.elapsed_ns / 1e9 / self._interval_s), committed)
        if past >= len(rows):
            raise RowsError(f"all {len(rows)} rows are past")
        self.rows = rows[past:]
        return True


class Turnaround:
    """How long answers took; the first one counts only until there is a second."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._count = 0

    def note(self, seconds: float) -> None:
        """Note one."""
        self._count += 1
        self._seconds = [seconds] if self._count == 2 else [*self._seconds, seconds][-100:]

    @property
    def longest_s(self) -> float:
        """The longest of the last 100."""
        return max(self._seconds, default=0.0)
