"""Conventions of angles and rotations: which numbers are valid, and which numbers mean the same rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.errors import SpecError
from vagus.features import ActionFeature
from vagus.units import canonical

__all__ = ["CONVENTIONS", "MAX_TURNS", "NORMS", "Turns", "first_meaningless", "full_turn", "group_columns"]

Vector = NDArray[np.float64]

CONVENTIONS = {"rotvec": 3, "quat_xyzw": 4, "quat_wxyz": 4}
"""Convention of a rotation group → count of its numbers.

rotvec: axis times angle in rad. quat_xyzw, quat_wxyz: a quaternion, scalar last or first.
"""

NORMS = {"rotvec": (0.0, 4.0 * math.tau), "quat_xyzw": (0.5, 2.0), "quat_wxyz": (0.5, 2.0)}
"""Convention → smallest and largest valid norm of the numbers: a rotation up to four turns, a quaternion
about 1."""

MAX_TURNS = 1000.0
"""Largest valid angle in turns: above it, the float32 of an action is too coarse."""

FULL_TURN = {"rad": math.tau, "deg": 360.0, "rev": 1.0}


def full_turn(feature: ActionFeature) -> float | None:
    """Return a full turn of an angle without end stops, in its unit; None for any other feature.

    Raises:
        SpecError: a full turn is not known in its unit.
    """
    if not feature.continuous:
        return None
    unit = canonical(feature.unit)
    if unit not in FULL_TURN:
        raise SpecError(
            f"continuous {feature.name}", wanted=f"a unit of {' or '.join(FULL_TURN)}", got=repr(feature.unit)
        )
    return FULL_TURN[unit]


def group_columns(actions: Sequence[ActionFeature]) -> dict[str, list[int]]:
    """Return rotation group → its columns in `actions`, in order of the first column."""
    columns: dict[str, list[int]] = {}
    for column, feature in enumerate(actions):
        if feature.rotation is not None:
            columns.setdefault(feature.rotation, []).append(column)
    return columns


class Turns:
    """Full turns of the angles without end stops in an action, and arithmetic that takes the shorter way.

    Args:
        turns: full turn of each number, (n,); None: the number is no angle without end stops.
    """

    def __init__(self, turns: Sequence[float | None]) -> None:
        self._turns = np.array([turn is not None for turn in turns], dtype=np.bool_)
        self._turn = np.array([1.0 if turn is None else turn for turn in turns], dtype=np.float64)
        self._half = 0.5 * self._turn
        self.any = bool(self._turns.any())
        """Whether there is such an angle."""

    @classmethod
    def of(cls, actions: Sequence[ActionFeature]) -> Turns:
        """Return the turns of `actions`."""
        return cls([full_turn(feature) for feature in actions])

    def near(self, values: Vector, around: Vector) -> Vector:
        """Return `values`, (n,), each angle moved by whole turns next to `around`; not where that is NaN."""
        if not self.any:
            return values
        count = np.round((values - around) / self._turn)
        result: Vector = np.where(self._turns & np.isfinite(count), values - count * self._turn, values)
        return result

    def wrapped(self, values: Vector) -> Vector:
        """Return `values`, (n,), with each angle moved into (−half a turn, half a turn]."""
        if not self.any:
            return values
        inside = values - self._turn * np.ceil(values / self._turn - 0.5)
        rounded = (inside <= -self._half) | (inside > self._half)
        result: Vector = np.where(self._turns, np.where(rounded, self._half, inside), values)
        return result

    def difference(self, values: Vector, start: Vector) -> Vector:
        """Return the difference from `start` to `values`, (n,); for an angle, the shorter way."""
        return self.near(values, start) - start


def first_meaningless(actions: Sequence[ActionFeature], values: NDArray[np.floating]) -> str | None:
    """Return the name of the first angle or rotation group that is invalid in some row, or None.

    Args:
        actions: features in the order of the columns.
        values: (n, action_dim), finite.
    """
    for name, columns in group_columns(actions).items():
        low, high = NORMS.get(name.rpartition(":")[2], (0.0, math.inf))
        norms = np.linalg.norm(values[:, columns].astype(np.float64), axis=1)
        if not ((norms >= low) & (norms <= high)).all():
            return name
    for column, feature in enumerate(actions):
        turn = full_turn(feature)
        if turn is not None and not (np.abs(values[:, column]) <= MAX_TURNS * turn).all():
            return feature.name
    return None
