"""Joints, grippers and chassis of the simulated Astribot S1: servos on a fixed grid (pure)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.integrations.astribot.layout import PARTS, WIDTHS
from vagus.integrations.astribot.robot_spec import CLOSED, bounds_of

__all__ = ["GRID_NS", "SimulatedBody", "start_pose"]

Numbers: TypeAlias = NDArray[np.float64]

GRID_NS: Final = 4_000_000
"""Time step of the integration: the SDK's own rate of 250 Hz."""
GRID_S: Final = GRID_NS * 1e-9
STIFFNESS_RAD_S: Final = 40.0
"""Natural frequency of the servos, critically damped: they follow a moving setpoint 50 ms late."""
MAKERS: Final = {
    "arm_left": (7.4, 60.0),
    "arm_right": (7.4, 60.0),
    "gripper_left": (500.0, 5000.0),
    "gripper_right": (500.0, 5000.0),
    "head": (4.0, 30.0),
    "torso": (2.0, 10.0),
    "chassis": (0.5, 1.0),
}
"""Part → largest speed and acceleration of its drives, per second; they are faster than a command may be."""
_CHASSIS: Final = PARTS["chassis"]
_START: Final = {
    "arm_left": (0.15, -0.02, -1.42, 1.66, -0.35, 0.12, 0.13),
    "arm_right": (-0.16, -0.02, 1.42, 1.66, 0.34, 0.12, -0.12),
    "head": (0.0, 0.75),
    "torso": (0.6, -1.2, 0.6, 0.0),
}
"""Where the body stands when it is switched on: hands before it, both grippers open."""


def start_pose() -> Numbers:
    """Return where the body stands when it is switched on, (25,), as the SDK has the numbers."""
    pose = np.zeros(WIDTHS[-1])
    for part, numbers in _START.items():
        pose[PARTS[part]] = numbers
    return pose


class SimulatedBody:
    """25 servos, second-order and limited in speed and acceleration, that advance in grid steps.

    Args:
        chassis: what the chassis takes: a position, or a velocity that it keeps until the next.
    """

    def __init__(self, chassis: Literal["position", "velocity"] = "position") -> None:
        self.position: Numbers = start_pose()
        self.velocity: Numbers = np.zeros(WIDTHS[-1])
        self._setpoint: Numbers = self.position.copy()
        self._is_braking = False
        self._rolls = chassis == "velocity"
        self._roll: Numbers = np.zeros(3)
        self._lower, self._upper = _ends()
        speeds = [MAKERS[part] for part, span in PARTS.items() for _ in range(25)[span]]
        self._speed, self._acceleration = np.array(speeds).T

    def drive_to(self, part: str, numbers: Numbers) -> None:
        """Follow a new setpoint of a part; an end stop is not passed."""
        span = PARTS[part]
        if part == "chassis" and self._rolls:
            self._roll = numbers.copy()
        else:
            self._setpoint[span] = np.clip(numbers, self._lower[span], self._upper[span])

    def brake(self) -> None:
        """Brake as fast as the drives can, and stay there; follow no setpoint any more."""
        self._is_braking = True

    def push(self, part: str, numbers: Numbers) -> None:
        """Put a part elsewhere by hand; its drives give way and hold the new place."""
        span = PARTS[part]
        self.position[span] = np.clip(numbers, self._lower[span], self._upper[span])
        self.velocity[span] = 0.0
        self._setpoint[span] = self.position[span]

    def advance(self) -> None:
        """Advance by one grid step."""
        most = self._acceleration * GRID_S
        if self._is_braking:
            self.velocity -= np.clip(self.velocity, -most, most)
        else:
            pull = STIFFNESS_RAD_S * (self._setpoint - self.position) - 2.0 * self.velocity
            change = STIFFNESS_RAD_S * GRID_S * pull
            if self._rolls:
                change[_CHASSIS] = self._roll - self.velocity[_CHASSIS]
            self.velocity += np.clip(change, -most, most)
            np.clip(self.velocity, -self._speed, self._speed, out=self.velocity)
        self.position += self.velocity * GRID_S


def _ends() -> tuple[Numbers, Numbers]:
    lower, upper = np.full(WIDTHS[-1], -np.inf), np.full(WIDTHS[-1], np.inf)
    for part, span in PARTS.items():
        if part in ("gripper_left", "gripper_right"):
            lower[span], upper[span] = 0.0, CLOSED
        elif part != "chassis":
            lower[span], upper[span] = bounds_of(part)
    return lower, upper
