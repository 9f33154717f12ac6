"""Specs of robots and policies: names, units, kinds, limits, cameras."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vagus.encodings import BinaryEncoding, BinaryForm
from vagus.errors import SpecError
from vagus.features import (
    ActionFeature,
    ActionKind,
    FallbackMode,
    Limits,
    StateFeature,
    grips,
    is_blind,
    lacking_bounds,
    resolved_feedback,
    told_bounds,
)
from vagus.field_types import settle_fields
from vagus.quoting import quoted
from vagus.spec_checks import (
    check_depth_unit,
    check_frame_size,
    check_measured,
    check_rate,
    check_robot_action,
    check_unit,
)
from vagus.units import UNKNOWN_UNIT

__all__ = [
    "UNKNOWN_UNIT",
    "ActionFeature",
    "ActionKind",
    "BinaryEncoding",
    "BinaryForm",
    "CameraSpec",
    "DepthCameraSpec",
    "FallbackMode",
    "Limits",
    "PolicySpec",
    "RobotSpec",
    "RtcSpec",
    "StateFeature",
    "rename_robot_spec",
    "vouched",
]


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One camera: RGB uint8 frames of (height, width, 3).

    Attributes:
        name: unique name, e.g. "wrist".
        height: rows of a frame, pixels.
        width: columns of a frame, pixels.
        is_required: False: the policy works without this camera.
        may_repeat: the same frame may repeat without a fault, as in a simulation; a real camera has noise.
    """

    name: str
    height: int
    width: int
    is_required: bool = True
    may_repeat: bool = False

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_frame_size(self.name, self.height, self.width)


@dataclass(frozen=True, slots=True)
class DepthCameraSpec:
    """One depth camera: uint16 frames of (height, width), 0 where nothing was measured.

    Its frames are never scaled: a policy and a robot must state the same size and the same unit.

    Attributes:
        name: name, unique among the colour cameras and depth cameras, e.g. "wrist_depth".
        height: rows of a frame, pixels.
        width: columns of a frame, pixels.
        units_per_m: units of a measurement to the metre; 1000: millimetres.
        is_required: False: the policy works without this camera.
        may_repeat: the same frame may repeat without a fault, as in a simulation; a real camera has noise.
    """

    name: str
    height: int
    width: int
    units_per_m: float = 1000.0
    is_required: bool = True
    may_repeat: bool = False

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_frame_size(self.name, self.height, self.width)
        check_depth_unit(self.name, self.units_per_m)


@dataclass(frozen=True, slots=True)
class RtcSpec:
    """Offer of real-time chunking by a policy.

    Attributes:
        prefix_horizon: default number of steps after which the guidance by the running plan ends.
        schedule: schedule of the guidance weights ("exp", "linear", "ones", "zeros").
        max_guidance: upper limit of the guidance weight (β of the paper).
    """

    prefix_horizon: int
    schedule: str = "exp"
    max_guidance: float = 5.0

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        if self.prefix_horizon < 0 or not (math.isfinite(self.max_guidance) and self.max_guidance >= 0):
            raise SpecError(
                "RtcSpec",
                wanted="a prefix_horizon and a finite max_guidance of 0 or more",
                got=f"{self.prefix_horizon} and {self.max_guidance}",
            )


@dataclass(frozen=True, slots=True)
class RobotSpec:
    """Spec of a robot: its actions, state, cameras and rate.

    Attributes:
        robot_type: kind of robot, e.g. "sim", "so101_follower".
        actions: features of an action, in the robot's order.
        state: features of the state vector, in the robot's order.
        cameras: cameras of the robot.
        rate_hz: rate at which the robot takes commands (ticks per second).
        depth_cameras: depth cameras of the robot.

    The constructor sets `feedback` and `is_measured` of each action that a state feature measures.

    Raises:
        SpecError: the spec contradicts itself.
    """

    robot_type: str
    actions: tuple[ActionFeature, ...]
    state: tuple[StateFeature, ...]
    cameras: tuple[CameraSpec, ...]
    rate_hz: float
    depth_cameras: tuple[DepthCameraSpec, ...] = ()

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_name("robot_type", self.robot_type)
        check_unique("action", (feature.name for feature in self.actions))
        check_unique("state", (feature.name for feature in self.state))
        check_unique("camera", _camera_names(self))
        check_positive("rate_hz", self.rate_hz)
        if not self.actions:
            raise SpecError("actions", wanted="at least one action feature", got="none")
        check_rate(self.rate_hz)
        state = {feature.name: feature.unit for feature in self.state}
        object.__setattr__(self, "actions", resolved_feedback(self.actions, state))
        for feature in self.actions:
            check_robot_action(feature)
        check_measured(self.actions, state)


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Spec of a policy: its inputs (state, cameras) and its outputs (actions).

    Attributes:
        policy_type: family, e.g. "reach", "act", "pi05".
        actions: features of an action, in the policy's order (without limits and feedback, which a robot
            has).
        state: features of the state vector in training, in the policy's order.
        cameras: cameras that the policy uses.
        horizon: number of actions in a chunk (H).
        model_dim: width of an action in the policy's own (normalised) space.
        rate_hz: policy steps per second in training.
        rtc: offer of real-time chunking, or None.
        default_instruction: instruction for robots that give none.
        depth_cameras: depth cameras that the policy uses.
    """

    policy_type: str
    actions: tuple[ActionFeature, ...]
    state: tuple[StateFeature, ...]
    cameras: tuple[CameraSpec, ...]
    horizon: int
    model_dim: int
    rate_hz: float
    rtc: RtcSpec | None = None
    default_instruction: str = ""
    depth_cameras: tuple[DepthCameraSpec, ...] = ()

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_name("policy_type", self.policy_type)
        check_unique("action", (feature.name for feature in self.actions))
        check_unique("state", (feature.name for feature in self.state))
        check_unique("camera", _camera_names(self))
        check_positive("rate_hz", self.rate_hz)
        check_positive("horizon", self.horizon)
        check_positive("model_dim", self.model_dim)
        if not self.actions:
            raise SpecError("actions", wanted="at least one action feature", got="none")
        check_rate(self.rate_hz)
        for feature in self.actions:
            check_unit(feature)

    @property
    def action_dim(self) -> int:
        """Count of numbers in one action, in the robot's units."""
        return len(self.actions)

    @property
    def state_dim(self) -> int:
        """Count of numbers in the state vector."""
        return len(self.state)


def rename_robot_spec(spec: RobotSpec, rename: Mapping[str, str]) -> RobotSpec:
    """Return the robot's spec with the policy's names.

    Args:
        spec: the robot's spec in its own names.
        rename: robot name → policy name, for actions, state features, cameras and depth cameras alike.

    Raises:
        SpecError: a key of `rename` is no name of the robot, or two names become equal.
    """
    names = {f.name for f in spec.actions} | {f.name for f in spec.state} | {*_camera_names(spec)}
    unknown = sorted(set(rename) - names)
    if unknown:
        raise SpecError("rename", wanted=f"names of the robot ({sorted(names)})", got=repr(unknown))
    actions = tuple(_renamed(feature, rename) for feature in spec.actions)
    state = tuple(replace(f, name=rename.get(f.name, f.name)) for f in spec.state)
    cameras = tuple(replace(c, name=rename.get(c.name, c.name)) for c in spec.cameras)
    depth = tuple(replace(c, name=rename.get(c.name, c.name)) for c in spec.depth_cameras)
    return replace(spec, actions=actions, state=state, cameras=cameras, depth_cameras=depth)


def vouched(spec: RobotSpec) -> tuple[str, ...]:
    """Return one sentence per action without limit or feedback that the operator takes responsibility for."""
    actions = spec.actions
    unbounded = [f for f in actions if lacking_bounds(f) and f.vouch_unbounded]
    unmeasured = [f.name for f in actions if is_blind(f) and f.vouch_unmeasured]
    return (
        *(f"{f.name}: no {told_bounds(f)}" for f in unbounded),
        *(f"{name}: nothing measures it" for name in unmeasured),
    )


def _camera_names(spec: RobotSpec | PolicySpec) -> list[str]:
    return [c.name for c in spec.cameras] + [c.name for c in spec.depth_cameras]


def _renamed(feature: ActionFeature, rename: Mapping[str, str]) -> ActionFeature:
    feedback = feature.feedback and rename.get(feature.feedback, feature.feedback)
    if feature.name not in rename:
        return replace(feature, feedback=feedback)
    is_gripper = True if grips(feature) else feature.is_gripper  # the policy's name may not say so
    return replace(feature, name=rename[feature.name], feedback=feedback, is_gripper=is_gripper)


def check_name(what: str, name: str) -> None:
    """Raise SpecError unless a name is printable."""
    if not (name and name.isprintable()):
        raise SpecError(what, wanted="a name that can be printed", got=quoted(repr(name)))


def check_unique(what: str, names: Iterable[str]) -> None:
    """Raise SpecError if a name occurs twice, is empty or not printable."""
    seen: set[str] = set()
    for name in names:
        check_name(f"{what} name", name)
        if name in seen:
            raise SpecError(f"{what} names", wanted="each name once", got=f"{name!r} twice")
        seen.add(name)


def check_positive(what: str, value: float) -> None:
    """Raise SpecError unless `value` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise SpecError(what, wanted="a finite number above 0", got=repr(value))
