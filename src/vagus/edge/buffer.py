"""Actions waiting to be commanded, indexed by policy step."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from vagus.types import ActionArray, ActionChunk, FloatArray, Prefix

__all__ = ["Plan", "PlanAction", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """The request behind a chunk: session epoch, request number, capture stamp."""

    epoch: int
    seq: int
    captured_ns: int


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


class Plan:
    """The actions still to be commanded: consecutive steps, the next one first.

    Steps only go up: what was taken, or lies before `next_step`, never comes back.
    """

    def __init__(self) -> None:
        self._actions: deque[PlanAction] = deque()

    def __len__(self) -> int:
        return len(self._actions)

    def peek(self, offset: int = 0) -> PlanAction | None:
        """Return the action `offset` places ahead, or None if the plan does not reach it."""
        return self._actions[offset] if offset < len(self._actions) else None

    def pop(self) -> PlanAction:
        """Take the next action out. The plan must not be empty."""
        return self._actions.popleft()

    def drop_before(self, step: int) -> int:
        """Drop actions due before `step`; return how many."""
        dropped = 0
        while self._actions and self._actions[0].step < step:
            self._actions.popleft()
            dropped += 1
        return dropped

    def clear(self) -> None:
        """Drop everything."""
        self._actions.clear()

    def replace(self, chunk: ActionChunk, source: Source, *, next_step: int) -> None:
        """Take `chunk` from `next_step` on in place of all that was planned."""
        self._actions = deque(self._cut(chunk, source, next_step))

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
        """Keep what was planned as far as it stays within `max_age_ns`, then go on with `chunk`."""
        kept: deque[PlanAction] = deque()
        for ahead, action in enumerate(self._actions):
            # one step for the action in play, one for this action itself
            if action.is_stale(now_ns + (ahead + 2) * step_ns, max_age_ns):
                break
            kept.append(action)
        follow = kept[-1].step + 1 if kept else next_step
        kept.extend(self._cut(chunk, source, follow))
        self._actions = kept

    def playable(self, now_ns: int, max_age_ns: int, step_ns: int) -> int:
        """Return how many actions can be commanded, one a step from now on, before one is stale."""
        for ahead, action in enumerate(self._actions):
            if action.is_stale(now_ns + (ahead + 1) * step_ns, max_age_ns):
                return ahead
        return len(self._actions)

    def prefix(self, length: int) -> Prefix | None:
        """Return the next `length` actions (fewer where the plan ends), or None if there are none."""
        actions = [self._actions[i] for i in range(min(length, len(self._actions)))]
        if not actions:
            return None
        return Prefix(
            model=np.stack([action.model for action in actions]),
            robot=np.stack([action.robot for action in actions]).astype(np.float32),
        )

    @staticmethod
    def _cut(chunk: ActionChunk, source: Source, next_step: int) -> list[PlanAction]:
        robot = chunk.robot.astype(np.float64)
        first = max(0, next_step - chunk.step)
        return [
            PlanAction(chunk.step + i, i, robot[i], chunk.model[i], source) for i in range(first, len(chunk))
        ]
