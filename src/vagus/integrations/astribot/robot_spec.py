"""Spec of the robot `astribot`: units, limits and cameras of an Astribot S1 (pure).

Ends and largest speeds are the narrowest of what the maker has published: the joint limits in its robot
description (astribot_descriptions, URDF) and those in the examples of its SDK. No robot was asked.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from vagus.errors import ConfigError
from vagus.integrations.astribot.layout import PARTS, WIDTHS, names_of
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.robots.action_settings import ActionSettings, check_limit_keys
from vagus.settings_file import check_keys, read_settings
from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, RobotSpec, StateFeature

__all__ = ["CAMERAS", "CLOSED", "astribot_spec", "bounds_of", "load_astribot_mapping"]

CAMERAS: Final = (
    CameraSpec("head", 720, 1280),
    CameraSpec("wrist_left", 360, 640),
    CameraSpec("wrist_right", 360, 640),
)
CLOSED: Final = 100.0
"""The SDK's number of a closed gripper; an open one is 0."""
_ENDS: Final = {
    "arm_left": (
        (-3.01, -1.5, -3.08, 0.001, -2.37, -0.75, -1.55),
        (1.517, 0.25, 1.517, 2.55, 2.37, 0.75, 1.55),
    ),
    "arm_right": (
        (-1.517, -1.5, -1.517, 0.001, -2.37, -0.75, -1.55),
        (3.01, 0.25, 3.08, 2.55, 2.37, 0.75, 1.55),
    ),
    "head": ((-1.57, -1.0), (1.57, 1.0)),
    "torso": ((0.0, -2.35, 0.0, -1.58), (1.3, 0.0, 2.4, 1.58)),
}
"""Part → lower and upper ends in rad."""
_ARM_SPEEDS: Final = (3.0, 3.0, 3.0, 5.0, 10.0, 5.0, 5.0)
"""The maker's largest speeds of an arm's joints, rad/s."""
_ARM_ACCELERATION: Final = 10.0
_SLOW: Final = {"head": (0.5, 2.0), "torso": (0.2, 0.5)}
"""Part → speed in rad/s and acceleration in rad/s². The torso carries both arms, so it is slow."""
_GRIPPER_PER_S: Final = 2.0
"""Strokes per second."""
_CHASSIS: Final = {"m": (0.1, 0.2), "rad": (0.2, 0.4)}
"""Unit of a place → its speed and acceleration."""
_CHASSIS_UNITS: Final = ("m", "m", "rad")


def astribot_spec(options: AstribotRobotOptions, mapping: ActionSettings | None = None) -> RobotSpec:
    """Return the spec of the robot.

    The state has all 25 numbers; an action as many as `options.width`. A part of it that is not to be moved
    is held.

    Raises:
        ConfigError: the mapping has settings of an action that the robot does not have.
        SpecError: settings that contradict each other.
    """
    settings = mapping or ActionSettings()
    names = names_of(options.width)
    settings.check_names(names)
    state = tuple(
        StateFeature(name, _place_unit(at, options)) for at, name in enumerate(names_of(WIDTHS[-1]))
    )
    actions = tuple(_action(at, name, options, settings) for at, name in enumerate(names))
    return RobotSpec("astribot", actions, state, CAMERAS, options.rate_hz)


def load_astribot_mapping(path: Path) -> ActionSettings:
    """Return the mapping in the file at `path`.

    Raises:
        ConfigError: the file cannot be read, or a setting is invalid.
    """
    table = read_settings("mapping", path)
    check_keys("mapping", dict.fromkeys(table), ActionSettings)
    check_limit_keys(table)
    try:
        return msgspec.convert(table, ActionSettings)
    except msgspec.ValidationError as error:
        raise ConfigError("mapping", wanted="values as in docs/lerobot/units.md", got=str(error)) from error


def bounds_of(part: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return lower and upper ends of an arm, the head or the torso, rad."""
    return _ENDS[part]


def _action(at: int, name: str, options: AstribotRobotOptions, settings: ActionSettings) -> ActionFeature:
    part = next(part for part, span in PARTS.items() if span.start <= at < span.stop)
    kind = _kind(part, options)
    place = _place_unit(at, options)
    unit = {ActionKind.VELOCITY: f"{place}/s", ActionKind.BINARY: "0/1"}.get(kind, place)
    if kind is ActionKind.VELOCITY:
        settings = replace(settings, unmeasured=(*settings.unmeasured, name))  # a place does not measure it
    if _is_held(part, options):
        settings = replace(settings, held=(*settings.held, name))
    if kind is ActionKind.POSITION and options.average > 1 and not _is_held(part, options):
        settings = replace(settings, averaged_ticks={name: options.average, **settings.averaged_ticks})
    return settings.feature(name, unit, _limits(at, part, kind, options), kind=kind)


def _kind(part: str, options: AstribotRobotOptions) -> ActionKind:
    if part == "chassis" and options.chassis == "velocity":
        return ActionKind.VELOCITY
    is_gripper = part in ("gripper_left", "gripper_right")
    return ActionKind.BINARY if is_gripper and options.gripper == "binary" else ActionKind.POSITION


def _is_held(part: str, options: AstribotRobotOptions) -> bool:
    is_moved = {"head": options.head, "torso": options.torso, "chassis": options.chassis != "off"}
    return not is_moved.get(part, True)


def _place_unit(at: int, options: AstribotRobotOptions) -> str:
    """Return the unit in which a number of the state is measured."""
    if at >= PARTS["chassis"].start:
        return _CHASSIS_UNITS[at - PARTS["chassis"].start]
    if PARTS["gripper_left"].start <= at < PARTS["gripper_right"].stop:
        return {"fraction": "fraction_closed", "percent": "percent_closed"}.get(options.gripper, "0/1")
    return "rad"


def _limits(at: int, part: str, kind: ActionKind, options: AstribotRobotOptions) -> Limits:
    if kind is ActionKind.BINARY:
        return Limits()
    if part in ("gripper_left", "gripper_right"):
        stroke = CLOSED if options.gripper == "percent" else 1.0
        return Limits(0.0, stroke, velocity=_GRIPPER_PER_S * stroke)
    joint = at - PARTS[part].start
    if part == "chassis":
        speed, acceleration = _CHASSIS[_CHASSIS_UNITS[joint]]
        if kind is ActionKind.VELOCITY:
            return Limits(-speed, speed, acceleration=acceleration)
        return Limits(velocity=speed, acceleration=acceleration)
    lower, upper = _ENDS[part]
    speed, acceleration = _SLOW.get(part) or (
        min(options.max_delta * options.rate_hz, _ARM_SPEEDS[joint]),
        _ARM_ACCELERATION,
    )
    return Limits(lower[joint], upper[joint], velocity=speed, acceleration=acceleration)
