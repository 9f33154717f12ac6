"""Spec of a LeRobot robot: names, units, kinds, limits and cameras.

LeRobot's feature names carry the kind (`.pos`, `.vel`), its motor buses the unit. What neither says is stated
in a mapping file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from vagus.errors import ConfigError
from vagus.integrations.lerobot.robot.cameras import colour_cameras, depth_cameras
from vagus.robots.action_settings import ActionSettings, check_limit_keys
from vagus.settings_file import check_keys, read_settings
from vagus.specs import UNKNOWN_UNIT, ActionKind, Limits, RobotSpec, StateFeature

__all__ = [
    "DEFAULT_RATE_HZ",
    "LEROBOT_NORM",
    "DescribedDevice",
    "DeviceMapping",
    "load_device_mapping",
    "parts_of",
    "spec_of",
]

LEROBOT_NORM = "lerobot_norm"
"""LeRobot's own scale: −100…100 for a joint, 0…100 for a gripper, over its calibrated range."""
DEFAULT_RATE_HZ = 30.0
"""LeRobot's own default for its control loops and datasets."""

KINDS = {".pos": ActionKind.POSITION, ".q": ActionKind.POSITION, ".vel": ActionKind.VELOCITY}
"""End of a LeRobot name → kind."""
BASE_UNITS = {"x.vel": "m/s", "y.vel": "m/s", "theta.vel": "deg/s"}
"""The body velocities of a LeKiwi, as its driver documents them."""
TYPE_UNITS: Mapping[str, Mapping[str, str]] = {
    "lekiwi": BASE_UNITS,
    "lekiwi_client": BASE_UNITS,
    "rebot_b601_follower": {".pos": "deg"},
    "bi_rebot_b601_follower": {".pos": "deg"},
    "openarm_follower": {".pos": "deg", ".vel": "deg/s"},
    "bi_openarm_follower": {".pos": "deg", ".vel": "deg/s"},
    "unitree_g1": {".q": "rad"},
}
"""Robot type → name, or end of a name → unit, where no LeRobot motor bus says it."""

BOUNDS = {"range_m100_100": (-100.0, 100.0), "range_0_100": (0.0, 100.0)}
"""Bounds of LeRobot's normalised scales."""
SPEEDS = {"deg": 360.0, "rad": 2.0 * math.pi, LEROBOT_NORM: 300.0}
"""Unit → fastest that a position is commanded, per second. Above what hobby servos can do (270 deg/s), so it
changes nothing but a jump. A unit that is not here has no default: state a limit, or vouch for it."""
LEKIWI_LIMITS = {
    "x.vel": Limits(lower=-0.3, upper=0.3),
    "y.vel": Limits(lower=-0.3, upper=0.3),
    "theta.vel": Limits(lower=-90.0, upper=90.0),
}
"""The fastest that LeKiwi's own teleoperation goes, so the fastest that a demonstration holds."""
BASE_LIMITS: Mapping[str, Mapping[str, Limits]] = {"lekiwi": LEKIWI_LIMITS, "lekiwi_client": LEKIWI_LIMITS}


class DescribedDevice(Protocol):
    """Interface of a LeRobot robot that is used here."""

    @property
    def observation_features(self) -> Mapping[str, object]:
        """Name → `float`, or the shape of a picture."""
        ...

    @property
    def action_features(self) -> Mapping[str, object]:
        """Name → `float`."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceMapping(ActionSettings):
    """Mapping file of a robot. Missing settings are taken from the robot."""

    rate_hz: float | None = None
    """Commands per second; unset: 30, LeRobot's own default."""
    actions: tuple[str, ...] | None = None
    """Actions to command; unset: all actions of a known kind."""
    units: dict[str, str] = field(default_factory=dict)
    """Action or state feature → unit."""


@dataclass(frozen=True, slots=True)
class _Joint:
    """What a motor bus knows about one joint. `half_range_deg`: half its calibrated range, or None."""

    norm: str
    half_range_deg: float | None


def load_device_mapping(path: Path) -> DeviceMapping:
    """Return the mapping in the file at `path`.

    Raises:
        ConfigError: it cannot be read, or says something that means nothing.
    """
    table = read_settings("mapping", path)
    check_keys("mapping", table, DeviceMapping)
    check_limit_keys(table)
    try:
        return msgspec.convert(table, DeviceMapping)
    except msgspec.ValidationError as error:
        raise ConfigError("mapping", wanted="values as in docs/lerobot/units.md", got=str(error)) from error


def spec_of(
    device: DescribedDevice, robot_type: str, mapping: DeviceMapping, *, rate_hz: float | None = None
) -> RobotSpec:
    """Return the spec of a LeRobot robot, which need not be connected.

    Args:
        device: the robot.
        robot_type: the name it was asked for by; LeRobot's own is ambiguous where two types share a class.
        mapping: what its user states.
        rate_hz: instead of the mapping's.

    Raises:
        ConfigError: the mapping names what is not there, or an action's kind is known to nobody.
        SpecError: limits that make no sense, an effort without a safe value.
    """
    joints = {**dict(_declared(device)), **dict(_joints(device))}
    state = [name for name, kind in device.observation_features.items() if kind is float]
    names = _action_names(device, robot_type, mapping)
    _check_names(mapping, names, state)

    def unit(name: str) -> str:
        return mapping.units.get(name) or _unit(name, robot_type, joints)

    return RobotSpec(
        robot_type=robot_type,
        actions=tuple(
            mapping.feature(
                name,
                unit(name),
                _limits(mapping, name, unit(name), robot_type, joints),
                kind=_kind(name, mapping),
            )
            for name in names
        ),
        state=tuple(StateFeature(name, unit(name)) for name in state),
        cameras=tuple(colour_cameras(device.observation_features)),
        rate_hz=rate_hz or mapping.rate_hz or DEFAULT_RATE_HZ,
        depth_cameras=tuple(depth_cameras(device.observation_features)),
    )


def parts_of(device: object) -> Iterator[tuple[str, object]]:
    """Yield a robot as ("", robot), then the robots it is made of, each with the prefix of its names.

    LeRobot's two-armed robots hold two others as `left_arm` and `right_arm` and call their features
    "left_…" and "right_…".
    """
    yield "", device
    for attribute, part in vars(device).items():
        if part is not device and hasattr(part, "get_observation") and hasattr(part, "send_action"):
            yield f"{attribute.partition('_')[0]}_", part


def _action_names(device: DescribedDevice, robot_type: str, mapping: DeviceMapping) -> tuple[str, ...]:
    """Return the actions to command; as in LeRobot's rollout, those of unknown kind are left alone."""
    offered = list(device.action_features)
    wanted = [name for name in offered if _kind(name, mapping) is not None]
    if mapping.actions is not None:
        _check("actions", mapping.actions, offered)
        wanted = list(mapping.actions)
    unknown = [name for name in wanted or offered if _kind(name, mapping) is None]
    if unknown:
        kinds = ", ".join(kind.value for kind in ActionKind)
        raise ConfigError(
            f"actions of lerobot:{robot_type}",
            wanted=f"names that end in {', '.join(KINDS)}, or a kind for each ({kinds})",
            got=", ".join(unknown),
            fix="state `kinds` in a mapping file: --options mapping robot.yaml",
        )
    return tuple(wanted)


def _kind(name: str, mapping: DeviceMapping) -> ActionKind | None:
    return mapping.kinds.get(name) or KINDS.get(_ending(name))


def _ending(name: str) -> str:
    return f".{name.rpartition('.')[2]}"


def _check_names(mapping: DeviceMapping, actions: tuple[str, ...], state: list[str]) -> None:
    _check("units", mapping.units, [*actions, *state])
    mapping.check_names(actions)


def _check(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(
            f"mapping {what}", wanted=f"names of the robot ({', '.join(known)})", got=", ".join(unknown)
        )


def _unit(name: str, robot_type: str, joints: Mapping[str, _Joint]) -> str:
    stated = TYPE_UNITS.get(robot_type, {})
    if name in stated:
        return stated[name]
    joint, ending = joints.get(name.rpartition(".")[0]), _ending(name)
    if joint is not None and ending == ".pos":
        return "deg" if joint.norm == "degrees" else LEROBOT_NORM
    return stated.get(ending, UNKNOWN_UNIT)


def _declared(device: object) -> Iterator[tuple[str, _Joint]]:
    """Yield joints of a robot that has no LeRobot motor bus but says in its config what it counts in.

    LeRobot's own followers count a gripper in 0…100 whatever `use_degrees` says.
    """
    use_degrees = getattr(getattr(device, "config", None), "use_degrees", None)
    if not isinstance(use_degrees, bool):
        return
    for name in getattr(device, "observation_features", {}):
        joint = name.rpartition(".")[0]
        if _ending(name) == ".pos" and joint.endswith("gripper"):
            yield joint, _Joint("range_0_100", None)
        elif _ending(name) == ".pos":
            yield joint, _Joint("degrees" if use_degrees else "range_m100_100", None)


def _joint_limits(name: str, unit: str, joints: Mapping[str, _Joint]) -> Limits:
    joint = joints.get(name.rpartition(".")[0])
    lower = upper = None
    if joint is not None and joint.norm in BOUNDS:
        lower, upper = BOUNDS[joint.norm]
    elif joint is not None and joint.half_range_deg is not None:
        lower, upper = -joint.half_range_deg, joint.half_range_deg
    return Limits(lower=lower, upper=upper, velocity=SPEEDS.get(unit))


def _limits(
    mapping: DeviceMapping, name: str, unit: str, robot_type: str, joints: Mapping[str, _Joint]
) -> Limits:
    """Return the default limits of an action; ends only for what has ends."""
    kind = _kind(name, mapping)
    if kind is ActionKind.VELOCITY:
        return BASE_LIMITS.get(robot_type, {}).get(name, Limits())
    if kind is not ActionKind.POSITION:
        return Limits()
    limits = _joint_limits(name, unit, joints)
    if name in mapping.continuous or name in mapping.rotation:
        return dataclasses.replace(limits, lower=None, upper=None)
    return limits


def _joints(device: object) -> Iterator[tuple[str, _Joint]]:
    for prefix, part in parts_of(device):
        bus = getattr(part, "bus", None)
        motors = getattr(bus, "motors", None)
        for name, motor in motors.items() if isinstance(motors, dict) else ():
            norm = getattr(motor, "norm_mode", None)
            if norm is not None:
                yield f"{prefix}{name}", _Joint(str(norm.value), _half_range_deg(bus, name, motor))


def _half_range_deg(bus: object, name: str, motor: object) -> float | None:
    """Return half of what the calibration found a joint to turn, or None where it may turn all the way.

    LeRobot counts degrees from the middle of that range.
    """
    calibration = (getattr(bus, "calibration", None) or {}).get(name)
    resolutions = getattr(bus, "model_resolution_table", {})
    resolution = resolutions.get(getattr(motor, "model", ""), 0)
    if calibration is None or resolution <= 1:
        return None
    steps = int(calibration.range_max) - int(calibration.range_min)
    return steps * 180.0 / (resolution - 1) if 0 < steps < resolution - 1 else None
