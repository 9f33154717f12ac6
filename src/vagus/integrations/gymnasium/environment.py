"""A Gymnasium environment with a Box action space: its layout, its last observation, and its steps."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import gymnasium
import numpy as np

from vagus.errors import ConfigError
from vagus.import_path import Option, check_options
from vagus.integrations.gymnasium.mapping import RENDER, GymMapping, load_mapping
from vagus.integrations.gymnasium.spaces import Env, Parts, action_box, drawn, flatten, layout_of
from vagus.specs import ActionKind, RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["Environment", "GymChoice", "GymStep", "make_env", "number_option", "says_yes"]

HALF = 0.5
"""Threshold between 0 and 1 of a binary."""
ENV = "env_"
"""Prefix of options for the environment."""


@dataclass(frozen=True, slots=True)
class GymChoice:
    """An environment as a user asked for it.

    Attributes:
        env: the environment, not reset yet.
        mapping: mapping of its actions and observations.
        own: the other options, which are not for the environment itself.
    """

    env: Env
    mapping: GymMapping
    own: Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class GymStep:
    """What a step came to, but for the observation.

    Attributes:
        reward: reward of the step.
        is_terminated: whether the task has ended the episode.
        is_truncated: whether something else has, such as a time limit.
        info: what else the environment says.
    """

    reward: float
    is_terminated: bool
    is_truncated: bool
    info: Mapping[str, object]


def make_env(subject: str, env_id: str, options: Mapping[str, Option], accepted: frozenset[str]) -> GymChoice:
    """Return the environment called `env_id`; whoever asks for it closes it.

    Args:
        subject: what it is wanted as, for messages: "robot 'gym:…'".
        env_id: id in Gymnasium; the package before the slash is imported, so that it registers itself.
        options: mapping (path of a mapping file), other names in `accepted`, and env_… for the environment.
        accepted: names of the options that are not for the environment.

    Raises:
        ConfigError: an unknown environment, one that cannot be made, or an unknown option.
    """
    own = {key: value for key, value in options.items() if not key.startswith(ENV)}
    check_options(f"{subject}, beside {ENV}…", own, accepted)
    path = str(own.get("mapping", ""))
    mapping = load_mapping(Path(path)) if path else GymMapping()
    settings = {key.removeprefix(ENV): value for key, value in options.items() if key.startswith(ENV)}
    return GymChoice(_made(subject, env_id, {"render_mode": "rgb_array", **settings}), mapping, own)


def number_option(name: str, options: Mapping[str, Option]) -> float | None:
    """Return an option that is a number; None: it is not there.

    Raises:
        ConfigError: it is something else.
    """
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, (bool, str)):
        raise ConfigError(name, wanted="a number", got=repr(value))
    return value


class Environment:
    """An environment as vectors, pictures and steps.

    Args:
        env: the environment, not reset yet.
        env_id: name of the environment, for messages.
        mapping: mapping of its actions and observations.
        rate_hz: rate that replaces the rate in the mapping.
        draws_late: draw only when the frames are asked for; only for users with one thread.

    Raises:
        ConfigError: its spaces are not those of a robot, or do not fit the mapping.
    """

    def __init__(
        self,
        env: Env,
        env_id: str,
        mapping: GymMapping,
        *,
        rate_hz: float | None = None,
        draws_late: bool = False,
    ) -> None:
        self._env = env
        self._layout = layout_of(env, env_id, mapping, rate_hz)
        self._action_space = action_box(env_id, env.action_space)
        self._is_binary = np.array([f.kind is ActionKind.BINARY for f in self._layout.spec.actions])
        self._is_drawn = RENDER in self._layout.cameras.values()
        self._draws_late = draws_late
        self._parts: Parts = {}  # replaced as a whole, so that another thread sees one moment

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot in it."""
        return self._layout.spec

    def reset(self, seed: int | None) -> None:
        """Begin an episode; without a seed, the one that follows from the earlier ones."""
        observation, _ = self._env.reset(seed=seed)
        self._see(observation)

    def step(self, action: ActionArray) -> GymStep:
        """Step once, with an action inside the action space, (action_dim,)."""
        space = self._action_space
        low, high = space.low.ravel(), space.high.ravel()
        told = np.where(
            self._is_binary, np.where(action > HALF, high, low), action
        )  # its 0 and 1 are its ends
        sent = np.clip(told, low, high).reshape(space.shape).astype(space.dtype)
        observation, reward, is_terminated, is_truncated, info = self._env.step(sent)
        self._see(observation)
        return GymStep(float(reward), bool(is_terminated), bool(is_truncated), info)

    def state(self) -> FloatArray:
        """Return the state after the last step, in the order of the spec."""
        parts = self._parts
        if not self._layout.state:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate([parts[key].astype(np.float32).ravel() for key in self._layout.state])

    def images(self) -> Mapping[str, Image]:
        """Return the frames after the last step."""
        parts = self._parts
        if self._is_drawn and self._draws_late:
            parts = {**parts, RENDER: drawn(self._env)}
        # whoever asked for them checks them
        return {name: cast("Image", parts[key]) for name, key in self._layout.cameras.items()}

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _see(self, observation: object) -> None:
        parts = flatten(observation)
        if self._is_drawn and not self._draws_late:
            parts[RENDER] = drawn(self._env)
        self._parts = parts


def _made(subject: str, env_id: str, settings: Mapping[str, object]) -> Env:
    package = env_id.partition("/")[0]
    try:
        if "/" in env_id and importlib.util.find_spec(package) is not None:
            importlib.import_module(package)
        return gymnasium.make(env_id, disable_env_checker=True, **settings)  # type: ignore[arg-type] # the environment's own
    except gymnasium.error.UnregisteredEnv as error:
        raise ConfigError(subject, wanted="an environment that is installed", got=str(error)) from error
    except Exception as error:
        raise ConfigError(
            subject,
            wanted=f"an environment that can be made with {dict(settings)}",
            got=f"{type(error).__name__}: {error}",
        ) from error


def says_yes(said: object) -> bool | None:
    """Return what an environment says in `info`; None: neither true nor false nor a number."""
    number = np.asarray(said)
    if number.size != 1 or number.dtype.kind not in "biuf" or np.isnan(number).any():
        return None
    return bool(number)
