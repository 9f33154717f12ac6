"""Numbers of a robot's state and actions as angles in rad and PointAct's gripper, and back (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, PolicyError
from vagus.gateways.unit_conversion import Conversion
from vagus.integrations.pointact.inverse import Chain
from vagus.types import FloatArray

__all__ = ["ANGLES", "ArmUnits", "check_angle_unit", "check_measured"]

ANGLES: Final = {"deg": math.pi / 180.0, "rad": 1.0}
"""Unit of a robot's joints → its size in rad."""
_BEYOND_RAD: Final = 0.2
"""How far beyond a limit of the URDF a joint may be measured: calibrations differ so much, units more."""


def check_angle_unit(unit: str) -> None:
    """Raise ConfigError unless `unit` is one of angles."""
    if unit not in ANGLES:
        raise ConfigError(
            "unit",
            wanted=f"{' or '.join(ANGLES)}, as the robot counts its joints",
            got=repr(unit),
            fix="a LeRobot arm counts degrees with use_degrees=true; other numbers are no angles",
        )


@dataclass(frozen=True)
class ArmUnits:
    """How a robot counts: its joints from the base on, then its gripper.

    Attributes:
        unit: of the joints, a key of `ANGLES`.
        gripper: from PointAct's gripper number to the robot's.
    """

    unit: str
    gripper: Conversion

    def __post_init__(self) -> None:
        """Check that angles are angles."""
        check_angle_unit(self.unit)

    def joints(self, state: FloatArray) -> NDArray[np.float64]:
        """Return the joints of a state (joints + 1,) in rad, (joints,)."""
        return state[:-1].astype(np.float64) * ANGLES[self.unit]

    def gripper_there(self, state: FloatArray) -> float:
        """Return PointAct's gripper number of a state."""
        return (float(state[-1]) - self.gripper.offset) / self.gripper.scale

    def actions(self, joints: NDArray[np.float64], grippers: NDArray[np.float64]) -> FloatArray:
        """Return actions (count, joints + 1) in the robot's units.

        Args:
            joints: (count, joints) rad.
            grippers: (count,), PointAct's numbers.

        Raises:
            PolicyError: a number that is not finite, or that float32 cannot hold.
        """
        ours = np.column_stack(
            (joints / ANGLES[self.unit], grippers * self.gripper.scale + self.gripper.offset)
        )
        with np.errstate(over="ignore"):  # what overflows is refused below
            actions: FloatArray = ours.astype(np.float32)
        if not np.isfinite(actions).all():
            raise PolicyError("actions: wanted finite numbers, got NaN, infinity or what float32 cannot hold")
        return actions


def check_measured(joints: NDArray[np.float64], chain: Chain, names: Sequence[str], unit: str) -> None:
    """Raise PolicyError for joints (joints,) in rad that the arm of the URDF cannot have.

    Degrees taken for radians are found so, and a zero elsewhere, where it leads beyond a limit.
    """
    beyond = np.maximum(joints - chain.upper, chain.lower - joints)
    worst = int(np.argmax(np.where(np.isnan(beyond), np.inf, beyond)))
    if beyond[worst] <= _BEYOND_RAD:
        return
    low, high, got = (float(one[worst]) / ANGLES[unit] for one in (chain.lower, chain.upper, joints))
    raise PolicyError(
        f"state: wanted {names[worst]} between {low:.4g} and {high:.4g} {unit}, as the URDF's limits are, "
        f"got {got:.4g}; the robot's unit or its zero is another than the URDF's"
    )
