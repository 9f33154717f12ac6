"""Joints for a pose of the gripper: damped least squares with joint limits, or a refusal (pure).

The place counts first: an error of the orientation of 1 rad weighs as much as 0.03 m. So an arm of five
joints, which cannot take every orientation, keeps the place and turns as near as it can; whether that is near
enough, the tolerances say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.cameras.axis_angle import quaternion_of
from vagus.control.rotation import from_quaternion
from vagus.errors import ConfigError, PolicyError
from vagus.integrations.pointact.pose import Pose

__all__ = ["Chain", "PoseTolerance", "UnreachableError", "joints_for"]

Joints: TypeAlias = NDArray[np.float64]

_ROTATION_M: Final = 0.03
"""Weight of the orientation, m per rad: small beside the length of an arm, so the place is kept."""
_MOST_STEPS: Final = 80
_LARGEST_TURN: Final = 0.4
"""Of a joint in one step, in rad: a longer one may end at another solution than the near one."""
_STILL: Final = 1e-10
"""A step of the joints, in rad, after which nothing changes."""
_DAMPING: Final = (1e-10, 1e-5, 1e3)
"""Least, first and largest damping; the joints of an arm have a squared effect of about 0.01 m²."""
_FARTHEST_M: Final = 0.05
"""Largest tolerance of a place: with more, the nearest guess would do. A tolerance in mm is more."""
_SEEDS: Final = (0.0, 0.3, 0.7, 1.0)
"""Where the search begins: at the joints that are near, then on the way from them to the middle."""


class Chain(Protocol):
    """Joints that turn, and the frame that they move."""

    lower: Joints
    upper: Joints

    def motion(self, joints: Joints) -> tuple[Pose, NDArray[np.float64]]:
        """Return the pose and the jacobian (6, joints): m/rad, then rad/rad, along the base's axes."""
        ...


@dataclass(frozen=True, slots=True)
class PoseTolerance:
    """How far from a pose its joints may end.

    Attributes:
        position_m: of the place.
        angle_rad: of the orientation.
    """

    position_m: float = 0.002
    angle_rad: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (0.0 < self.position_m <= _FARTHEST_M and 0.0 < self.angle_rad <= math.pi):
            raise ConfigError(
                "tolerance",
                wanted=f"a distance above 0 m and of at most {_FARTHEST_M:g} m, and an angle above 0 and of "
                "at most π rad",
                got=f"{self.position_m} m and {self.angle_rad} rad",
            )


class UnreachableError(PolicyError):
    """No joints within the limits bring the gripper there; the distances are those of the nearest found.

    Args:
        position_m: distance of the place.
        angle_rad: angle between the orientations.
        tolerance: what was allowed.
    """

    def __init__(self, position_m: float, angle_rad: float, tolerance: PoseTolerance) -> None:
        self.position_m = position_m
        self.angle_rad = angle_rad
        super().__init__(
            f"out of reach: the nearest joints end {1000.0 * position_m:.1f} mm and "
            f"{math.degrees(angle_rad):.1f}° beside it, wanted at most "
            f"{1000.0 * tolerance.position_m:g} mm and {math.degrees(tolerance.angle_rad):.3g}°"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    joints: Joints
    position_m: float
    angle_rad: float

    def is_within(self, tolerance: PoseTolerance) -> bool:
        return self.position_m <= tolerance.position_m and self.angle_rad <= tolerance.angle_rad

    @property
    def cost(self) -> float:
        return self.position_m**2 + (_ROTATION_M * self.angle_rad) ** 2


def joints_for(chain: Chain, wanted: Pose, near: Joints, tolerance: PoseTolerance) -> Joints:
    """Return the joints (joints,) in rad, within the limits, that bring the frame to a pose.

    Args:
        chain: the arm.
        wanted: the pose, from the base.
        near: joints to begin from, such as the measured ones; the solution is one near them.
        tolerance: how exact it must be. What can be exact, ends exact to about 1e-9 m.

    Raises:
        UnreachableError: no seed leads there.
    """
    begin = np.clip(near, chain.lower, chain.upper)
    middle = np.where(np.isfinite(chain.upper - chain.lower), 0.5 * (chain.upper + chain.lower), begin)
    nearest: _Found | None = None
    for share in _SEEDS:
        found = _search(chain, wanted, begin + share * (middle - begin))
        if found.is_within(tolerance):
            return found.joints
        nearest = found if nearest is None or found.cost < nearest.cost else nearest
    if nearest is None:  # there is always a seed
        raise UnreachableError(math.inf, math.inf, tolerance)
    raise UnreachableError(nearest.position_m, nearest.angle_rad, tolerance)


def _search(chain: Chain, wanted: Pose, joints: Joints) -> _Found:
    """Return where damped least squares end that begin at `joints`."""
    least, damping, most = _DAMPING
    error, jacobian = _error(chain, wanted, joints)
    cost = float(error @ error)
    for _ in range(_MOST_STEPS):
        step = _step(chain, joints, error, jacobian, damping)
        if float(np.abs(step).max()) < _STILL or damping > most:
            break
        tried = np.clip(joints + step, chain.lower, chain.upper)
        new_error, new_jacobian = _error(chain, wanted, tried)
        new_cost = float(new_error @ new_error)
        if new_cost < cost:
            joints, error, jacobian, cost = tried, new_error, new_jacobian, new_cost
            damping = max(damping * 0.1, least)
        else:
            damping *= 10.0
    place, turn = error[:3], error[3:] / _ROTATION_M
    return _Found(joints, float(np.linalg.norm(place)), float(np.linalg.norm(turn)))


def _error(chain: Chain, wanted: Pose, joints: Joints) -> tuple[Joints, NDArray[np.float64]]:
    """Return what is left to the pose, (6,) weighted m, and how the joints change it, (6, joints)."""
    pose, jacobian = chain.motion(joints)
    turn = from_quaternion(quaternion_of(wanted.rotation @ pose.rotation.T), "rotvec", np.zeros(3))
    error = np.concatenate((wanted.position - pose.position, _ROTATION_M * turn))
    weighted = jacobian.copy()
    weighted[3:] *= _ROTATION_M
    return error, weighted


def _step(
    chain: Chain, joints: Joints, error: Joints, jacobian: NDArray[np.float64], damping: float
) -> Joints:
    """Return a step of the joints that are free: those at a limit that would leave it stay."""
    pull = jacobian.T @ error
    is_free = ~(((joints <= chain.lower) & (pull < 0.0)) | ((joints >= chain.upper) & (pull > 0.0)))
    step = np.zeros_like(joints)
    if not is_free.any():
        return step
    free = jacobian[:, is_free]
    step[is_free] = np.linalg.solve(free.T @ free + damping * np.eye(free.shape[1]), pull[is_free])
    longest = float(np.abs(step).max())
    return step if longest <= _LARGEST_TURN else step * (_LARGEST_TURN / longest)
