"""A Gymnasium environment with a Box action space as a robot: one step per command, on the control thread.

The time of the environment passes only with commands, so a late policy costs only wall time. The frames
belong to the last step; the frames of a request may be one step newer than its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus.errors import ConfigError, RobotError
from vagus.import_path import Option
from vagus.integrations.gymnasium.environment import Environment, make_env, number_option, says_yes
from vagus.integrations.gymnasium.mapping import GymMapping
from vagus.integrations.gymnasium.spaces import Env
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["GymReport", "GymRobot", "make_gym_robot"]

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
    made = make_env(f"robot 'gym:{env_id}'", env_id, options, OPTIONS)
    try:
        seed, rate_hz = _whole("seed", made.own), number_option("rate_hz", made.own)
        return GymRobot(made.env, env_id, made.mapping, seed=seed, rate_hz=rate_hz)
    except BaseException:
        made.env.close()
        raise


def _whole(name: str, options: Mapping[str, Option]) -> int | None:
    value = number_option(name, options)
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
        self._env = Environment(env, env_id, mapping, rate_hz=rate_hz)
        self._env_id = env_id
        self._seed = seed
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
        return self._env.spec

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
        return self._env.state()

    def read_images(self) -> Mapping[str, Image]:
        """Return the frames after the last step."""
        self._check_connected("read_images")
        return self._env.images()

    def command(self, action: ActionArray) -> None:
        """Step the environment once.

        Raises:
            RobotError: not connected, stopped, or the episode is over.
        """
        self._check_connected("command")
        if self._is_stopped or self._is_over:
            state = "stop()" if self._is_stopped else "the end of the episode"
            raise RobotError(f"gym:{self._env_id}: command() after {state}")
        said = self._env.step(action)
        self._steps += 1
        self._reward += said.reward
        if said.is_terminated or said.is_truncated:
            self._is_over = True
            self._returns.append(self._reward)
            self._successes += bool(says_yes(said.info.get("is_success", said.is_terminated)))

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
        self._env.reset(seed)
        self._is_over = False
        self._reward = 0.0
