"""Differences between recorded numbers and replayed ones, per joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from vagus.errors import SpecError

__all__ = ["Differences", "JointDifference"]

Rows: TypeAlias = "NDArray[np.float32] | NDArray[np.float64]"


class JointDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of one joint, in its own unit."""

    name: str
    """Name of the action."""
    unit: str
    """Its unit; "": nobody stated it."""
    max: float
    """Largest difference; 0 if nothing was compared."""
    mean: float
    """Mean of the differences; 0 if nothing was compared."""
    rows: int
    """Number of rows that were compared."""


class Differences:
    """Differences of rows of actions, joint by joint.

    Args:
        names: names of the joints, in the order of a row.
        units: their units.
    """

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        self._names = tuple(names)
        self._units = tuple(units)
        self._max = np.zeros(len(self._names))
        self._sum = np.zeros(len(self._names))
        self._rows = np.zeros(len(self._names), np.int64)

    def add(self, recorded: Rows, replayed: Rows) -> float:
        """Compare rows, (n, action_dim) each; return the largest difference among them.

        A number that is NaN in either of them is not compared.

        Raises:
            SpecError: another width, or another number of rows.
        """
        if recorded.shape != replayed.shape or recorded.shape[1:] != (len(self._names),):
            raise SpecError(
                "rows to compare",
                wanted=f"({len(recorded)}, {len(self._names)})",
                got=f"{recorded.shape} recorded, {replayed.shape} replayed",
            )
        apart = np.abs(replayed.astype(np.float64) - recorded.astype(np.float64))
        is_told = ~np.isnan(apart)
        apart = np.where(is_told, apart, 0.0)
        self._max = np.maximum(self._max, apart.max(axis=0, initial=0.0))
        self._sum += apart.sum(axis=0)
        self._rows += is_told.sum(axis=0)
        return float(apart.max(initial=0.0))

    @property
    def largest(self) -> float:
        """Largest difference of all joints."""
        return max(map(float, self._max), default=0.0)

    def joints(self) -> tuple[JointDifference, ...]:
        """Return what was found, per joint."""
        means = self._sum / np.maximum(self._rows, 1)
        return tuple(
            JointDifference(name=name, unit=unit, max=float(most), mean=float(mean), rows=int(rows))
            for name, unit, most, mean, rows in zip(
                self._names, self._units, self._max, means, self._rows, strict=True
            )
        )
