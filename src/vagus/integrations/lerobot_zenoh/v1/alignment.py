"""Arithmetic of cursors: which step of the robot a row of a reply is for (pure).

A *cursor* counts the actions that a client has executed since its generation began. A client that aligns says
two of them: when its frame was taken, and when it asked. What it has not executed yet, the *continuation*,
begins at the second one; row 0 of the reply belongs to the first one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.types import FloatArray

__all__ = [
    "MAX_FRAME_AGE_S",
    "REFILL_S",
    "ReplyPlan",
    "Turnarounds",
    "blended",
    "dropped_rows",
    "exact_rows",
    "is_due",
    "is_trained_overlap",
    "reply_plan",
    "usable_rows",
]

REFILL_S: Final = 0.5
"""A client asks when it has no more than this left."""
MAX_FRAME_AGE_S: Final = 5.0
"""A client ends its run when a frame is older, at acceptance or while its rows are executed."""
_MAX_TURNAROUNDS: Final = 100


@dataclass(frozen=True, eq=False)
class ReplyPlan:
    """How a server answers an observation. A *chunk* begins where the frame was taken.

    Attributes:
        first_row: row of the chunk that is row 0 of the reply.
        prefix: rows that the robot executes until the reply acts and beyond, from row 0 of the chunk, in the
            robot's units, (n, action_dim); None without a continuation.
        model_prefix: the same rows in the model's units, (n, model_dim).
        inference_delay: rows of the chunk that are executed before the reply acts, at most n.
        elapsed: rows of the chunk that were executed before the question; what they were is not known.
    """

    first_row: int
    prefix: FloatArray | None
    model_prefix: FloatArray | None
    inference_delay: int
    elapsed: int

    def hold_rows(self, steps: int, state: FloatArray | None = None) -> FloatArray | None:
        """Return a reply that lets the robot end its motion: what it has, then its last row again and again.

        Args:
            steps: rows of the reply.
            state: where the robot is, (action_dim,), if its state is given in the names and units of its
                actions; taken where there is no continuation.

        Returns:
            (steps, action_dim) float32, or None if nothing is known that could be sent.
        """
        if self.prefix is not None:
            return exact_rows(self.prefix, self.first_row, steps)
        return None if state is None else exact_rows(state[None].astype(np.float32), 0, steps)

    def held_rows(self, acts_at: int) -> int:
        """Return for how many rows the robot stands still before the reply acts.

        Args:
            acts_at: row of the chunk from which the reply acts.
        """
        if self.prefix is None:
            return 0
        is_last = (self.prefix[self.elapsed :] == self.prefix[-1]).all(axis=1)
        standing = len(is_last) if is_last.all() else int(np.argmin(is_last[::-1]))
        return max(0, acts_at - (len(self.prefix) - standing + 1)) if standing > 1 else 0

    def model_hold_rows(self, steps: int) -> FloatArray | None:
        """Return the same in the model's units, or None without a continuation."""
        return None if self.model_prefix is None else exact_rows(self.model_prefix, self.first_row, steps)


def reply_plan(observation: RemoteObservation, mode: InferenceMode, *, is_aligned: bool) -> ReplyPlan:
    """Return how an observation is answered.

    Rows between frame and question are executed already, and the client does not say which they were: the
    first row of the continuation stands for them. They are cut off when the reply arrives.

    Args:
        observation: the request; with an observation cursor if chunks are aligned.
        mode: mode of the session.
        is_aligned: whether the session aligns chunks. Where it does not, a chunk is appended: its row 0
            follows the last row of the continuation.
    """
    taken = observation.observation_cursor
    elapsed = 0 if taken is None or not is_aligned else observation.cursor - taken
    rows = observation.continuation_rows
    is_appended = mode is InferenceMode.CHUNK and not is_aligned
    return ReplyPlan(
        first_row=rows if is_appended else 0,
        prefix=_led(observation.canonical_continuation, elapsed),
        model_prefix=_led(observation.model_continuation, elapsed),
        inference_delay=min(elapsed + observation.delay, elapsed + rows) if rows else 0,
        elapsed=elapsed,
    )


def exact_rows(chunk: FloatArray, first_row: int, steps: int) -> FloatArray:
    """Return `steps` rows of a chunk from `first_row` on; its ends stand for those that it lacks.

    Args:
        chunk: (n, width), n at least 1.
        first_row: row of the chunk that comes first; may be before its beginning or behind its end.
        steps: rows of the answer.
    """
    last = len(chunk) - 1
    return chunk[[min(max(first_row + step, 0), last) for step in range(steps)]]


def usable_rows(rows: FloatArray, *, observation_cursor: int, now: int) -> FloatArray:
    """Return the rows of an aligned reply that are not past; maybe none, which is no fault.

    Args:
        rows: (n, width), of the reply.
        observation_cursor: that of the reply; row 0 is for it.
        now: cursor at which the reply is accepted.
    """
    return rows[max(0, now - observation_cursor) :]


def dropped_rows(elapsed_s: float, interval_s: float, committed: int) -> int:
    """Return how many rows of a reply of RTC are past.

    Args:
        elapsed_s: from the question to the acceptance.
        interval_s: seconds from row to row.
        committed: actions executed since the question.
    """
    return min(math.ceil(elapsed_s / interval_s), committed)


def is_trained_overlap(overlap: int, delay: int, training_max_delay: int) -> bool:
    """Return whether a reply of trained RTC may be used: no more rows are past than the model was told."""
    return overlap <= min(delay, training_max_delay)


def blended(old: FloatArray, new: FloatArray, *, steps: int, weight: float) -> FloatArray:
    """Return `new` with its first `steps` rows mixed with those of `old` for the same steps of the robot.

    Args:
        old: rows that were there, (m, width).
        new: rows that come, (n, width).
        steps: rows that are mixed; as many as both have, at most.
        weight: of the new row, 0 to 1.
    """
    mixed: FloatArray = new.copy()
    count = min(steps, len(old), len(new))
    mixed[:count] = (1.0 - weight) * old[:count] + weight * new[:count]
    return mixed


@dataclass(frozen=True)
class Turnarounds:
    """How long the last 100 answers took, in seconds. The first one counts only until there is a second."""

    seconds: tuple[float, ...] = field(default=())
    is_first_alone: bool = True

    def with_one(self, turnaround_s: float) -> Turnarounds:
        """Return these and one more."""
        if not self.seconds:
            return Turnarounds((turnaround_s,))
        kept = () if self.is_first_alone else self.seconds
        return Turnarounds((*kept, turnaround_s)[-_MAX_TURNAROUNDS:], is_first_alone=False)

    @property
    def longest_s(self) -> float:
        """The longest one, 0 without any."""
        return max(self.seconds, default=0.0)

    def delay(self, interval_s: float, rows: int, most: int | None = None) -> int:
        """Return how many rows will be executed until an answer comes.

        Args:
            interval_s: seconds from row to row.
            rows: rows of the continuation; without one the delay is 0.
            most: what the model was trained for, in trained RTC.
        """
        if not rows:
            return 0
        delay = math.ceil(self.longest_s / interval_s)
        return delay if most is None else min(delay, most, rows)


def is_due(queued_s: float, turnarounds: Turnarounds, interval_s: float, refill_s: float = REFILL_S) -> bool:
    """Return whether a client asks now.

    Args:
        queued_s: how long the rows last that it has.
        turnarounds: how long answers took.
        interval_s: seconds from row to row.
        refill_s: what it wants to have left at least.
    """
    return queued_s <= max(refill_s, turnarounds.longest_s + interval_s)


def _led(continuation: FloatArray | None, count: int) -> FloatArray | None:
    """Return the continuation after `count` copies of its first row."""
    if continuation is None:
        return None
    return np.concatenate([np.repeat(continuation[:1], count, axis=0), continuation])
