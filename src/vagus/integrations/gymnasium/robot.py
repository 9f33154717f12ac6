"""A Gymnasium environment with a Box action space as a robot: one step per command, on the control thread.

The time of the environment passes only with commands, so a late policy costs only wall time. The frames
belong to the last step; the frames of a request may be one step newer than its state.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import gymnasium
import numpy as np

from vagus.errors import ConfigError, RobotError
from vagus.import_path import Option, check_options
from vagus.integrations.gymnasium.mapping import RENDER, GymMapping, load_mapping
from vagus.integrations.gymnasium.spaces import Env, Parts, action_box, drawn, flatten, layout_of
from vagus.specs import ActionKind, RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["GymReport", "GymRobot", "make_gym_robot"]

HALF = 0.5
"""Threshold between 0 and 1 of a binary."""
ENV = "env_"
"""Prefix of options for the environment."""
OPTIONS = frozenset({"mapping", "seed", "rate_hz"})


@dataclass(frozen=True, slots=True)
class GymReport:
    """Results since `connect`.

    Attributes:
        episodes: number of episodes that the environment ended.
        successes: number of these with success: by `info["is_success"]`, or without it, terminated (not
            truncated) episodes.
        returns: sum of the rewards of each episode.
        steps: total number of steps.
    """

    episodes: int
    successes: int
    returns: tuple[float, ...]
    steps: int


def make_gym_robot(env_id: str, options: Mapping[str, Option]) -> GymRobot:
    """Return the environment called `env_id` as a robot.

    Args:
        env_id: id in Gymnasium; the package before the slash is imported, so that it registers itself.
        options: mapping (path of a mapping file), seed, rate_hz, and env_… for the environment.

    Raises:
        ConfigError: an unknown environment, one that cannot be a robot, or an unknown option.
    """
    own = {key: value for key, value in options.items() if not key.startswith(ENV)}
    check_options(f"robot 'gym:{env_id}', beside {ENV}…", own, OPTIONS)
    path = str(own.get("mapping", ""))
    mapping = load_mapping(Path(path)) if path else GymMapping()
    settings = {key.removeprefix(ENV): value for key, value in options.items() if key.startswith(ENV)}
    env = _make(env_id, {"render_mode": "rgb_array", **settings})
    try:
        return GymRobot(env, env_id, mapping, seed=_whole("seed", own), rate_hz=_number("rate_hz", own))
    except BaseException:
        env.close()
        raise


def _number(name: str, options: Mapping[str, Option]) -> float | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, (bool, str)):
        raise ConfigError(name, wanted="a number", got=repr(value))
    return value


def _whole(name: str, options: Mapping[str, Option]) -> int | None:
    value = _number(name, options)
    if value is not None and value != int(value):
        raise ConfigError(name, wanted="a whole number", got=repr(value))
    return None if value is None else int(value)


class GymRobot:
    """Environment as a robot; an `EpisodicRobot`.

    The environment is made before the robot, because the spec is made from its spaces.
    """

    def __init__(
        self,
        env: Env,
        env_id: str,
        mapping: GymMapping,
        *,
        seed: int | None = None,
        rate_hz: float | None = None,
    ) -> None:
        """Use an environment as a robot; it is closed with the robot.

        Args:
            env: the environment, not reset yet.
            env_id: name of the environment, for messages.
            mapping: mapping of its actions and observations.
            seed: seed of the first episode; the others follow from it.
            rate_hz: rate that replaces the rate in the mapping.

        Raises:
            ConfigError: its spaces are not those of a robot, or do not fit the mapping.
        """
        self._env = env
        self._env_id = env_id
        self._seed = seed
        self._layout = layout_of(env, env_id, mapping, rate_hz)
        self._action_space = action_box(env_id, env.action_space)
        self._is_binary = np.array([f.kind is ActionKind.BINARY for f in self._layout.spec.actions])
        self._parts: Parts = {}  # replaced as a whole, so that the camera thread sees one moment
        self._is_connected = False
        self._is_stopped = False
        self._is_over = False
        self._reward = 0.0
        self._returns: list[float] = []
        self._successes = 0
        self._steps = 0

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot: names, units, limits and cameras."""
        return self._layout.spec

    @property
    def is_episode_over(self) -> bool:
        """Whether the environment terminated or truncated the episode."""
        return self._is_over

    def connect(self) -> None:
        """Begin the first episode; a second call does nothing."""
        if not self._is_connected:
            self._reset(self._seed)
            self._is_connected = True

    def begin_episode(self) -> None:
        """Begin the next episode."""
        self._check_connected("begin_episode")
        self._reset(None)

    def read_state(self) -> FloatArray:
        """Return the state after the last step, in the order of the spec."""
        self._check_connected("read_state")
        parts = self._parts
        if not self._layout.state:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate([parts[key].astype(np.float32).ravel() for key in self._layout.state])

    def read_images(self) -> Mapping[str, Image]:
        """Return the frames after the last step."""
        self._check_connected("read_images")
        parts = self._parts
        # whoever asked for them checks them
        return {name: cast("Image", parts[key]) for name, key in self._layout.cameras.items()}

    def command(self, action: ActionArray) -> None:
        """Step the environment once.

        Raises:
            RobotError: not connected, stopped, or the episode is over.
        """
        self._check_connected("command")
        if self._is_stopped or self._is_over:
            state = "stop()" if self._is_stopped else "the end of the episode"
            raise RobotError(f"gym:{self._env_id}: command() after {state}")
        space = self._action_space
        low, high = space.low.ravel(), space.high.ravel()
        told = np.where(
            self._is_binary, np.where(action > HALF, high, low), action
        )  # its 0 and 1 are its ends
        sent = np.clip(told, low, high).reshape(space.shape).astype(space.dtype)
        observation, reward, is_terminated, is_truncated, info = self._env.step(sent)
        self._steps += 1
        self._reward += float(reward)
        if is_terminated or is_truncated:
            self._is_over = True
            self._returns.append(self._reward)
            self._successes += bool(info.get("is_success", is_terminated))
        self._see(observation)

    def stop(self) -> None:
        """Accept no further command; the time of the environment stops."""
        self._is_stopped = True

    def close(self) -> None:
        """Stop, and close the environment; `report` still works."""
        self.stop()
        self._env.close()

    def report(self) -> GymReport:
        """Return the results since `connect`."""
        return GymReport(len(self._returns), self._successes, tuple(self._returns), self._steps)

    def _check_connected(self, what: str) -> None:
        if not self._is_connected:
            raise RobotError(f"gym:{self._env_id}: {what}() before connect()")

    def _reset(self, seed: int | None) -> None:
        observation, _ = self._env.reset(seed=seed)
        self._is_over = False
        self._reward = 0.0
        self._see(observation)

    def _see(self, observation: object) -> None:
        parts = flatten(observation)
        if RENDER in self._layout.cameras.values():
            parts[RENDER] = drawn(self._env)
        self._parts = parts


def _make(env_id: str, settings: Mapping[str, object]) -> Env:
    package = env_id.partition("/")[0]
    try:
        if "/" in env_id and importlib.util.find_spec(package) is not None:
            importlib.import_module(package)
        return gymnasium.make(env_id, disable_env_checker=True, **settings)  # type: ignore[arg-type] # the environment's own
    except gymnasium.error.UnregisteredEnv as error:
        raise ConfigError(
            f"robot 'gym:{env_id}'", wanted="an environment that is installed", got=str(error)
        ) from error
    except Exception as error:
        raise ConfigError(
            f"robot 'gym:{env_id}'",
            wanted=f"an environment that can be made with {dict(settings)}",
            got=f"{type(error).__name__}: {error}",
        ) from error
