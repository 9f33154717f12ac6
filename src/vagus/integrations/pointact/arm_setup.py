"""Arm as its settings say: its files read, its units known, and what a policy of it wants and gives."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np

from vagus.cameras.camera import Intrinsics
from vagus.cameras.camera_file import load_extrinsics, load_intrinsics
from vagus.errors import ConfigError
from vagus.features import ActionFeature, StateFeature
from vagus.gateways.foreign_options import ForeignOptions
from vagus.gateways.profile import WireSpan
from vagus.gateways.unit_conversion import conversion_of
from vagus.integrations.pointact.arm_options import ArmOptions, numbers_in
from vagus.integrations.pointact.arm_units import ArmUnits
from vagus.integrations.pointact.example_view import example_depth
from vagus.integrations.pointact.inverse import PoseTolerance
from vagus.integrations.pointact.joint_path import PathRules
from vagus.integrations.pointact.kinematics import ArmModel, load_arm
from vagus.integrations.pointact.point_cloud import CloudRules, Workspace
from vagus.integrations.pointact.transform import POSE_WIDTHS, ArmTransform, TransformRules
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec
from vagus.types import Observation

__all__ = ["ArmSetup", "load_setup", "model_hash_of_arm"]

_SUFFIX: Final = ".pos"
_UNHASHED: Final = frozenset({entry.name for entry in fields(ForeignOptions)}) | {
    "urdf", "intrinsics", "extrinsics", "debug_dir", "debug_max_mb",
}  # fmt: skip
"""Settings that change no answer, or whose files are hashed instead."""


@dataclass(frozen=True, eq=False)
class ArmSetup:
    """An arm, ready to be asked about.

    Attributes:
        transform: what is sent, and joints of what is answered.
        spec: what the policy wants and gives.
        digest: hex digest of all that changes its answers, but for the model.
        example: an observation that the arm could send.
    """

    transform: ArmTransform
    spec: PolicySpec
    digest: str
    example: Observation


def load_setup(options: ArmOptions) -> ArmSetup:
    """Return the arm that the settings describe; `urdf` is set.

    Raises:
        ConfigError: a file that is none, joints or numbers that cannot be, or a camera that cannot see the
            workspace.
    """
    names, urdf_joints = _names(options.joints)
    arm = load_arm(Path(options.urdf), options.frame, urdf_joints)
    names = names or tuple(f"{name}{_SUFFIX}" for name in arm.names)
    rules = _rules(options)
    transform = ArmTransform(arm, names, _units(options), rules)
    spec = _spec(options, names, rules.intrinsics)
    return ArmSetup(transform, spec, _digest(options), _example(options, arm, rules))


def model_hash_of_arm(setup: ArmSetup, identity: str, settings: str) -> str:
    """Return the model hash of a server for this arm: equal for two addresses with the same behind them.

    Args:
        setup: the arm.
        identity: who the server is.
        settings: further settings that change its answers.
    """
    return hashlib.sha256(repr((setup.digest, identity, settings)).encode()).hexdigest()


def _names(joints: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the robot's names and those of the URDF."""
    pairs = [joint.partition("=") for joint in joints]
    if any(not name or (mark and not urdf) for name, mark, urdf in pairs):
        raise ConfigError("joints", wanted="each as NAME or NAME=JOINT OF THE URDF", got=f"{list(joints)}")
    return (
        tuple(name for name, _, _ in pairs),
        tuple(urdf or name.removesuffix(_SUFFIX) for name, _, urdf in pairs),
    )


def _units(options: ArmOptions) -> ArmUnits:
    low, high = numbers_in("gripper_range", options.gripper_range, 2)
    wire_low, wire_high = numbers_in("gripper_wire_range", options.gripper_wire_range, 2)
    span = WireSpan(
        key=("observation.state",),
        names=(options.gripper,),
        unit=options.gripper_unit,
        range=(low, high),
        wire_range=(wire_low, wire_high),
    )
    return ArmUnits(options.unit, conversion_of(span))


def _rules(options: ArmOptions) -> TransformRules:
    x, y, z = numbers_in("offset", options.offset, 3)
    box = numbers_in("workspace", options.workspace, 6)
    workspace = Workspace((box[0], box[2], box[4]), (box[1], box[3], box[5]))
    tolerance = PoseTolerance(options.tolerance_m, math.radians(options.tolerance_deg))
    return TransformRules(
        offset=(x, y, z),
        intrinsics=load_intrinsics(Path(options.intrinsics)),
        extrinsics=load_extrinsics(Path(options.extrinsics), (x, y, z)),
        units_per_m=options.depth_units_per_m,
        cloud=CloudRules(most=options.max_points, workspace=workspace, voxel_m=options.voxel_m),
        image_size=options.image_size,
        width=POSE_WIDTHS[options.pred_rot_type],
        path=PathRules(tolerance, math.radians(options.max_step_deg)),
    )


def _spec(options: ArmOptions, names: tuple[str, ...], intrinsics: Intrinsics) -> PolicySpec:
    numbers = [*((name, options.unit) for name in names), (options.gripper, options.gripper_unit)]
    height, width = intrinsics.height, intrinsics.width
    return PolicySpec(
        policy_type="pointact",
        actions=tuple(ActionFeature(name, unit) for name, unit in numbers),
        state=tuple(StateFeature(name, unit) for name, unit in numbers),
        cameras=(CameraSpec(options.camera, height, width),),
        horizon=options.horizon,
        model_dim=len(numbers),
        rate_hz=options.rate_hz,
        depth_cameras=(DepthCameraSpec(options.depth_camera, height, width, options.depth_units_per_m),),
    )


def _example(options: ArmOptions, arm: ArmModel, rules: TransformRules) -> Observation:
    """Return an observation with joints in the middle of their limits and a box in the workspace."""
    middle = np.where(np.isfinite(arm.upper - arm.lower), 0.5 * (arm.upper + arm.lower), 0.0)
    units = _units(options)
    gripper = sum(numbers_in("gripper_wire_range", options.gripper_wire_range, 2)) / 2.0
    state = units.actions(middle[np.newaxis], np.array([gripper]))[0]
    camera = rules.intrinsics
    depth = example_depth(camera, rules.extrinsics, rules.cloud.workspace, rules.units_per_m)
    picture = np.full((camera.height, camera.width, 3), 128, np.uint8)
    return Observation(state, {options.camera: picture}, "", 0, {options.depth_camera: depth})


def _digest(options: ArmOptions) -> str:
    digest = hashlib.sha256()
    for path in (options.urdf, options.intrinsics, options.extrinsics):
        content = Path(path).expanduser().read_bytes()
        digest.update(f"{len(content)}:".encode() + content)
    told = {e.name: getattr(options, e.name) for e in fields(ArmOptions) if e.name not in _UNHASHED}
    digest.update(repr(sorted(told.items())).encode())
    return digest.hexdigest()
