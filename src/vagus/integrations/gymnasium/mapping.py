"""Settings of a Gymnasium environment as a robot, and their defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import msgspec

from vagus.errors import ConfigError
from vagus.features import LARGEST
from vagus.robots.action_settings import ActionSettings, check_limit_keys
from vagus.settings_file import check_keys, read_settings
from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, RobotSpec, StateFeature

__all__ = ["ENV_UNIT", "RENDER", "GymMapping", "Layout", "Spaces", "load_mapping", "resolve"]

ENV_UNIT = "env"
"""Unit of a number that only the environment knows."""
RENDER = "render"
"""Key of the image from `render()`, among the observation keys."""
DEFAULT_RATE_HZ = 30.0


@dataclass(frozen=True, slots=True)
class GymMapping(ActionSettings):
    """Mapping file of an environment. Missing settings are taken from the spaces of the environment.

    Limits without lower and upper get those of the action space.
    """

    rate_hz: float | None = None
    """Steps per second; unset: the render rate of the environment, otherwise 30."""
    actions: dict[str, str] = field(default_factory=dict)
    """Action name → unit, in the order of the action space."""
    state: dict[str, dict[str, str]] | None = None
    """Observation key → state feature → unit, in order."""
    cameras: dict[str, str] | None = None
    """Observation key, or "render" for the image from `render()` → camera name."""


@dataclass(frozen=True, slots=True)
class Spaces:
    """Spaces of an environment, and its metadata.

    Attributes:
        env_id: name of the environment.
        parts: observation key → shape; the whole observation is called "observation".
        images: keys of parts that are pictures, uint8 (height, width, 3).
        low: lower bounds of the actions, flat; −inf: none.
        high: upper bounds.
        rate_hz: as the environment says, or None.
        drawn: (height, width) of the image from `render()`, or None if there is no image.
    """

    env_id: str
    parts: Mapping[str, tuple[int, ...]]
    images: frozenset[str]
    low: Sequence[float]
    high: Sequence[float]
    rate_hz: float | None
    drawn: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Layout:
    """Assignment of each part of an observation to state or cameras.

    Attributes:
        spec: spec of the robot.
        state: observation keys of the state, in order.
        cameras: camera name → observation key, or "render".
    """

    spec: RobotSpec
    state: tuple[str, ...]
    cameras: Mapping[str, str]


def load_mapping(path: Path) -> GymMapping:
    """Return the mapping in the file at `path`.

    Raises:
        ConfigError: the file cannot be read, or a setting is invalid.
    """
    table = read_settings("mapping", path)
    check_keys("mapping", dict.fromkeys(table), GymMapping)
    check_limit_keys(table)
    try:
        return msgspec.convert(table, GymMapping)
    except msgspec.ValidationError as error:
        raise ConfigError("mapping", wanted="values as in docs/quickstart.md", got=str(error)) from error


def resolve(mapping: GymMapping, spaces: Spaces) -> Layout:
    """Return the layout of the observations.

    Raises:
        ConfigError: the mapping does not match the environment.
        SpecError: names that occur twice, an effort without a safe value, invalid limits.
    """
    state = _state(mapping, spaces)
    cameras = _cameras(mapping, spaces)
    spec = RobotSpec(
        robot_type=f"gym:{spaces.env_id}",
        actions=_actions(mapping, spaces),
        state=tuple(
            StateFeature(name, unit) for features in state.values() for name, unit in features.items()
        ),
        cameras=tuple(
            CameraSpec(name, *_size(spaces, key), may_repeat=True) for name, key in cameras.items()
        ),
        rate_hz=_rate_hz(mapping, spaces),
    )
    return Layout(spec, tuple(state), cameras)


def _rate_hz(mapping: GymMapping, spaces: Spaces) -> float:
    if mapping.rate_hz is not None:
        return mapping.rate_hz
    return DEFAULT_RATE_HZ if spaces.rate_hz is None else float(spaces.rate_hz)


def _actions(mapping: GymMapping, spaces: Spaces) -> tuple[ActionFeature, ...]:
    names = mapping.actions or dict.fromkeys(_numbered("action", len(spaces.low)), ENV_UNIT)
    if len(names) != len(spaces.low):
        raise ConfigError("actions", wanted=f"{len(spaces.low)} names", got=f"{list(names)}")
    mapping.check_names(names)
    return tuple(
        mapping.feature(name, unit, _bounds(mapping, name, spaces.low[at], spaces.high[at]))
        for at, (name, unit) in enumerate(names.items())
    )


def _bounds(mapping: GymMapping, name: str, low: float, high: float) -> Limits:
    """Return the limits of the action space; none for a binary, a continuous angle or an orientation.

    An infinite or very large number in the space, such as the largest float, means that there is no limit.
    """
    if name in mapping.continuous or name in mapping.rotation or mapping.kinds.get(name) is ActionKind.BINARY:
        return Limits()
    return Limits(
        lower=low if abs(low) <= LARGEST else None,
        upper=high if abs(high) <= LARGEST else None,
    )


def _state(mapping: GymMapping, spaces: Spaces) -> Mapping[str, Mapping[str, str]]:
    sizes = {key: prod(shape) for key, shape in spaces.parts.items() if key not in spaces.images}
    if mapping.state is None:
        return {key: dict.fromkeys(_numbered(key, size), ENV_UNIT) for key, size in sizes.items()}
    for key, features in mapping.state.items():
        if key not in sizes:
            raise ConfigError("state", wanted=f"one of the keys {sorted(sizes)}", got=repr(key))
        if len(features) != sizes[key]:
            raise ConfigError(f"state.{key}", wanted=f"{sizes[key]} names", got=f"{list(features)}")
    return mapping.state


def _cameras(mapping: GymMapping, spaces: Spaces) -> Mapping[str, str]:
    """Return camera name → key."""
    available = sorted(spaces.images) + ([RENDER] if spaces.drawn is not None else [])
    if mapping.cameras is None:
        return {key: key for key in sorted(spaces.images) or available}
    for key in mapping.cameras:
        if key not in available:
            fix = "give it env_render_mode=rgb_array" if key == RENDER else ""
            raise ConfigError("cameras", wanted=f"one of the keys {available}", got=repr(key), fix=fix)
    names = list(mapping.cameras.values())
    if len(set(names)) < len(names):
        raise ConfigError("cameras", wanted="each name once", got=f"{names}")
    return {name: key for key, name in mapping.cameras.items()}


def _size(spaces: Spaces, key: str) -> tuple[int, int]:
    if key == RENDER and spaces.drawn is not None:
        return spaces.drawn
    height, width, _ = spaces.parts[key]
    return height, width


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}.{at}" for at in range(count)]
