"""Position servos of the simulated arm: second-order, limited in speed and torque, on a fixed grid."""

from __future__ import annotations

import numpy as np

from vagus.demo.arm import HOME, LOWER, UPPER, Floats

__all__ = ["STEP_NS", "Joints"]

STEP_NS = 2_000_000
"""Time step of the integration. It is fixed, so the motion does not depend on the times of the calls."""
STEP_S = STEP_NS * 1e-9
STIFFNESS_RAD_S = 80.0
"""Natural frequency of the servo, critically damped: it follows a moving setpoint 25 ms late."""
DRIVE_VELOCITY_RAD_S = 4.0
DRIVE_ACCELERATION_RAD_S2 = 60.0
BRAKE_RAD_S2 = 15.0
AT_REST = 1e-7


class Joints:
    """Six servos that advance in grid steps."""

    def __init__(self) -> None:
        self.position: Floats = HOME.copy()
        self.velocity: Floats = np.zeros_like(HOME)
        self._setpoint: Floats = HOME.copy()
        self._is_braking = False

    def drive_to(self, setpoint: Floats) -> None:
        """Follow a new setpoint, within the end stops."""
        self._setpoint = np.clip(setpoint, LOWER, UPPER)

    def brake(self) -> None:
        """Brake as fast as allowed and stay there; follow no setpoint any more."""
        self._is_braking = True

    def push(self, change: Floats) -> None:
        """Move the joints by hand, within the end stops; the servos give way and hold the new position."""
        self.position = np.clip(self.position + change, LOWER, UPPER)
        self.velocity = np.zeros_like(self.position)
        self._setpoint = self.position.copy()

    def is_still(self) -> bool:
        """Return whether the joints stand still and will stay so."""
        if np.abs(self.velocity).max() > AT_REST:
            return False
        return self._is_braking or bool(np.abs(self.position - self._setpoint).max() <= AT_REST)

    def advance(self) -> None:
        """Advance the servos by one grid step."""
        if self._is_braking:
            most = BRAKE_RAD_S2 * STEP_S
            self.velocity = self.velocity - np.clip(self.velocity, -most, most)
        else:
            pull = STIFFNESS_RAD_S * (self._setpoint - self.position) - 2.0 * self.velocity
            change = np.clip(STIFFNESS_RAD_S * pull, -DRIVE_ACCELERATION_RAD_S2, DRIVE_ACCELERATION_RAD_S2)
            self.velocity = np.clip(
                self.velocity + change * STEP_S, -DRIVE_VELOCITY_RAD_S, DRIVE_VELOCITY_RAD_S
            )
        self.position = self.position + self.velocity * STEP_S
