"""Reader of the spaces of a Gymnasium environment, and of its observations as arrays by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vagus.errors import ConfigError, RobotError
from vagus.integrations.gymnasium.mapping import RENDER, GymMapping, Layout, Spaces, resolve
from vagus.quoting import quoted
from vagus.types import Image

__all__ = ["Env", "Parts", "action_box", "drawn", "flatten", "layout_of"]

Env: TypeAlias = "gymnasium.Env[object, NDArray[np.generic]]"
Parts: TypeAlias = "dict[str, NDArray[np.generic]]"
"""Observation: key → array."""

WHOLE = "observation"
"""Key of the whole observation if it is no Dict."""
CHANNELS = 3


def layout_of(env: Env, env_id: str, mapping: GymMapping, rate_hz: float | None) -> Layout:
    """Return the layout of an environment's observations.

    Args:
        env: the environment; it is reset if the size of its image must be measured.
        env_id: name of the environment, for messages.
        mapping: mapping of the user.
        rate_hz: rate that replaces the rate in the mapping.

    Raises:
        ConfigError: its spaces are not those of a robot, or do not fit the mapping.
    """
    actions = action_box(env_id, env.action_space)
    parts = _boxes(env.observation_space)
    if not parts:
        raise ConfigError(
            f"robot 'gym:{env_id}'", wanted="observations with a Box in them", got=str(env.observation_space)
        )
    images = frozenset(key for key, box in parts.items() if _is_picture(box))
    is_drawn = not images if mapping.cameras is None else RENDER in mapping.cameras
    described = Spaces(
        env_id=env_id,
        parts={key: box.shape for key, box in parts.items()},
        images=images,
        low=actions.low.ravel().tolist(),
        high=actions.high.ravel().tolist(),
        rate_hz=env.metadata.get("render_fps"),
        drawn=_drawn_size(env) if is_drawn and env.render_mode == "rgb_array" else None,
    )
    return resolve(mapping if rate_hz is None else replace(mapping, rate_hz=rate_hz), described)


def action_box(env_id: str, space: object) -> spaces.Box:
    """Return an action space that is a Box.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(space, spaces.Box):
        raise ConfigError(
            f"robot 'gym:{env_id}'",
            wanted="a Box action space: numbers that can be interpolated and limited",
            got=str(space),
        )
    return space


def _boxes(space: object, name: str = "") -> dict[str, spaces.Box]:
    """Return key → space of the vectors and pictures in an observation space; the rest is left out."""
    if isinstance(space, spaces.Dict):
        found: dict[str, spaces.Box] = {}
        for key, part in space.spaces.items():
            found.update(_boxes(part, f"{name}.{key}" if name else key))
        return found
    if isinstance(space, spaces.Box) and (len(space.shape) <= 1 or _is_picture(space)):
        return {name or WHOLE: space}
    return {}


def _is_picture(box: spaces.Box) -> bool:
    return box.dtype == np.uint8 and len(box.shape) == 3 and box.shape[2] == CHANNELS


def flatten(observation: object, name: str = "") -> Parts:
    """Return copies of an observation's arrays by key."""
    if not isinstance(observation, Mapping):
        return {name or WHOLE: np.array(observation)}
    parts: Parts = {}
    for key, part in observation.items():
        parts.update(flatten(part, f"{name}.{key}" if name else str(key)))
    return parts


def drawn(env: Env) -> Image:
    """Return the image from `render()`, RGB (height, width, 3), uint8.

    Raises:
        RobotError: `render()` returns something else.
    """
    frame = env.render()
    got = f"{frame.shape} {frame.dtype}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
    is_picture = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3
    if not is_picture or cast("Image", frame).shape[2] != CHANNELS:
        raise RobotError(f"render(): wanted (height, width, 3) uint8, got {got}")
    return np.array(frame)


def _drawn_size(env: Env) -> tuple[int, int]:
    """Return height and width of the image from `render()`; begins an episode, which it needs."""
    try:
        env.reset()
        height, width, _ = drawn(env).shape
    except Exception as error:
        raise ConfigError(
            "cameras",
            wanted="an environment that draws itself",
            got=f"{type(error).__name__}: {quoted(error)}",
            fix="name its picture observations in `cameras`",
        ) from error
    return height, width
