"""The way from the last command to the next knot of the plan: continuous, monotone, no overshoot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.control.rotation import angle_between, from_quaternion, rotation_groups, slerp, to_quaternion
from vagus.conventions import Turns
from vagus.specs import ActionFeature, ActionKind
from vagus.types import ActionArray

__all__ = ["Interpolator", "hermite"]

ROUNDING = 1e-9
"""Smallest difference of two phases: they are quotients of whole numbers."""

STEEPEST = 3.0
"""Slope over mean slope up to which a cubic between two points stays monotone (Fritsch and Carlson)."""


class Interpolator:
    """Interpolates the ticks between the knots of a plan.

    Positions follow a monotone cubic from the last position and velocity, rotations the shortest arc,
    velocities a straight line; deltas are shared out by time; efforts and binaries jump to the knot. An angle
    without ends goes the short way round. Where nobody knows where something stands (NaN), it begins at its
    first knot: no place is made up to come from.
    Only positions of the present knot and those after it change when the plan does.

    Args:
        actions: features in the order of the vectors.
    """

    def __init__(self, actions: Sequence[ActionFeature]) -> None:
        self._groups = tuple(
            (group.convention, np.array(group.columns, dtype=np.intp)) for group in rotation_groups(actions)
        )
        self._turns = Turns.of(actions)
        grouped = [feature.rotation is not None for feature in actions]
        kinds = [feature.kind for feature in actions]
        self._is_cubic = np.array(
            [kind is ActionKind.POSITION and not g for kind, g in zip(kinds, grouped, strict=True)]
        )
        self._is_linear = np.array([kind is ActionKind.VELOCITY for kind in kinds])
        self._is_delta = np.array([kind is ActionKind.DELTA for kind in kinds])
        self.position: ActionArray = np.full(len(actions), np.nan)
        self.velocity: ActionArray = np.zeros(len(actions))

    def seed(self, position: ActionArray, velocity: ActionArray) -> None:
        """Go on from `position` (NaN: not known) and `velocity` (per second), each (action_dim,)."""
        self.position = position.copy()
        self.velocity = velocity.copy()

    def advance(
        self, knot: ActionArray, next_knot: ActionArray | None, *, begin: float, end: float, step_s: float
    ) -> ActionArray:
        """Return the target at phase `end` of a step that ends at `knot`; at 1 it is `knot` bit for bit.

        Args:
            knot: (action_dim,), reached at the end of this step.
            next_knot: the one after it, which shapes the velocity of arrival; None: arrive at a stand.
            begin: phase below 1 at which the last target was current; negative: in the step before.
            end: phase in (begin, 1].
            step_s: seconds in a step.
        """
        share = 1.0 if end >= 1.0 else (end - begin) / (1.0 - begin)
        knot = self._turns.near(knot, self.position)
        if np.isnan(self.position).any():
            self.position = np.where(np.isnan(self.position), knot, self.position)
        position, velocity = self._cubic(knot, next_knot, share, begin, step_s)
        target = np.where(self._is_cubic, position, knot)
        if share < 1.0:
            linear = self.position + share * (knot - self.position)
            target = np.where(self._is_linear, linear, target)
            for convention, columns in self._groups:
                target[columns] = self._arc(self.position[columns], knot[columns], convention, share)
        target = np.where(self._is_delta, delta_share(begin, end) * knot, target)
        self.position = target.copy()
        self.velocity = np.where(self._is_cubic, velocity, 0.0)
        return target

    def between(self, start: ActionArray, stop: ActionArray, share: float) -> ActionArray:
        """Return the action at `share` of the way from `start` to `stop`, each (action_dim,)."""
        result = start + share * self._turns.difference(stop, start)
        for convention, columns in self._groups:
            result[columns] = self._arc(start[columns], stop[columns], convention, share)
        return result

    def gap(self, left: ActionArray, right: ActionArray) -> ActionArray:
        """Return how far apart two actions are, each (action_dim,): of a rotation group the angle in rad.

        NaN where one of them is NaN; infinite where the numbers are no orientation.
        """
        result = np.abs(self._turns.difference(left, right))
        for convention, columns in self._groups:
            if np.isfinite(result[columns]).all():
                result[columns] = angle_between(left[columns], right[columns], convention)
        return result

    def _cubic(
        self, knot: ActionArray, next_knot: ActionArray | None, share: float, begin: float, step_s: float
    ) -> tuple[ActionArray, ActionArray]:
        rest_s = (1.0 - begin) * step_s
        if rest_s <= 0.0:
            return knot, np.zeros(knot.size)
        mean = (knot - self.position) / rest_s
        after = np.zeros(knot.size) if next_knot is None else self._turns.difference(next_knot, knot) / step_s
        return hermite(
            self.position, knot, self.velocity, monotone_slope(mean, after), share=share, duration_s=rest_s
        )

    @staticmethod
    def _arc(start: ActionArray, stop: ActionArray, convention: str, share: float) -> ActionArray:
        first, last = to_quaternion(start, convention), to_quaternion(stop, convention)
        if first is None or last is None:
            return stop
        return from_quaternion(slerp(first, last, share), convention, start)


def delta_share(begin: float, end: float) -> float:
    """Return this tick's part of a step's delta; the ticks of one step add up to 1.

    What lies in the step before was given by its last tick, which gives all that is left of its own.
    """
    is_last = end + (end - begin) > 1.0 + ROUNDING
    return (1.0 if is_last else end) - max(begin, 0.0)


def monotone_slope(before: ActionArray, after: ActionArray) -> ActionArray:
    """Return a slope at a point between two secants: 0 at a turning point, else their harmonic mean."""
    product = before * after
    is_same_way = product > 0.0
    total = np.where(is_same_way, before + after, 1.0)
    result: ActionArray = np.where(is_same_way, 2.0 * product / total, 0.0)
    return result


def hermite(
    start: ActionArray,
    stop: ActionArray,
    start_slope: ActionArray,
    stop_slope: ActionArray,
    *,
    share: float,
    duration_s: float,
) -> tuple[ActionArray, ActionArray]:
    """Return position and velocity at `share` of a cubic that never leaves [start, stop].

    Slopes (per second) that would make it leave are cut; at `share` 1 the position is `stop` bit for bit.
    """
    mean = (stop - start) / duration_s
    bound = STEEPEST * np.abs(mean)
    side = np.sign(mean)
    first = side * np.minimum(np.maximum(side * start_slope, 0.0), bound)
    last = side * np.minimum(np.maximum(side * stop_slope, 0.0), bound)
    if share >= 1.0:
        return stop.copy(), last
    s = share
    position = (
        start
        + (stop - start) * (s * s * (3.0 - 2.0 * s))
        + duration_s * (first * (s * (1.0 - s) ** 2) - last * (s * s * (1.0 - s)))
    )
    velocity = (
        mean * (6.0 * s * (1.0 - s)) + first * ((1.0 - s) * (1.0 - 3.0 * s)) + last * (s * (3.0 * s - 2.0))
    )
    inside = np.minimum(np.maximum(position, np.minimum(start, stop)), np.maximum(start, stop))
    return inside, velocity
