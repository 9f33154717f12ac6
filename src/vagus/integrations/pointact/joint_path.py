"""Joints along the poses of a chunk: as far as each pose can be reached without a jump (pure).

A pose that is refused ends the path. The poses before it are each checked, and newer than the plan that runs,
so they may be played; what follows is not, because the way there leads past the pose that is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, PolicyError
from vagus.integrations.pointact.inverse import Chain, PoseTolerance, UnreachableError, joints_for
from vagus.integrations.pointact.pose import Pose

__all__ = ["JointJumpError", "JointPath", "PathRules", "path_along"]


class JointJumpError(PolicyError):
    """A pose can be reached, but only with a jump of a joint.

    Args:
        step_rad: how far the joint would have to go in one step.
        joint: its number, from the base on.
        most_rad: what is allowed.
    """

    def __init__(self, step_rad: float, joint: int, most_rad: float) -> None:
        self.step_rad = step_rad
        self.joint = joint
        super().__init__(
            f"a jump: joint {joint + 1} from the base would turn by {math.degrees(step_rad):.1f}° in one "
            f"step, wanted at most {math.degrees(most_rad):.3g}°"
        )


@dataclass(frozen=True, slots=True)
class PathRules:
    """What is demanded of a path.

    Attributes:
        tolerance: how far the joints may end from a pose.
        step_rad: largest change of a joint from one action to the next, the first from the measured joints.
    """

    tolerance: PoseTolerance = field(default_factory=PoseTolerance)
    step_rad: float = math.radians(20.0)

    def __post_init__(self) -> None:
        """Check the number."""
        if not 0.0 < self.step_rad <= math.pi:
            raise ConfigError(
                "largest step of a joint",
                wanted="an angle above 0 and of at most π rad",
                got=f"{self.step_rad} rad",
            )


@dataclass(frozen=True, eq=False)
class JointPath:
    """Joints along the first poses of a chunk.

    Attributes:
        joints: (poses, joints) float64 rad; less poses than were wanted, if one was refused.
        refusal: why the next pose was refused; None: all were reached.
    """

    joints: NDArray[np.float64]
    refusal: UnreachableError | JointJumpError | None


def path_along(
    chain: Chain, poses: Sequence[Pose], measured: NDArray[np.float64], rules: PathRules
) -> JointPath:
    """Return the joints along `poses`, each near the ones before, the first near the measured ones.

    Args:
        chain: the arm.
        poses: one per action, from the base.
        measured: (joints,) rad.
        rules: what is demanded.
    """
    found: list[NDArray[np.float64]] = []
    before = measured
    for pose in poses:
        try:
            joints = joints_for(chain, pose, before, rules.tolerance)
            _check_step(joints - before, rules.step_rad)
        except (UnreachableError, JointJumpError) as refusal:
            return JointPath(np.array(found).reshape(-1, len(measured)), refusal)
        found.append(joints)
        before = joints
    return JointPath(np.array(found).reshape(-1, len(measured)), None)


def _check_step(step: NDArray[np.float64], most_rad: float) -> None:
    joint = int(np.argmax(np.abs(step)))
    length = abs(float(step[joint]))
    if length > most_rad:
        raise JointJumpError(length, joint, most_rad)
