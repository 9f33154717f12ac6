"""Bounded motion of many independent axes: value, speed, acceleration and jerk, one tick at a time.

Everything is discrete: speed is the difference of two commands over one tick, acceleration that of two
speeds, jerk that of two accelerations. The state kept is always stoppable: braking with the acceleration
bound from here on ends inside the value bounds.

An angle without ends is kept in (−half a turn, half a turn], and every target is taken where it is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.conventions import Turns
from vagus.types import ActionArray

__all__ = ["UNBOUNDED", "AxisBounds", "AxisLimiter", "BoolArray", "Reason", "brake_speed"]

BoolArray: TypeAlias = NDArray[np.bool_]

UNBOUNDED = 1e150
"""Stands for "no bound": finite, so that products and differences of bounds never become NaN."""

SLACK = 1e-10
"""Relative error by which a value may exceed a bound: rounding."""

ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""Relative error of a difference of two commands."""


FADE = 0.4
"""Share of the jerk bound with which braking before a target fades out; the rest is there to steer with."""

BRAKING = 0.9
"""Share of the acceleration bound with which an axis with a jerk bound brakes before a target; as above."""


class Reason:
    """Rows of `AxisLimiter.limited`: which bound changed an axis."""

    VALUE = 0
    SPEED = 1
    ACCELERATION = 2
    JERK = 3
    COUNT = 4


@dataclass(frozen=True, slots=True)
class AxisBounds:
    """Bounds of n axes, each array (n,), float64; `UNBOUNDED` where there is none.

    Attributes:
        lower: smallest value.
        upper: largest value.
        speed: bound of |value'|, per second.
        acceleration: bound of |value''|.
        jerk: bound of |value'''|; only where acceleration is bounded too.
    """

    lower: ActionArray
    upper: ActionArray
    speed: ActionArray
    acceleration: ActionArray
    jerk: ActionArray


def brake_speed(distance: ActionArray, change: ActionArray, tick_s: float) -> ActionArray:
    """Return the largest speed of this tick from which braking covers at most `distance`, this tick included.

    Braking at `change` per tick from speed v runs v, v - change, … while above 0, each for one tick.
    """
    ticks = np.ceil((np.sqrt(1.0 + 8.0 * distance / (change * tick_s)) - 1.0) * 0.5)
    np.maximum(ticks, 1.0, out=ticks)
    result: ActionArray = (distance / tick_s + change * (ticks * (ticks - 1.0) * 0.5)) / ticks
    return result


class AxisLimiter:
    """Moves n axes towards targets inside their bounds; priority value > speed > acceleration > jerk.

    A target sequence that keeps the bounds passes bit for bit. A target that stands still is not overshot
    where the bounds leave a choice. `position` is NaN where nobody knows it.

    Args:
        bounds: of each axis.
        tick_s: length of a tick.
        turns: which axes are angles without ends; None: none.
    """

    def __init__(self, bounds: AxisBounds, tick_s: float, turns: Turns | None = None) -> None:
        self._bounds = bounds
        self._turns = turns or Turns([None] * bounds.lower.size)
        self._tick_s = tick_s
        size = bounds.lower.size
        self._change = np.minimum(bounds.acceleration * tick_s, UNBOUNDED)
        self._jolt = np.minimum(bounds.jerk * tick_s * tick_s, UNBOUNDED)
        self._has_jerk: BoolArray = bounds.jerk < UNBOUNDED
        self._any_jerk = bool(self._has_jerk.any())
        self._fade = np.where(self._has_jerk, FADE * bounds.jerk, 1.0)
        self._fade_s = np.where(self._has_jerk, BRAKING * bounds.acceleration / self._fade, 1.0)
        self._jolt_to_curve = np.where(self._has_jerk, (1.0 - FADE) * self._jolt, UNBOUNDED)
        self._snap = np.minimum(self._change, self._jolt) * tick_s
        self._slack = SLACK * np.minimum(np.minimum(bounds.speed, self._change), self._jolt)
        self.position: ActionArray = np.full(size, np.nan)
        self.velocity: ActionArray = np.zeros(size)
        self._acceleration: ActionArray = np.zeros(size)
        self._target: ActionArray = np.full(size, np.nan)
        self._forward: ActionArray = np.zeros(size)
        self.limited: BoolArray = np.zeros((Reason.COUNT, size), dtype=np.bool_)
        self.gap: ActionArray = np.zeros(size)

    @property
    def is_known(self) -> BoolArray:
        """Whether the position of an axis is known, (n,)."""
        return ~np.isnan(self.position)

    def seed(self, position: ActionArray) -> None:
        """Start from a stand at `position`, (n,); NaN, or beyond `UNBOUNDED`: the last position stays.

        An axis that was never measured takes its first target as it comes, inside the value bounds.
        """
        is_measured = np.abs(position) <= UNBOUNDED
        self.position = np.where(is_measured, self._turns.wrapped(position), self.position)
        for array in (self.velocity, self._acceleration, self._forward):
            array[:] = 0.0
        self._target = self.position.copy()

    def step(self, target: ActionArray, is_braking: BoolArray) -> ActionArray:
        """Move one tick towards `target` and return the new position, (n,).

        Where `is_braking`, the target is ignored and the axis decelerates to a stand.
        `limited` (4, n) then says which bound changed which axis, `gap` how far it is from its target for it.
        """
        bounds = self._bounds
        target = self._turns.near(target, self.position)
        inside = np.minimum(np.maximum(target, bounds.lower), bounds.upper)
        self._meet_unknown(inside, is_braking)
        low, high = self._speed_interval()
        wanted, is_exact = self._wanted_speed(inside)
        speed = np.minimum(np.maximum(np.where(is_braking, self._braking_speed(), wanted), low), high)
        raw = (inside - self.position) / self._tick_s
        slack = self._slack + ROUNDING * (np.abs(inside) + np.abs(self.position)) / self._tick_s
        is_reached = is_exact & ~is_braking & (raw >= low - slack) & (raw <= high + slack)
        moved = self.position + speed * self._tick_s
        moved = np.minimum(
            np.maximum(moved, np.minimum(bounds.lower, self.position)),
            np.maximum(bounds.upper, self.position),
        )
        position: ActionArray = np.where(is_reached, inside, moved)
        self._explain(target, position, raw, is_braking)
        self._commit(position, inside, is_braking)
        return self.position

    def _meet_unknown(self, inside: ActionArray, is_braking: BoolArray) -> None:
        is_first = np.isnan(self.position) & ~is_braking
        if is_first.any():
            self.position = np.where(is_first, inside, self.position)
            self._target = np.where(is_first, inside, self._target)
            for array in (self.velocity, self._acceleration, self._forward):
                array[is_first] = 0.0

    def _speed_interval(self) -> tuple[ActionArray, ActionArray]:
        """Return the range of speeds in this tick; a bound of lower priority gives way to a higher one."""
        bounds, tick_s = self._bounds, self._tick_s
        above = np.maximum(bounds.upper - self.position, 0.0)
        below = np.maximum(self.position - bounds.lower, 0.0)
        high = np.minimum(brake_speed(above, self._change, tick_s), bounds.speed)
        low = -np.minimum(brake_speed(below, self._change, tick_s), bounds.speed)
        low_change, high_change = self._change, self._change
        if self._any_jerk:
            rise = brake_speed(np.maximum(bounds.speed - self.velocity, 0.0), self._jolt, 1.0)
            fall = brake_speed(np.maximum(bounds.speed + self.velocity, 0.0), self._jolt, 1.0)
            high_change = np.minimum(self._change, np.where(self._has_jerk, rise, UNBOUNDED))
            low_change = np.minimum(self._change, np.where(self._has_jerk, fall, UNBOUNDED))
        low, high = _narrow(low, high, self.velocity - low_change, self.velocity + high_change)
        if self._any_jerk:
            drift = self.velocity + self._acceleration * tick_s
            low, high = _narrow(low, high, drift - self._jolt, drift + self._jolt)
        return low, high

    def _braking_speed(self) -> ActionArray:
        """Return the speed that comes to a stand soonest; with a jerk bound, without swinging back."""
        if not self._any_jerk:
            return np.zeros(self.velocity.size)
        size = np.abs(self.velocity)
        slower = size - brake_speed(size, self._jolt, 1.0)
        result: ActionArray = np.where(self._has_jerk, np.sign(self.velocity) * slower, 0.0)
        return result

    def _wanted_speed(self, inside: ActionArray) -> tuple[ActionArray, BoolArray]:
        """Return the speed that follows the target, and where the target itself is to be hit in this tick.

        A target is followed at its own speed, as far as that changes no faster than the axis may accelerate;
        the gap that is left is closed on top.
        """
        tick_s, speed = self._tick_s, self._bounds.speed
        ahead = self._turns.difference(inside, self._target)
        target_velocity = np.minimum(np.maximum(ahead / tick_s, -speed), speed)
        forward = np.minimum(
            np.maximum(target_velocity, self._forward - self._change), self._forward + self._change
        )
        self._forward = forward
        gap = inside - forward * tick_s - self.position
        distance = np.abs(gap)
        closing = brake_speed(distance, self._change, tick_s)
        if self._any_jerk:
            side = np.sign(gap)
            closing = np.minimum(closing, self._closing_with_jerk(distance, side * (self.velocity - forward)))
        is_exact: BoolArray = distance <= self._snap
        raw = (inside - self.position) / tick_s
        return np.where(is_exact, raw, forward + np.sign(gap) * closing), is_exact

    def _closing_with_jerk(self, distance: ActionArray, closing: ActionArray) -> ActionArray:
        """Return the closing speed that leaves room to build the braking up and down again within the jerk.

        It keeps to the curve of `_curve`; the rest of the jerk is there to reach that curve smoothly.
        """
        room = self._curve(np.maximum(distance + closing * self._tick_s, 0.0)) - closing
        rest = room - np.sign(room) * brake_speed(np.abs(room), self._jolt_to_curve, 1.0)
        curve = self._curve(distance)
        result: ActionArray = np.where(self._has_jerk, np.minimum(curve, curve - rest), UNBOUNDED)
        return result

    def _curve(self, distance: ActionArray) -> ActionArray:
        """Return the speed from which gentle braking that fades out (`BRAKING`, `FADE`) ends in `distance`.

        In ticks: the last speeds of such a fade are j·n(n+1)/2 for n = …, 2, 1, j its change per tick.
        """
        time_s = np.minimum(np.cbrt(6.0 * distance / self._fade), self._fade_s)
        beyond = np.maximum(distance - self._fade * time_s**3 / 6.0, 0.0)
        slow = 0.5 * self._fade * time_s * np.maximum(time_s - self._tick_s, 0.0)
        result: ActionArray = np.sqrt(slow * slow + 2.0 * self._fade * time_s * beyond)
        return result

    def _explain(
        self, target: ActionArray, position: ActionArray, raw: ActionArray, is_braking: BoolArray
    ) -> None:
        bounds, limited = self._bounds, self.limited
        is_changed = (position != target) & ~is_braking
        self.gap = np.where(is_changed, np.abs(position - target), 0.0)
        limited[Reason.VALUE] = is_changed & ((target < bounds.lower) | (target > bounds.upper))
        limited[Reason.SPEED] = is_changed & (np.abs(raw) > bounds.speed)
        is_rest = is_changed & ~limited[Reason.VALUE] & ~limited[Reason.SPEED]
        is_jerk = is_rest & self._has_jerk & (np.abs(raw - self.velocity) <= self._change)
        limited[Reason.JERK] = is_jerk
        limited[Reason.ACCELERATION] = is_rest & ~is_jerk

    def _commit(self, position: ActionArray, inside: ActionArray, is_braking: BoolArray) -> None:
        velocity = (position - self.position) / self._tick_s
        self._acceleration = (velocity - self.velocity) / self._tick_s
        self.velocity = velocity
        self.position = self._turns.wrapped(position)
        self._target = np.where(is_braking, position, inside)
        if is_braking.any():
            self._forward = np.where(is_braking, velocity, self._forward)


def _narrow(
    low: ActionArray, high: ActionArray, lower: ActionArray, upper: ActionArray
) -> tuple[ActionArray, ActionArray]:
    """Return [low, high] ∩ [lower, upper], or the end of [low, high] next to it where they do not meet."""
    return np.minimum(np.maximum(lower, low), high), np.minimum(np.maximum(upper, low), high)
