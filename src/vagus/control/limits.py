"""Limits of every command, the last thing before the robot: applied and counted, never a reason to drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.control.axis_limiter import UNBOUNDED, AxisBounds, AxisLimiter, BoolArray, Reason
from vagus.control.rotation import RotationGroup, RotationLimiter, rotation_groups
from vagus.conventions import Turns
from vagus.errors import PolicyError, SpecError
from vagus.specs import ActionFeature, ActionKind
from vagus.types import ActionArray

__all__ = ["Limiter", "LongestLimited"]

REASONS = {
    ActionKind.POSITION: ("position", "velocity", "acceleration", "jerk"),
    ActionKind.VELOCITY: ("velocity", "acceleration", "jerk", ""),
    ActionKind.DELTA: ("delta", "rate", "", ""),
    ActionKind.EFFORT: ("effort", "rate", "", ""),
    ActionKind.BINARY: ("binary", "", "", ""),
}
"""Names of the bounds of an axis, by `Reason`; an axis is a value and its derivatives."""

TOLERATED_SHARE = 0.05
"""Share of the range by which a command may stay off its target without being "limited for long".

A gripper told to close past its stop asks for this much all day, and a plan with some noise is always
limited a little.
"""

TOLERATED_LAG_S = 0.1
"""The same for a feature without a range: time at full speed."""

NOTHING: frozenset[str] = frozenset()

Columns: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LongestLimited:
    """The feature that was limited for longest.

    Attributes:
        name: of the feature.
        limit: what keeps it off, such as "velocity".
        ticks: for how long.
    """

    name: str
    limit: str
    ticks: int


class Limiter:
    """Bounds one action per tick. Its state is the last command and its derivatives.

    Position: value, velocity, acceleration and jerk, in this order of priority, always able to stop
    inside the value bounds. Velocity: value, acceleration, jerk. Delta: the tick's share of a policy step,
    and rate. Effort: value and rate. Binary: 0 to 1. Rotation groups: angular velocity and acceleration.

    Args:
        actions: features in the order of the vectors.
        tick_s: length of a tick; one call moves by one tick, however late it comes.
        max_limited_s: `limited_too_long` when a feature was kept off its target without a break for longer
            than this.

    Raises:
        SpecError: limits that cannot be kept.
    """

    def __init__(
        self, actions: Sequence[ActionFeature], *, tick_s: float, max_limited_s: float = 5.0
    ) -> None:
        self._max_limited_ticks = round(max_limited_s / tick_s)
        self._names = tuple(feature.name for feature in actions)
        groups = rotation_groups(actions)
        self._rotations = tuple((group, _columns(group), RotationLimiter(group, tick_s)) for group in groups)
        grouped = {column for group in groups for column in group.columns}
        is_axis = np.array([column not in grouped for column in range(len(actions))])
        self._axes = np.flatnonzero(is_axis)
        axes = [actions[column] for column in self._axes.tolist()]
        for feature in axes:
            _check_feature(feature)
        self._is_position = np.array([f.kind is ActionKind.POSITION for f in axes], dtype=np.bool_)
        self._is_velocity = np.array([f.kind is ActionKind.VELOCITY for f in axes], dtype=np.bool_)
        self._is_delta = np.array([f.kind is ActionKind.DELTA for f in axes], dtype=np.bool_)
        self._any_delta = bool(self._is_delta.any())
        bounds = self._bounds = _axis_bounds(axes)
        self._limiter = AxisLimiter(bounds, tick_s, Turns.of(axes))
        self._delta_lower, self._delta_upper, self._delta_rate = _delta_bounds(axes, tick_s)
        range_ = np.minimum(bounds.upper - bounds.lower, UNBOUNDED)
        lag = np.where(bounds.speed < UNBOUNDED, TOLERATED_LAG_S * bounds.speed, 0.0)
        self._tolerated = np.where(range_ < UNBOUNDED, TOLERATED_SHARE * range_, lag)
        self._reasons = tuple(REASONS[feature.kind] for feature in axes)
        self._limited_ticks = np.zeros(len(actions), dtype=np.int64)
        self._output: ActionArray = np.full(len(actions), np.nan)
        self._velocity: ActionArray = np.zeros(len(actions))
        self.limited: frozenset[str] = NOTHING
        self.counts: dict[str, int] = {}

    @property
    def position(self) -> ActionArray:
        """The last command, or the seed before the first, (action_dim,); NaN: not known."""
        output: ActionArray = self._output.copy()
        return output

    @property
    def velocity(self) -> ActionArray:
        """Rate of the last command, (action_dim,), per second; 0 for rotation groups and deltas."""
        velocity: ActionArray = self._velocity.copy()
        return velocity

    @property
    def is_known(self) -> bool:
        """Whether a position is known for every feature, so that one can be held."""
        return not bool(np.isnan(self._output).any())

    @property
    def is_standing(self) -> bool:
        """Whether the last command moved no position."""
        if self._limiter.velocity[self._is_position].any():
            return False
        return not any(rotation.angular_velocity.any() for _, _, rotation in self._rotations)

    @property
    def limited_too_long(self) -> str | None:
        """Name of a feature that was limited for longer than `max_limited_s`, or None."""
        worst = int(np.argmax(self._limited_ticks))
        return self._names[worst] if self._limited_ticks[worst] > self._max_limited_ticks else None

    @property
    def limited_longest(self) -> LongestLimited | None:
        """The feature that was limited for longest; None: none is."""
        worst = int(np.argmax(self._limited_ticks))
        if not self._limited_ticks[worst]:
            return None
        return LongestLimited(self._names[worst], self._limits_of(worst), int(self._limited_ticks[worst]))

    def _limits_of(self, column: int) -> str:
        """Return what limited a feature in this tick."""
        for axis in np.flatnonzero(self._axes == column).tolist():
            return " and ".join(
                self._reasons[axis][r] for r in np.flatnonzero(self._limiter.limited[:, axis])
            )
        return next((r.limited_by or "" for _, columns, r in self._rotations if column in columns), "")

    def seed(self, position: ActionArray) -> None:
        """Start from a stand at `position`, (action_dim,); NaN where nothing measures it.

        Positions outside the bounds are taken as they are: the way back is made within the limits.
        """
        self._limiter.seed(position[self._axes])
        self._output[self._axes] = self._limiter.position
        for _, columns, rotation in self._rotations:
            rotation.seed(position[columns])
            self._output[columns] = rotation.values
        self._velocity[:] = 0.0
        self._limited_ticks[:] = 0
        self.limited = NOTHING

    def clip(self, values: ActionArray) -> ActionArray:
        """Return `values`, (action_dim,), inside the value bounds."""
        result: ActionArray = values.copy()
        result[self._axes] = np.minimum(
            np.maximum(values[self._axes], self._bounds.lower), self._bounds.upper
        )
        return result

    def step(self, target: ActionArray, *, is_braking: BoolArray, share: float = 1.0) -> ActionArray:
        """Return the command of this tick, (action_dim,), as near to `target` as the limits allow.

        Args:
            target: (action_dim,).
            is_braking: (action_dim,); where set, the target is ignored: positions come to a stand, velocities
                and deltas go to zero, efforts and binaries stay.
            share: part of a policy step that one tick is; bounds of deltas are per policy step.

        Raises:
            PolicyError: a target is not finite; nothing was changed.
        """
        if not np.isfinite(target).all():
            bad = [name for name, value in zip(self._names, target, strict=True) if not np.isfinite(value)]
            raise PolicyError(f"a command must be finite; {bad} are not; nothing was commanded")
        self._step_axes(target, is_braking, share)
        for _, columns, rotation in self._rotations:
            self._output[columns] = rotation.step(target[columns], is_braking=bool(is_braking[columns[0]]))
        self._note_limited()
        output: ActionArray = self._output.copy()
        return output

    def _step_axes(self, target: ActionArray, is_braking: BoolArray, share: float) -> None:
        braking = is_braking[self._axes]
        wanted = np.where(braking & self._is_velocity, 0.0, target[self._axes])
        moved = self._limiter.step(wanted, braking & ~self._is_velocity)
        if self._any_delta:
            bound = np.minimum(share, 1.0)
            low = np.maximum(self._delta_lower * bound, -self._delta_rate)
            high = np.minimum(self._delta_upper * bound, self._delta_rate)
            shares = np.where(braking, 0.0, np.minimum(np.maximum(wanted, low), high))
            moved = np.where(self._is_delta, shares, moved)
            is_cut = self._is_delta & (moved != wanted) & ~braking
            is_fast = is_cut & (np.abs(wanted) > self._delta_rate)
            self._limiter.limited[Reason.VALUE] |= is_cut & ~is_fast
            self._limiter.limited[Reason.SPEED] |= is_fast
        self._output[self._axes] = moved
        self._velocity[self._axes] = np.where(self._is_delta, 0.0, self._limiter.velocity)

    def _note_limited(self) -> None:
        limited = self._limiter.limited
        names = (
            {self._reasons[axis][reason] for reason, axis in zip(*np.nonzero(limited), strict=True)}
            if limited.any()
            else set()
        )
        is_long = limited.any(axis=0) & ((self._limiter.gap > self._tolerated) | self._is_delta)
        self._limited_ticks[self._axes] = np.where(is_long, self._limited_ticks[self._axes] + 1, 0)
        for _, columns, rotation in self._rotations:
            if rotation.limited_by is not None:
                names.add(rotation.limited_by)
                self._limited_ticks[columns] += 1
            else:
                self._limited_ticks[columns] = 0
        for name in names:
            self.counts[name] = self.counts.get(name, 0) + 1
        self.limited = frozenset(names) if names else NOTHING


def _columns(group: RotationGroup) -> Columns:
    return np.array(group.columns, dtype=np.intp)


def _check_feature(feature: ActionFeature) -> None:
    limits = feature.limits
    low = -UNBOUNDED if limits.lower is None else limits.lower
    high = UNBOUNDED if limits.upper is None else limits.upper
    if feature.kind in (ActionKind.VELOCITY, ActionKind.DELTA) and not low <= 0.0 <= high:
        raise SpecError(
            f"limits of {feature.name}", wanted="0 within lower and upper, to stand still", got=f"{limits}"
        )
    if feature.kind is ActionKind.EFFORT and feature.safe is not None and not low <= feature.safe <= high:
        raise SpecError(f"safe value of {feature.name}", wanted=f"{low} to {high}", got=repr(feature.safe))


def _axis_bounds(axes: Sequence[ActionFeature]) -> AxisBounds:
    rows = np.array([_row(feature) for feature in axes]).reshape(len(axes), 5)
    lower, upper, speed, acceleration, jerk = (np.ascontiguousarray(column) for column in rows.T)
    return AxisBounds(lower=lower, upper=upper, speed=speed, acceleration=acceleration, jerk=jerk)


def _row(feature: ActionFeature) -> tuple[float, float, float, float, float]:
    """Return lower, upper and the bounds of the first, second and third derivative of what is commanded."""
    limits = feature.limits
    low = -UNBOUNDED if limits.lower is None else limits.lower
    high = UNBOUNDED if limits.upper is None else limits.upper
    first, second, third = (
        UNBOUNDED if bound is None else bound for bound in (limits.velocity, limits.acceleration, limits.jerk)
    )
    if feature.kind is ActionKind.VELOCITY:
        return low, high, second, third, UNBOUNDED
    if feature.kind is ActionKind.EFFORT:
        return low, high, first, UNBOUNDED, UNBOUNDED
    if feature.kind is ActionKind.BINARY:
        return 0.0, 1.0, UNBOUNDED, UNBOUNDED, UNBOUNDED
    if feature.kind is ActionKind.DELTA:
        return -UNBOUNDED, UNBOUNDED, UNBOUNDED, UNBOUNDED, UNBOUNDED
    return low, high, first, second, third


def _delta_bounds(
    axes: Sequence[ActionFeature], tick_s: float
) -> tuple[ActionArray, ActionArray, ActionArray]:
    """Return lower and upper per policy step and the rate per tick, each (axes,)."""
    lower = [-UNBOUNDED if f.limits.lower is None else f.limits.lower for f in axes]
    upper = [UNBOUNDED if f.limits.upper is None else f.limits.upper for f in axes]
    rate = [UNBOUNDED if f.limits.velocity is None else f.limits.velocity * tick_s for f in axes]
    return np.array(lower), np.array(upper), np.array(rate)
