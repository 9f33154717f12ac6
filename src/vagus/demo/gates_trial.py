"""The world `gates` for trials: one episode of six walls, one command per step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vagus.demo.gates import GATES_ACTIONS, GATES_STATE
from vagus.demo.gates_world import DT_S, EPISODE_STEPS, TOP_SPEED_M_S, WALLS, Courses, draw_course
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["GatesTrial"]


class GatesTrial:
    """A point on its way through six walls; a success is a wall that is passed."""

    max_steps = EPISODE_STEPS
    chances = WALLS

    def __init__(self) -> None:
        self.spec = RobotSpec("gates", GATES_ACTIONS, GATES_STATE, (), 1 / DT_S)
        self._courses = Courses([draw_course(0)])

    def reset(self, seed: int) -> None:
        """Begin the course of a seed."""
        self._courses = Courses([draw_course(seed)])

    def state(self) -> FloatArray:
        """Return place, velocity, share of the segment left, and both gaps, (5,)."""
        state: FloatArray = self._courses.observe()[0].astype(np.float32)
        return state

    def images(self) -> Mapping[str, Image]:
        """Return no frames: the world has no camera."""
        return {}

    def advance(self, action: ActionArray | None) -> None:
        """Let one step pass; without a command the point brakes."""
        wanted = np.zeros(1) if action is None else action / TOP_SPEED_M_S
        self._courses.advance(wanted)

    @property
    def is_over(self) -> bool:
        """Whether the last wall is behind."""
        return self._courses.is_over

    @property
    def successes(self) -> int:
        """Number of walls that were passed."""
        return int(self._courses.passed.sum())

    def close(self) -> None:
        """Nothing to free."""
