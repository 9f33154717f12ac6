"""A world of trials as a robot in real time: one tick is one step, and its episodes are those of the seeds.

Time passes with the ticks of the loop, as in a simulated trial. A tick that comes late, or not at all, makes
the world stand still meanwhile, so it is counted: an episode with many of them says little about a delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ConfigError, RobotError
from vagus.features import ActionFeature, is_blind, lacking_bounds
from vagus.specs import RobotSpec
from vagus.trials.checked_world import CheckedWorld
from vagus.trials.trial_robot import phase_of
from vagus.trials.world import World
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["WorldReport", "WorldRobot"]


@dataclass(frozen=True, slots=True)
class WorldReport:
    """Results of the episodes that are over, in their order.

    Attributes:
        seeds: seed of each.
        successes: how many of its chances succeeded.
        late_ticks: ticks that were missing, because one came too late.
        chances: things in an episode that succeed or fail.
    """

    seeds: tuple[int, ...]
    successes: tuple[int, ...]
    late_ticks: tuple[int, ...]
    chances: int


class WorldRobot:
    """World as a robot; a `FiniteRobot`.

    A tick without a command is a step without an action, as in a simulated trial.

    Args:
        world: the world; it is closed with the robot.
        seeds: seeds of the episodes, in their order.
        clock: tells which tick a reading belongs to.

    Raises:
        ConfigError: no seeds.
    """

    def __init__(self, world: World, seeds: Sequence[int], clock: Clock | None = None) -> None:
        if not seeds:
            raise ConfigError("episodes", wanted="at least one", got="none")
        self._world = CheckedWorld(world)
        self._spec = replace(world.spec, actions=tuple(_vouched(action) for action in world.spec.actions))
        self._seeds = tuple(seeds)
        self._clock = clock or MonotonicClock()
        self._step_ns = round(NS_PER_S / world.spec.rate_hz)
        self._images: Mapping[
            str, Image
        ] = {}  # replaced as a whole, so that the camera thread sees one moment
        self._is_connected = False
        self._is_stopped = False
        self._has_stepped = False
        """Whether this tick has had its command."""
        self._tick_ns: int | None = None  # no tick of this episode yet
        self._begun = 0
        self._steps = 0
        self._late = 0
        self._successes: list[int] = []
        self._late_ticks: list[int] = []

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot in the world; what it does not bound or measure can break nothing there."""
        return self._spec

    @property
    def recorded_episodes(self) -> int:
        """Number of episodes."""
        return len(self._seeds)

    @property
    def is_episode_over(self) -> bool:
        """Whether the episode has ended; it does after `max_steps` in any case."""
        return self._is_connected and self._is_over

    def connect(self) -> None:
        """Begin the first episode; a second call does nothing."""
        if not self._is_connected:
            self._begin()
            self._is_connected = True

    def begin_episode(self) -> None:
        """Begin the episode of the next seed."""
        self._check_connected("begin_episode")
        self._begin()

    def read_state(self) -> FloatArray:
        """Return the state at this tick, (state_dim,), float32."""
        self._check_connected("read_state")
        self._note_tick()
        return self._world.state()

    def read_images(self) -> Mapping[str, Image]:
        """Return the frames after the last step."""
        self._check_connected("read_images")
        return self._images

    def command(self, action: ActionArray) -> None:
        """Take one step.

        Raises:
            RobotError: not connected, or stopped.
        """
        self._check_connected("command")
        if self._is_stopped:
            raise RobotError(f"{self.spec.robot_type}: command() after stop()")
        if not self._is_over:  # the last step may have passed without a command just now
            self._step(action)
            self._has_stepped = True

    def stop(self) -> None:
        """Accept no further command; the time of the world stops."""
        self._is_stopped = True

    def close(self) -> None:
        """Stop, and close the world; `report` still works."""
        self.stop()
        self._world.close()

    def report(self) -> WorldReport:
        """Return the results of the episodes that are over."""
        done = len(self._successes)
        return WorldReport(
            self._seeds[:done], tuple(self._successes), tuple(self._late_ticks), self._world.chances
        )

    @property
    def _is_over(self) -> bool:
        return self._world.is_over or self._steps >= self._world.max_steps

    def _begin(self) -> None:
        if self._begun == len(self._seeds):
            raise RobotError(
                f"{self.spec.robot_type}: wanted at most {self._begun} episodes, got one more to begin"
            )
        seed = self._seeds[self._begun]
        self._begun += 1
        self._world.reset(seed)
        self._steps = phase_of(seed)
        for _ in range(self._steps):
            self._world.advance(None)
        self._see()
        self._late = 0
        self._tick_ns = None

    def _note_tick(self) -> None:
        """Let the last tick's step pass, if that had no command; the state is read twice in some ticks."""
        now_ns, before_ns = self._clock.now_ns(), self._tick_ns
        if before_ns is not None and not self._has_stepped and now_ns - before_ns < self._step_ns // 2:
            return
        self._tick_ns = now_ns
        if before_ns is None:
            self._has_stepped = False
            return
        self._late += max(round((now_ns - before_ns) / self._step_ns) - 1, 0)
        if not (self._has_stepped or self._is_stopped or self._is_over):
            self._step(None)
        self._has_stepped = False

    def _step(self, action: ActionArray | None) -> None:
        self._world.advance(action)
        self._steps += 1
        self._see()
        if self._is_over:
            self._successes.append(self._world.successes)
            self._late_ticks.append(self._late)

    def _see(self) -> None:
        self._images = self._world.images() if self.spec.cameras else {}

    def _check_connected(self, what: str) -> None:
        if not self._is_connected:
            raise RobotError(f"{self.spec.robot_type}: {what}() before connect()")


def _vouched(action: ActionFeature) -> ActionFeature:
    return replace(
        action,
        vouch_unbounded=action.vouch_unbounded or bool(lacking_bounds(action)),
        vouch_unmeasured=action.vouch_unmeasured or is_blind(action),
    )
