"""A Gymnasium environment as a world for trials: its time passes with each step, commanded or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.errors import ConfigError, RobotError
from vagus.import_path import Option
from vagus.integrations.gymnasium.environment import Environment, GymStep, make_env, number_option, says_yes
from vagus.integrations.gymnasium.spaces import Env
from vagus.quoting import quoted
from vagus.specs import ActionKind, RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["GymWorld", "SuccessRule", "make_gym_world"]

OPTIONS = frozenset({"mapping", "rate_hz", "success", "success_return"})
SUCCESS_KEYS = ("is_success", "success")
"""Keys of `info` under which the usual environments say whether the task is done."""
STILL = frozenset({ActionKind.VELOCITY, ActionKind.DELTA})
"""Kinds whose 0 means that nothing moves."""


def make_gym_world(env_id: str, options: Mapping[str, Option]) -> GymWorld:
    """Return the environment called `env_id` as a world.

    Args:
        env_id: id in Gymnasium; the package before the slash is imported, so that it registers itself.
        options: mapping (path of a mapping file), rate_hz, success (key of `info`), success_return (least sum
            of rewards), and env_… for the environment.

    Raises:
        ConfigError: an unknown environment, one that cannot be a robot, one without a time limit, or an
            unknown option.
    """
    subject = f"world 'gym:{env_id}'"
    made = make_env(subject, env_id, options, OPTIONS)
    try:
        rule = SuccessRule(_key(made.own), number_option("success_return", made.own))
        rate_hz = number_option("rate_hz", made.own)
        environment = Environment(made.env, env_id, made.mapping, rate_hz=rate_hz, draws_late=True)
        return GymWorld(environment, env_id, max_steps=_time_limit(subject, made.env), rule=rule)
    except BaseException:
        made.env.close()
        raise


@dataclass(frozen=True, slots=True)
class SuccessRule:
    """What counts as success.

    Attributes:
        key: key of `info`: success is an episode in which it was true at any step; "": the usual keys, or
            else that the environment terminated the episode with a reward above 0.
        least_return: least sum of rewards, instead; None: no matter.
    """

    key: str = ""
    least_return: float | None = None

    def __post_init__(self) -> None:
        if self.key and self.least_return is not None:
            raise ConfigError("success", wanted="success or success_return", got="both")

    def is_met(self, steps: Sequence[GymStep], *, is_over: bool) -> bool:
        """Return whether an episode of these steps is a success so far.

        Args:
            steps: all of the episode, in order.
            is_over: whether no step follows.

        Raises:
            RobotError: it is over, and the environment has never said what the key means.
        """
        if self.least_return is not None:
            return sum(step.reward for step in steps) >= self.least_return
        keys = (self.key,) if self.key else SUCCESS_KEYS
        said = [step.info[key] for step in steps for key in keys if key in step.info]
        if said:
            return any(map(_is_true, said))
        last = steps[-1] if steps else GymStep(0.0, is_terminated=False, is_truncated=False, info={})
        if self.key and is_over:
            known = quoted(", ".join(sorted(map(str, last.info))) or "nothing")
            raise RobotError(
                f"success: wanted {self.key!r} in `info`, got {known} in an episode that is over"
            )
        return last.is_terminated and last.reward > 0


def _is_true(said: object) -> bool:
    """Return whether an environment says yes.

    Raises:
        RobotError: nobody knows what it says.
    """
    answer = says_yes(said)
    if answer is None:
        raise RobotError(f"success: wanted true, false or a number in `info`, got {quoted(repr(said))}")
    return answer


class GymWorld:
    """An environment in which one robot acts; an episode is one chance.

    Without a command a velocity and a delta are 0, an effort and a binary have their safe value or the last
    one, and a position stays at the last command. Before the first command it stays where it is measured; if
    nothing measures it, the environment is not stepped, and the step counts all the same.

    Args:
        environment: the environment; it is closed with the world.
        env_id: its name, for messages.
        max_steps: steps after which it ends an episode in any case.
        rule: what counts as success.
    """

    chances = 1

    def __init__(
        self, environment: Environment, env_id: str, *, max_steps: int, rule: SuccessRule | None = None
    ) -> None:
        self.max_steps = max_steps
        self._env = environment
        self._env_id = env_id
        self._rule = rule or SuccessRule()
        self._taken: list[GymStep] = []
        self._steps = 0
        self._seed = 0
        self._last: ActionArray | None = None

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot in the environment."""
        return self._env.spec

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed.

        Raises:
            RobotError: the environment fails.
        """
        self._seed, self._steps, self._last = seed, 0, None
        self._taken.clear()
        try:
            self._env.reset(seed)
        except (Exception, SystemExit) as error:
            raise self._failed("reset", error) from error

    def state(self) -> FloatArray:
        """Return the state after the last step."""
        return self._env.state()

    def images(self) -> Mapping[str, Image]:
        """Return the frames of this moment; they are drawn now."""
        return self._env.images()

    def advance(self, action: ActionArray | None) -> None:
        """Let one step pass.

        Raises:
            RobotError: the environment fails.
        """
        self._steps += 1
        told = self._still() if action is None else action
        if told is None:
            return
        try:
            self._taken.append(self._env.step(told))
        except (Exception, SystemExit) as error:
            raise self._failed("step", error) from error
        if action is not None:
            self._last = np.array(action)

    @property
    def is_over(self) -> bool:
        """Whether the environment has ended the episode, or its time is up."""
        last = self._taken[-1] if self._taken else None
        is_ended = last is not None and (last.is_terminated or last.is_truncated)
        return is_ended or self._steps >= self.max_steps

    @property
    def successes(self) -> int:
        """1 for a success so far, 0 otherwise."""
        return int(self._rule.is_met(self._taken, is_over=self.is_over))

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _still(self) -> ActionArray | None:
        """Return what the robot does without a command; None: nobody knows."""
        state = dict(zip((feature.name for feature in self.spec.state), self.state().tolist(), strict=True))
        told: list[float] = []
        for at, feature in enumerate(self.spec.actions):
            if feature.kind in STILL:
                told.append(0.0)
            elif feature.safe is not None:
                told.append(feature.safe)
            elif self._last is not None:
                told.append(float(self._last[at]))
            elif feature.kind is ActionKind.BINARY:
                told.append(0.0)
            elif feature.feedback in state:
                told.append(state[feature.feedback])
            else:
                return None
        return np.array(told)

    def _failed(self, what: str, error: BaseException) -> RobotError:
        return RobotError(
            f"gym:{self._env_id}: {what} {self._steps} of the episode of seed {self._seed}: "
            f"{type(error).__name__}: {quoted(error)}"
        )


def _key(options: Mapping[str, Option]) -> str:
    key = options.get("success", "")
    if not isinstance(key, str):
        raise ConfigError("success", wanted="a key of `info`, such as is_success", got=repr(key))
    return key


def _time_limit(subject: str, env: Env) -> int:
    """Return the steps after which the environment ends an episode in any case.

    Raises:
        ConfigError: it never does.
    """
    limit = None if env.spec is None else env.spec.max_episode_steps
    if limit is None or limit < 1:
        raise ConfigError(
            subject,
            wanted="a time limit: an episode might never end",
            got="none",
            fix="--world-options env_max_episode_steps 300 sets one",
        )
    return limit
