"""Settings of an arm that PointAct moves by poses of its gripper; no package is needed to read them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.integrations.pointact.arm_units import check_angle_unit
from vagus.integrations.pointact.batches import MAX_POINTS
from vagus.quoting import quoted
from vagus.wire.images import MAX_SIDE

__all__ = ["ArmOptions", "numbers_in"]

_OF_ANY_SERVER = frozenset(entry.name for entry in fields(ForeignOptions))
ROTATIONS = ("", "axisangle", "quat", "euler", "rot6d")


@dataclass(frozen=True, slots=True)
class ArmOptions(ForeignOptions):
    """Settings in `options` for an arm with a URDF; without `urdf`, the others have no effect."""

    urdf: str = ""
    """URDF of the arm: state and actions on the wire are poses of its gripper, and points are sent; empty:
    they are joints, as the profile says, and no points are sent."""
    frame: str = "gripper_frame_link"
    """Link of the URDF whose pose is sent and answered."""
    joints: tuple[str, ...] = ()
    """The robot's names of the joints that move the frame, from the base on, each as NAME or NAME=JOINT OF
    THE URDF; empty: those of the URDF with `.pos` behind."""
    unit: str = "deg"
    """Unit of these joints in the robot's state and actions: deg or rad."""
    gripper: str = "gripper.pos"
    """The robot's name of its gripper, the last number of state and action."""
    gripper_unit: str = "lerobot_norm"
    """Unit of the gripper, as the robot states it."""
    gripper_range: str = "0,100"
    """Two values of the robot's gripper, and in `gripper_wire_range` the same two on the wire."""
    gripper_wire_range: str = "0,100"
    """See `gripper_range`."""
    camera: str = "front"
    """The robot's camera whose picture is sent."""
    depth_camera: str = "front_depth"
    """The robot's depth camera, with the same pixels as `camera`."""
    depth_units_per_m: float = 1000.0
    """Units of that depth in one metre; 1000: mm."""
    intrinsics: str = ""
    """File with the camera's intrinsics."""
    extrinsics: str = ""
    """File with the camera's place."""
    offset: str = "-0.2755,-0.0599,0.0257"
    """Added to a position from the URDF's first link to make it one in PointAct's workspace: x, y, z in m."""
    workspace: str = "-0.21,0.23,-0.35,0.3,0.025,0.4"
    """Where points are kept, in PointAct's frame: least and largest x, then y, then z, in m."""
    voxel_m: float = 0.01
    """Side of the voxels, of each of which one point is kept, in m."""
    max_points: int = 4096
    """Most points that are sent."""
    image_size: int = 256
    """Side of the picture that is sent, in pixels; depth is resized alike before it becomes points."""
    tolerance_m: float = 0.002
    """How far from a pose's place the joints may end, in m; farther: the pose is refused."""
    tolerance_deg: float = 5.0
    """How far from a pose's orientation they may end, in degrees; five joints cannot take every one."""
    max_step_deg: float = 20.0
    """Most degrees that a joint may turn from one action to the next; more: the pose is refused."""
    pred_rot_type: str = ""
    """How orientations are answered: empty or axisangle: axis times angle; quat, euler or rot6d: PointAct's
    server answers quaternions x, y, z, w."""
    rate_hz: float = 30.0
    """Actions per second of the model."""
    horizon: int = 50
    """Most actions of an answer that are used."""
    debug_dir: str = ""
    """Folder that keeps what went out and came back, as files to be looked at; empty: nothing is kept."""
    debug_max_mb: int = 200
    """Largest size of that folder; the oldest requests are removed first."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        check_angle_unit(self.unit)
        if self.pred_rot_type not in ROTATIONS:
            wanted = f"one of {', '.join(ROTATIONS[1:])}, or nothing"
            raise ConfigError("pred_rot_type", wanted=wanted, got=repr(self.pred_rot_type))
        for name, count in (
            ("offset", 3), ("workspace", 6), ("gripper_range", 2), ("gripper_wire_range", 2)
        ):  # fmt: skip
            numbers_in(name, getattr(self, name), count)
        _check_within("max_points", self.max_points, 1, MAX_POINTS)
        _check_within("image_size", self.image_size, 16, MAX_SIDE)
        _check_within("debug_max_mb", self.debug_max_mb, 1, 1 << 20)
        if self.urdf:
            self._check_beside_urdf()
        else:
            self._check_without_urdf()

    def _check_beside_urdf(self) -> None:
        for name in ("intrinsics", "extrinsics"):
            if not getattr(self, name):
                raise ConfigError(name, wanted="a file, because urdf is given", got="none")
        if self.profile:
            raise ConfigError(
                "profile", wanted="none beside urdf, which says what the numbers are", got=self.profile
            )

    def _check_without_urdf(self) -> None:
        own = [entry for entry in fields(ArmOptions) if entry.name not in _OF_ANY_SERVER]
        given = [entry.name for entry in own if getattr(self, entry.name) != entry.default]
        if given:
            raise ConfigError(
                "urdf",
                wanted=f"a file, because {given[0]} is given, which has no effect without it",
                got="none",
            )


def numbers_in(name: str, text: str, count: int) -> tuple[float, ...]:
    """Return the numbers of a setting, parted by commas.

    Raises:
        ConfigError: another count, or something that is no finite number.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(name, wanted=f"{count} numbers, parted by commas", got=quoted(repr(text), 80))
    return numbers


def _check_within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(name, wanted=f"{low} to {high}", got=f"{value}")
