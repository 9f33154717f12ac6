"""What a PointAct policy is asked, made of what an arm measures, and joints made of what it answers (pure).

Out: joints become the gripper's pose, colour and depth become a small picture and coloured points, all in the
frame of the workspace. Back: poses become joints, as far as each can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import FrameError, PolicyError
from vagus.gateways.msgpack import AnyArray, Value
from vagus.gateways.neutral import WirePath
from vagus.integrations.pointact.arm_units import ArmUnits, check_measured
from vagus.integrations.pointact.depth import depth_in_m
from vagus.integrations.pointact.inverse import Chain
from vagus.integrations.pointact.joint_path import JointPath, PathRules, path_along
from vagus.integrations.pointact.point_cloud import CloudRules, Points, cloud_of
from vagus.integrations.pointact.pose import Offset, Pose, pose_numbers, pose_of
from vagus.integrations.pointact.resize import resized_depth, resized_picture
from vagus.types import DepthImage, FloatArray, Image

__all__ = ["POSE_WIDTHS", "ArmChain", "ArmTransform", "JointChunk", "Sensed", "TransformRules", "Wanted"]

POSE_WIDTHS: Final = {"": 7, "axisangle": 7, "quat": 8, "euler": 8, "rot6d": 8}
"""`pred_rot_type` → numbers of an action. PointAct's server turns the last two into quaternions."""

_IMAGE: Final[WirePath] = ("observation.images.front_image",)
_POINTS: Final[WirePath] = ("observation.points",)
_STATE: Final[WirePath] = ("observation.state",)
_TASK: Final[WirePath] = ("task",)


class ArmChain(Chain, Protocol):
    """Joints that turn, the frame that they move, and where it is."""

    def pose(self, joints: NDArray[np.float64]) -> Pose:
        """Return where the frame is for joints (joints,) in rad."""
        ...


@dataclass(frozen=True, kw_only=True)
class TransformRules:
    """Settings of the transform.

    Attributes:
        offset: what a place in the workspace has more than the same from the robot's base, m.
        intrinsics: of the camera's own frames, colour and depth alike.
        extrinsics: of the camera in the workspace.
        units_per_m: units of a depth in one m.
        cloud: what becomes of the points.
        image_size: side of the picture that is sent, pixels.
        width: numbers of an action on the wire, 7 or 8.
        path: what is demanded of the joints along a chunk.
    """

    offset: Offset
    intrinsics: Intrinsics
    extrinsics: Extrinsics
    units_per_m: float
    cloud: CloudRules
    image_size: int
    width: int
    path: PathRules


@dataclass(frozen=True, eq=False)
class Sensed:
    """What was measured and how it is sent.

    Attributes:
        joints: (joints,) float64 rad.
        pose: (7,) float32: x, y, z in m, axis-angle in rad, gripper.
        picture: (image_size, image_size, 3) uint8 RGB.
        points: (count, 6) float32.
        values: the observation of the request.
    """

    joints: NDArray[np.float64]
    pose: FloatArray
    picture: Image
    points: Points
    values: dict[WirePath, Value]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a policy answered: poses from the base, and PointAct's gripper numbers, (horizon,) float64."""

    poses: Sequence[Pose]
    grippers: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointChunk:
    """Actions in the robot's units, and the path that they come from.

    Attributes:
        actions: (count, joints + 1) float32; fewer than were wanted, if a pose was refused.
        path: joints in rad, and why it ends.
    """

    actions: FloatArray
    path: JointPath


class ArmTransform:
    """Transform for one arm with one camera. It keeps nothing.

    Args:
        chain: the arm.
        names: the robot's names of its joints, from the base on.
        units: how the robot counts.
        rules: settings.
    """

    def __init__(self, chain: ArmChain, names: Sequence[str], units: ArmUnits, rules: TransformRules) -> None:
        self._chain = chain
        self._names = names
        self._units = units
        self._rules = rules
        size = rules.image_size
        self._intrinsics = rules.intrinsics.scaled(width=size, height=size)

    def sensed(
        self,
        state: FloatArray,
        picture: Image,
        depth: DepthImage,
        task: str,
        last: NDArray[np.float32] | None = None,
    ) -> Sensed:
        """Return what is sent for one observation.

        Args:
            state: (joints + 1,) in the robot's units, the gripper last.
            picture: (height, width, 3) uint8 RGB.
            depth: (height, width) uint16, of the same pixels.
            task: what to do.
            last: the pose (7,) that was sent before; the axis-angle of a half turn keeps its sign.

        Raises:
            PolicyError: joints that the arm cannot have.
            FrameError: frames of another size than the intrinsics, no depth, no point in the workspace.
        """
        joints = self._units.joints(state)
        check_measured(joints, self._chain, self._names, self._units.unit)
        near = None if last is None else last[3:6].astype(np.float64)
        numbers = pose_numbers(self._chain.pose(joints), self._rules.offset, near)
        pose = np.array([*numbers, self._units.gripper_there(state)], np.float32)
        small, points = self._seen(picture, depth)
        values: dict[WirePath, Value] = {
            _IMAGE: small,
            _POINTS: points,
            _STATE: pose,
            _TASK: task,
        }
        return Sensed(joints, pose, small, points, values)

    def wanted(self, actions: AnyArray) -> Wanted:
        """Return what a reply asks for.

        Args:
            actions: (horizon, 7) floats: x, y, z, axis-angle, gripper; or (horizon, 8) with a quaternion
                x, y, z, w.

        Raises:
            PolicyError: another shape, or numbers that are no poses.
        """
        width = self._rules.width
        if actions.ndim != 2 or actions.shape[1] != width or not len(actions):
            turn = "axis-angle" if width == 7 else "quaternion (x, y, z, w)"
            raise PolicyError(
                f"action: wanted (horizon, {width}): x, y, z, {turn}, gripper, got {actions.shape}; a model "
                "that answers joints is asked without the option urdf"
            )
        numbers = actions.astype(np.float64)
        poses = [pose_of(row[:-1], self._rules.offset) for row in numbers]
        return Wanted(poses, numbers[:, -1])

    def chunk(self, wanted: Wanted, joints: NDArray[np.float64]) -> JointChunk:
        """Return the actions along the poses, up to the first one that is refused.

        Args:
            wanted: what the policy answered.
            joints: the measured ones, (joints,) rad, when it was asked.

        Raises:
            PolicyError: a gripper number that is not finite.
        """
        path = path_along(self._chain, wanted.poses, joints, self._rules.path)
        count = len(path.joints)
        return JointChunk(self._units.actions(path.joints, wanted.grippers[:count]), path)

    def _seen(self, picture: Image, depth: DepthImage) -> tuple[Image, Points]:
        camera = self._rules.intrinsics
        if picture.shape[:2] != depth.shape or depth.shape != (camera.height, camera.width):
            raise FrameError(
                f"frames: wanted {camera.width}×{camera.height} (width×height), as the intrinsics are for, "
                f"got {_told(picture.shape)} of colour and {_told(depth.shape)} of depth"
            )
        size = self._rules.image_size
        small = resized_picture(picture, width=size, height=size)
        depth_m = resized_depth(
            depth_in_m(depth, units_per_m=self._rules.units_per_m), width=size, height=size
        )
        points = cloud_of(depth_m, small, self._intrinsics, self._rules.extrinsics, self._rules.cloud)
        return small, points


def _told(shape: Sequence[int]) -> str:
    return f"{shape[1]}×{shape[0]}" if len(shape) >= 2 else f"{tuple(shape)}"
