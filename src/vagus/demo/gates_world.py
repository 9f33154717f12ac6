"""World of `gates`: a point that moves forward at a constant pace, and walls with two gaps. Pure, vectorised.

At each wall there are two right ways, so plans of two moments may contradict each other: what a way of
playing chunks is worth shows here. In half of the segments both gaps jump, and nobody knows before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DT_S",
    "EPISODE_STEPS",
    "HALF_GAP_M",
    "OBSERVATION_WIDTH",
    "SEGMENT_STEPS",
    "TOP_SPEED_M_S",
    "WALLS",
    "Course",
    "Courses",
    "draw_course",
]

Floats: TypeAlias = NDArray[np.float64]

DT_S = 0.05
"""Duration of one step: 20 Hz."""
SEGMENT_STEPS = 30
"""Steps from one wall to the next."""
WALLS = 6
EPISODE_STEPS = SEGMENT_STEPS * WALLS
TOP_SPEED_M_S = 1.8
"""Velocity that the action 1 asks for."""
LAG = 0.45
"""Share of the wanted change of velocity that one step brings."""
VELOCITY_NOISE = 0.06
"""Standard deviation of the disturbance of the velocity in each step, m/s."""
FARTHEST_M = 1.3
GAP_M = (0.5, 0.75)
"""Range of the distance from the middle to the centre of a gap."""
HALF_GAP_M = 0.14
JUMP_M = (0.15, 0.3)
JUMP_STEPS = (6, 19)
"""First and last step of a segment at which its gaps may jump."""
JUMP_SHARE = 0.5
START_M = 0.05
"""Standard deviation of the place at the start."""
OBSERVATION_WIDTH = 5


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """All that chance decides in one episode; the same course is the same test for every way of playing.

    Attributes:
        centres: centres of the two gaps of each wall before a jump, (WALLS, 2), metres; the left one first.
        jump_step: step of the segment at which both gaps jump, (WALLS,); SEGMENT_STEPS: they stay.
        jump: by how much, (WALLS,), metres.
        push: disturbance of the velocity in each step, (EPISODE_STEPS,), m/s.
        start: place at the start, metres.
    """

    centres: Floats
    jump_step: NDArray[np.int64]
    jump: Floats
    push: Floats
    start: float


def draw_course(seed: int) -> Course:
    """Return the course of a seed."""
    random = np.random.default_rng(seed)
    left, right = random.uniform(*GAP_M, WALLS), -random.uniform(*GAP_M, WALLS)
    jumps = random.random(WALLS) < JUMP_SHARE
    step = random.integers(JUMP_STEPS[0], JUMP_STEPS[1] + 1, WALLS)
    sign = np.where(random.random(WALLS) < 0.5, -1.0, 1.0)
    return Course(
        centres=np.stack([left, right], axis=1),
        jump_step=np.where(jumps, step, SEGMENT_STEPS),
        jump=sign * random.uniform(*JUMP_M, WALLS),
        push=random.normal(0.0, VELOCITY_NOISE, EPISODE_STEPS),
        start=float(random.normal(0.0, START_M)),
    )


class Courses:
    """Episodes that run side by side, one per course, from their first step to their last.

    Attributes:
        step: steps taken so far.
        place: lateral place of each point, (n,), metres, left positive.
        velocity: lateral velocity, (n,), m/s.
        passed: whether each wall was passed, (n, WALLS); False for those that are still ahead.
    """

    def __init__(self, courses: Sequence[Course]) -> None:
        self._centres = np.stack([course.centres for course in courses])
        self._jump_step = np.stack([course.jump_step for course in courses])
        self._jump = np.stack([course.jump for course in courses])
        self._push = np.stack([course.push for course in courses])
        self.step = 0
        self.place: Floats = np.array([course.start for course in courses])
        self.velocity: Floats = np.zeros(len(courses))
        self.passed = np.zeros((len(courses), WALLS), np.bool_)

    @property
    def is_over(self) -> bool:
        """Whether the last wall is behind."""
        return self.step >= EPISODE_STEPS

    @property
    def left_share(self) -> float:
        """Share of the segment that is left, 0–1."""
        return (SEGMENT_STEPS - self.step % SEGMENT_STEPS) / SEGMENT_STEPS

    def gaps(self) -> Floats:
        """Return the centres of the next wall's gaps as they are now, (n, 2), metres."""
        wall, at = divmod(min(self.step, EPISODE_STEPS - 1), SEGMENT_STEPS)
        return self._gaps(wall, at)

    def observe(self) -> Floats:
        """Return what a policy sees, (n, 5): place, velocity, share of the segment left, both gaps."""
        share = np.full(len(self.place), self.left_share)
        return np.column_stack([self.place, self.velocity, share, self.gaps()])

    def advance(self, action: Floats) -> None:
        """Take one step.

        Args:
            action: wanted velocity over `TOP_SPEED_M_S`, (n,); beyond −1 to 1 it is cut off.
        """
        wall, at = divmod(self.step, SEGMENT_STEPS)
        wanted = TOP_SPEED_M_S * np.clip(action, -1.0, 1.0)
        self.velocity = self.velocity + LAG * (wanted - self.velocity) + self._push[:, self.step]
        self.place = np.clip(self.place + self.velocity * DT_S, -FARTHEST_M, FARTHEST_M)
        self.step += 1
        if at == SEGMENT_STEPS - 1:
            distance = np.abs(self.place[:, None] - self._gaps(wall, at))
            self.passed[:, wall] = (distance <= HALF_GAP_M).any(axis=1)

    def _gaps(self, wall: int, at: int) -> Floats:
        has_jumped = at >= self._jump_step[:, wall]
        return self._centres[:, wall] + np.where(has_jumped, self._jump[:, wall], 0.0)[:, None]
