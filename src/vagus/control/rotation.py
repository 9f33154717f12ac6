"""Orientations in an action: conventions, quaternion arithmetic, and motion with bounded angular speed.

A rotation group is named `<name>:<convention>`, with a convention of `CONVENTIONS`; its features come in that
order. Several numbers mean one orientation; those written here are a rotation vector of at most π, and a unit
quaternion with the sign next to the last one. Quaternions inside are (4,) float64, scalar last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.control.axis_limiter import ROUNDING, SLACK, UNBOUNDED, brake_speed
from vagus.conventions import CONVENTIONS, NORMS, group_columns
from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind
from vagus.types import ActionArray

__all__ = [
    "RotationGroup",
    "RotationLimiter",
    "angle_between",
    "from_quaternion",
    "rotation_groups",
    "slerp",
    "to_quaternion",
]

Vector: TypeAlias = NDArray[np.float64]

WRITING = 1e-6
"""Error of a norm that is left uncorrected: the numbers come as float32."""


@dataclass(frozen=True, slots=True)
class RotationGroup:
    """Features of an action that form one orientation.

    Attributes:
        name: what the features call it, e.g. "wrist:rotvec".
        convention: key of `CONVENTIONS`.
        columns: indices of the features in the action, in the order of the convention.
        speed: bound of the angular speed, rad/s.
        acceleration: bound of the angular acceleration, rad/s².
    """

    name: str
    convention: str
    columns: tuple[int, ...]
    speed: float
    acceleration: float


def rotation_groups(actions: Sequence[ActionFeature]) -> tuple[RotationGroup, ...]:
    """Return the rotation groups of `actions`, by first column.

    Raises:
        SpecError: an unknown convention, a wrong number of features, a kind other than position, or limits
            that an orientation cannot have.
    """
    groups = group_columns(actions).items()
    return tuple(_group(name, [(column, actions[column]) for column in columns]) for name, columns in groups)


def _group(name: str, members: Sequence[tuple[int, ActionFeature]]) -> RotationGroup:
    convention = name.rpartition(":")[2]
    if convention not in CONVENTIONS:
        known = " or ".join(f"'<name>:{choice}'" for choice in CONVENTIONS)
        raise SpecError(f"rotation group {name!r}", wanted=known, got=repr(name))
    if len(members) != CONVENTIONS[convention]:
        raise SpecError(
            f"rotation group {name!r}",
            wanted=f"{CONVENTIONS[convention]} features",
            got=f"{len(members)}: {[feature.name for _, feature in members]}",
        )
    limits = members[0][1].limits
    for _, feature in members:
        if feature.kind is not ActionKind.POSITION:
            raise SpecError(
                f"rotation group {name!r}",
                wanted="kind position",
                got=f"{feature.kind.value} ({feature.name})",
                fix="leave rotation unset: each feature is then bounded by itself",
            )
        if feature.limits != limits:
            raise SpecError(
                f"rotation group {name!r}",
                wanted="the same limits on each of its features",
                got=f"{feature.limits} on {feature.name}",
            )
    if limits.lower is not None or limits.upper is not None or limits.jerk is not None:
        raise SpecError(f"rotation group {name!r}", wanted="velocity and acceleration only", got=f"{limits}")
    speed = UNBOUNDED if limits.velocity is None else limits.velocity
    acceleration = UNBOUNDED if limits.acceleration is None else limits.acceleration
    return RotationGroup(name, convention, tuple(column for column, _ in members), speed, acceleration)


def to_quaternion(values: Vector, convention: str) -> Vector | None:
    """Return the unit quaternion of `values`, or None if they are no orientation."""
    low, high = NORMS[convention]
    norm = _length(values)
    if not low <= norm <= high:
        return None
    if convention == "rotvec":
        return _exp(values)
    result: Vector = (np.roll(values, -1) if convention == "quat_wxyz" else values) / norm
    return result


def from_quaternion(quaternion: Vector, convention: str, near: Vector) -> Vector:
    """Return `quaternion` in `convention`; where two writings are equally short, the one nearer to `near`."""
    if convention != "rotvec":
        values: Vector = np.roll(quaternion, 1) if convention == "quat_wxyz" else quaternion
        return -values if float(values @ near) < 0.0 else values.copy()
    vector = _log(quaternion)
    is_half_turn = _length(vector) >= math.pi - SLACK
    return -vector if is_half_turn and float(vector @ near) < 0.0 else vector


def _written(values: Vector, quaternion: Vector, convention: str, near: Vector) -> Vector:
    """Return the numbers for `quaternion`: those of `values`, which mean it, where they are well written."""
    norm = _length(values)
    if convention == "rotvec":
        is_well_written = norm <= math.pi + WRITING
    else:
        is_well_written = abs(norm - 1.0) <= WRITING and not float(values @ near) < 0.0
    return values.copy() if is_well_written else from_quaternion(quaternion, convention, near)


def angle_between(left: Vector, right: Vector, convention: str) -> float:
    """Return the angle in rad between two orientations; infinite if one of them is invalid."""
    first, second = to_quaternion(left, convention), to_quaternion(right, convention)
    return math.inf if first is None or second is None else _length(_way(first, second))


def slerp(start: Vector, end: Vector, share: float) -> Vector:
    """Return the orientation at `share` of the shortest way from `start` to `end`."""
    return _multiply(_exp(share * _log(_multiply(end, _conjugate(start)))), start)


def _multiply(left: Vector, right: Vector) -> Vector:
    ax, ay, az, aw = left.tolist()
    bx, by, bz, bw = right.tolist()
    product = np.array(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        )
    )
    result: Vector = product / math.sqrt(float(product @ product))
    return result


def _conjugate(quaternion: Vector) -> Vector:
    conjugate: Vector = quaternion * np.array((-1.0, -1.0, -1.0, 1.0))
    return conjugate


def _exp(vector: Vector) -> Vector:
    """Return the quaternion of a rotation vector."""
    angle = math.sqrt(float(vector @ vector))
    scale = 0.5 if angle < SLACK else math.sin(0.5 * angle) / angle
    result = np.empty(4)
    result[:3] = scale * vector
    result[3] = math.cos(0.5 * angle)
    return result


def _log(quaternion: Vector) -> Vector:
    """Return the rotation vector of at most π of a quaternion."""
    side = -1.0 if quaternion[3] < 0.0 else 1.0
    sine = math.sqrt(float(quaternion[:3] @ quaternion[:3]))
    scale = 2.0 * side if sine < SLACK else 2.0 * side * math.atan2(sine, side * float(quaternion[3])) / sine
    result: Vector = scale * quaternion[:3]
    return result


def _way(start: Vector, end: Vector) -> Vector:
    """Return the shortest rotation vector that turns `start` into `end`."""
    return _log(_multiply(end, _conjugate(start)))


def _length(vector: Vector) -> float:
    return math.hypot(*vector.tolist())


class RotationLimiter:
    """Turns one orientation towards targets with bounded angular speed and acceleration.

    A target sequence that keeps the bounds passes bit for bit, as far as it is written as this module writes;
    a target that stands still is not overshot. `values` are the numbers of the last command, NaN before.
    """

    def __init__(self, group: RotationGroup, tick_s: float) -> None:
        self._group = group
        self._tick_s = tick_s
        self._change = np.array([min(group.acceleration * tick_s, UNBOUNDED)])
        self._slack = min(SLACK, SLACK * min(group.speed, float(self._change[0]))) + 8.0 * ROUNDING / tick_s
        self._orientation: Vector | None = None
        self._speed: Vector = np.zeros(3)
        self._target: Vector = np.array((0.0, 0.0, 0.0, 1.0))
        self._target_speed: Vector = np.zeros(3)
        self.values: ActionArray = np.full(len(group.columns), np.nan)
        self.limited_by: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether an orientation is known."""
        return self._orientation is not None

    @property
    def angular_velocity(self) -> Vector:
        """Angular velocity of the last tick, (3,), rad/s."""
        return self._speed

    def seed(self, values: ActionArray) -> None:
        """Start from a stand at `values`; without an orientation (NaN, not measured) the last one stays."""
        self._speed = np.zeros(3)
        self._target_speed = np.zeros(3)
        measured = to_quaternion(values, self._group.convention)
        if measured is not None:
            self._orientation = measured
            self.values = _written(values, measured, self._group.convention, self.values)
        if self._orientation is not None:
            self._target = self._orientation

    def step(self, target: ActionArray, *, is_braking: bool) -> ActionArray:
        """Turn one tick towards `target` and return the new values; braking ignores the target."""
        self.limited_by = None
        wanted = to_quaternion(target, self._group.convention)
        if self._orientation is None:
            if wanted is None or is_braking:
                return self.values
            self._orientation = self._target = wanted
        if is_braking or wanted is None:
            self.limited_by = None if is_braking else "rotation"
            values = self._turn(self._bounded(np.zeros(3)))
            self._target, self._target_speed = self._orientation, self._speed
            return values
        speed, is_exact = self._wanted_speed(self._orientation, wanted)
        bounded = self._bounded(speed)
        if is_exact and _length(bounded - speed) <= self._slack:
            self._orientation, self._speed = wanted, speed
            self.values = _written(target, wanted, self._group.convention, self.values)
            return self.values
        is_fast = _length(speed) > self._group.speed
        self.limited_by = "angular_velocity" if is_fast else "angular_acceleration"
        return self._turn(bounded)

    def _wanted_speed(self, orientation: Vector, wanted: Vector) -> tuple[Vector, bool]:
        """Return the angular velocity towards the target, and whether it hits the target in this tick."""
        target_speed = _way(self._target, wanted) / self._tick_s
        change = _length(target_speed - self._target_speed)
        is_smooth = change <= float(self._change[0]) + self._slack
        gap = _way(orientation, self._target if is_smooth else wanted)
        distance = _length(gap)
        self._target, self._target_speed = wanted, target_speed
        if distance <= float(self._change[0]) * self._tick_s:
            return _way(orientation, wanted) / self._tick_s, True
        closing = float(brake_speed(np.array([distance]), self._change, self._tick_s)[0])
        forward = target_speed if is_smooth else np.zeros(3)
        return forward + gap * (closing / distance), False

    def _bounded(self, speed: Vector) -> Vector:
        """Return the nearest angular velocity within the bounds, on the straight way from the present one."""
        length = _length(speed)
        if length > self._group.speed:
            speed = speed * (self._group.speed / length)
        step = speed - self._speed
        length = _length(step)
        if length > float(self._change[0]):
            return self._speed + step * (float(self._change[0]) / length)
        return speed

    def _turn(self, speed: Vector) -> ActionArray:
        if self._orientation is None:
            return self.values
        self._speed = speed
        if not speed.any():
            return self.values
        self._orientation = _multiply(_exp(speed * self._tick_s), self._orientation)
        self.values = from_quaternion(self._orientation, self._group.convention, self.values)
        return self.values
