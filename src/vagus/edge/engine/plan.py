"""The plan: actions waiting to be commanded, indexed by policy step."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.edge.handoff import Source
from vagus.types import ActionArray, ActionChunk, FloatArray, Prefix

__all__ = ["Plan", "PlanAction", "playable_actions"]

UNBOUNDED = 1 << 31
"""Length of a plan without a bound."""


@dataclass(frozen=True, slots=True)
class PlanAction:
    """One action of the plan.

    Attributes:
        step: policy step it is due at.
        index: its place in its chunk.
        robot: (action_dim,), float64, robot units.
        model: (model_dim,), float32, policy space.
        source: the request behind it.
    """

    step: int
    index: int
    robot: ActionArray
    model: FloatArray
    source: Source

    def is_stale(self, now_ns: int, max_age_ns: int) -> bool:
        """Whether the observation behind this action is older than `max_age_ns`."""
        return now_ns - self.source.captured_ns > max_age_ns


class _Stretch:
    """Consecutive actions of one chunk, in arrays of their own; those before `begin` are gone."""

    __slots__ = ("begin", "chunk_step", "index", "model", "robot", "source")

    def __init__(self, chunk: ActionChunk, source: Source, first: int, length: int) -> None:
        rows = slice(first, first + length)
        self.chunk_step = chunk.step
        self.index = first
        self.robot: NDArray[np.float64] = chunk.robot[rows].astype(np.float64)
        self.model: FloatArray = chunk.model[rows].copy()
        self.source = source
        self.begin = 0

    def __len__(self) -> int:
        return len(self.robot) - self.begin

    @property
    def step(self) -> int:
        """Step of the next action."""
        return self.chunk_step + self.index + self.begin

    def action(self, offset: int) -> PlanAction:
        """Return the action `offset` places ahead."""
        row = self.begin + offset
        index = self.index + row
        return PlanAction(self.chunk_step + index, index, self.robot[row], self.model[row], self.source)

    def shorten(self, length: int) -> None:
        """Keep the next `length` actions only."""
        end = self.begin + length
        self.robot, self.model = self.robot[:end], self.model[:end]

    def within(self, now_ns: int, max_age_ns: int, step_ns: int) -> int:
        """Return for how many steps from now on an action of this chunk is not stale."""
        return max((max_age_ns - (now_ns - self.source.captured_ns)) // step_ns, 0)


class Plan:
    """The actions still to be commanded: consecutive steps, the next one first.

    Steps only go up: what was taken, or lies before `next_step`, never comes back. What a merge costs does
    not depend on the length of the chunk: no more than `max_actions` of it are taken.
    """

    def __init__(self, *, max_actions: int = UNBOUNDED) -> None:
        """Start empty.

        Args:
            max_actions: longest plan; more could not be played before it is stale.
        """
        self._max_actions = max_actions
        self._stretches: deque[_Stretch] = deque()
        self._next: PlanAction | None = None

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def peek(self, offset: int = 0) -> PlanAction | None:
        """Return the action `offset` places ahead, or None if the plan does not reach it."""
        if offset == 0:
            if self._next is None and self._stretches:
                self._next = self._stretches[0].action(0)
            return self._next
        for stretch in self._stretches:
            if offset < len(stretch):
                return stretch.action(offset)
            offset -= len(stretch)
        return None

    def pop(self) -> PlanAction:
        """Take the next action out. The plan must not be empty."""
        action = self.peek()
        if action is None:
            raise IndexError("the plan is empty")
        self._skip(1)
        return action

    def drop_before(self, step: int) -> int:
        """Drop actions due before `step`; return how many."""
        dropped = 0
        while self._stretches and self._stretches[0].step < step:
            count = min(step - self._stretches[0].step, len(self._stretches[0]))
            self._skip(count)
            dropped += count
        return dropped

    def clear(self) -> None:
        """Drop all actions."""
        self._stretches.clear()
        self._next = None

    def replace(self, chunk: ActionChunk, source: Source, *, next_step: int) -> None:
        """Replace the whole plan by `chunk` from `next_step` on."""
        self.clear()
        self._append(chunk, source, next_step)

    def finish(
        self,
        chunk: ActionChunk,
        source: Source,
        *,
        next_step: int,
        now_ns: int,
        max_age_ns: int,
        step_ns: int,
    ) -> None:
        """Keep the planned actions that stay within `max_age_ns`, then append `chunk`."""
        # one step for the action in play, one for an action itself
        kept = self._reach(now_ns + step_ns, max_age_ns, step_ns)
        self._truncate(kept)
        last = self._stretches[-1] if self._stretches else None
        self._append(chunk, source, next_step if last is None else last.step + len(last))

    def playable(self, now_ns: int, max_age_ns: int, step_ns: int) -> int:
        """Return how many actions can be commanded, one a step from now on, before one is stale."""
        return self._reach(now_ns, max_age_ns, step_ns)

    def prefix(self, length: int) -> Prefix | None:
        """Return the next `length` actions (fewer where the plan ends), or None if there are none."""
        model: list[FloatArray] = []
        robot: list[NDArray[np.float64]] = []
        for stretch in self._stretches:
            rows = slice(stretch.begin, stretch.begin + max(length, 0))
            model.append(stretch.model[rows])
            robot.append(stretch.robot[rows])
            length -= len(model[-1])
        if not sum(map(len, model)):
            return None
        return Prefix(model=np.concatenate(model), robot=np.concatenate(robot).astype(np.float32))

    def _reach(self, now_ns: int, max_age_ns: int, step_ns: int) -> int:
        """Return how many actions in a row are within `max_age_ns` when the step that they begin ends."""
        ahead = 0
        for stretch in self._stretches:
            fresh = stretch.within(now_ns, max_age_ns, step_ns) - ahead
            if fresh < len(stretch):
                return ahead + max(fresh, 0)
            ahead += len(stretch)
        return ahead

    def _append(self, chunk: ActionChunk, source: Source, next_step: int) -> None:
        first = max(0, next_step - chunk.step)
        length = min(len(chunk) - first, self._max_actions - len(self))
        if length > 0:
            self._stretches.append(_Stretch(chunk, source, first, length))

    def _skip(self, count: int) -> None:
        """Drop `count` actions of the first stretch."""
        self._next = None
        self._stretches[0].begin += count
        if not len(self._stretches[0]):
            self._stretches.popleft()

    def _truncate(self, length: int) -> None:
        """Keep the next `length` actions."""
        while self._stretches and len(self) > length:
            surplus = len(self) - length
            if surplus >= len(self._stretches[-1]):
                self._stretches.pop()
            else:
                self._stretches[-1].shorten(len(self._stretches[-1]) - surplus)
        if not self._stretches:
            self._next = None


def playable_actions(max_age_s: float, step_rate_hz: float) -> int:
    """Return how many actions of one chunk can be played at all, with one to spare at either end."""
    return math.ceil(max_age_s * step_rate_hz) + 2
