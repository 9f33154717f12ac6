"""Place and orientation of a gripper, and how PointAct writes them (pure).

PointAct's positions are in the frame of its workspace: the axes of the robot's base, moved by an offset, so
that `position of PointAct = position from the base + offset`. With the plan's offset the table of an arm that
stands on it is at z = 0.0257 m, where the plan's workspace begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.cameras.axis_angle import axis_angle_of, rotation_of
from vagus.control.rotation import from_quaternion, to_quaternion
from vagus.errors import PolicyError
from vagus.quoting import quoted

__all__ = ["PLAN_OFFSET", "Offset", "Pose", "pose_numbers", "pose_of"]

Offset: TypeAlias = tuple[float, float, float]

PLAN_OFFSET: Final[Offset] = (-0.2755, -0.0599, 0.0257)
"""From the robot's base to the frame of the workspace, in m, in PointAct's plan."""
_QUATERNION: Final = "quat_xyzw"
_FARTHEST_M: Final = 10.0
"""No arm reaches farther; numbers in mm do."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a frame is, as seen from the robot's base.

    Attributes:
        rotation: (3, 3) float64; its columns are the frame's axes.
        position: (3,) float64, m.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]


def pose_numbers(pose: Pose, offset: Offset, near: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return x, y, z in PointAct's frame and the axis-angle, (6,) float64.

    Args:
        pose: from the base.
        offset: what is added to the position.
        near: the axis-angle of the last pose, whose sign a half turn keeps; None: there is none.

    Raises:
        RobotError: the rotation is none.
    """
    return np.concatenate((pose.position + np.array(offset), axis_angle_of(pose.rotation, near)))


def pose_of(numbers: NDArray[np.float64], offset: Offset) -> Pose:
    """Return the pose, from the base, that x, y, z and an orientation of PointAct mean.

    Args:
        numbers: (6,) with an axis-angle, or (7,) with a quaternion x, y, z, w.
        offset: what PointAct's position has more than the one from the base.

    Raises:
        PolicyError: numbers that are no pose.
    """
    position = numbers[:3] - np.array(offset)
    if not np.isfinite(numbers).all() or float(np.abs(position).max()) > _FARTHEST_M:
        raise PolicyError(
            f"pose: wanted finite x, y, z of at most {_FARTHEST_M:g} m, got {quoted(numbers.tolist(), 120)}"
        )
    if len(numbers) == 6:
        return Pose(rotation_of(numbers[3:]), position)
    quaternion = to_quaternion(numbers[3:], _QUATERNION)
    if quaternion is None:
        raise PolicyError(
            f"pose: wanted a quaternion x, y, z, w of length 1, got {quoted(numbers[3:].tolist(), 80)}"
        )
    return Pose(rotation_of(from_quaternion(quaternion, "rotvec", np.zeros(3))), position)
