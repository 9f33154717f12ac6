"""A world as a robot in real time: the same steps as in a simulated trial, and ticks that were missing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from vagus.clock import NS_PER_MS
from vagus.control.robot_check import Admission, admitted
from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError, RobotError, SpecError
from vagus.features import ActionFeature
from vagus.robots.robot import FiniteRobot, check_callable
from vagus.specs import CameraSpec, RobotSpec
from vagus.trials.trial_robot import phase_of
from vagus.trials.world_robot import WorldRobot
from vagus.types import ActionArray, FloatArray, Image

STEP_MS = 50
STEPS = 8


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ns = 1

    def now_ns(self) -> int:
        return self.ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        self.ns = deadline_ns

    def pass_ms(self, ms: float) -> None:
        self.ns += round(ms * NS_PER_MS)


class Noting:
    """A world that notes its steps; an episode lasts STEPS of them after its phase, and succeeds once."""

    max_steps = 100
    chances = 2

    def __init__(self, cameras: tuple[CameraSpec, ...] = ()) -> None:
        there = GatesTrial().spec
        self.spec = RobotSpec("noting", there.actions, there.state, cameras, 1000 / STEP_MS)
        self.seed = -1
        self.steps: list[float | None] = []
        self.is_closed = False

    def reset(self, seed: int) -> None:
        self.seed = seed
        self.steps = []

    def state(self) -> FloatArray:
        return np.full(5, len(self.steps), np.float32)

    def images(self) -> Mapping[str, Image]:
        assert self.spec.cameras, "nobody wants frames"
        return {"eye": np.full((2, 2, 3), len(self.steps), np.uint8)}

    def advance(self, action: ActionArray | None) -> None:
        assert not self.is_over
        self.steps.append(None if action is None else float(action[0]))

    @property
    def is_over(self) -> bool:
        return len(self.steps) >= phase_of(max(self.seed, 0)) + STEPS

    @property
    def successes(self) -> int:
        return 1

    def close(self) -> None:
        self.is_closed = True


class Rig:
    def __init__(self, *seeds: int, world: Noting | None = None) -> None:
        self.world = world or Noting()
        self.clock = Clock()
        self.robot = WorldRobot(self.world, seeds or (5,), self.clock)
        self.robot.connect()

    def tick(self, action: float | None, *, after_ms: float = STEP_MS) -> float:
        """Let a tick come; return the state that it read."""
        self.clock.pass_ms(after_ms)
        state = float(self.robot.read_state()[0])
        self.clock.pass_ms(1)
        if action is not None:
            self.robot.command(np.array([action]))
        self.clock.pass_ms(-1)
        return state

    @property
    def played(self) -> list[float | None]:
        """The steps after those before the first request."""
        return self.world.steps[phase_of(self.world.seed) :]


def test_a_tick_with_a_command_is_one_step_and_one_without_is_one_too() -> None:
    rig = Rig()
    before = phase_of(5)
    assert before > 0
    assert rig.world.steps == [None] * before
    assert [rig.tick(0.1), rig.tick(None), rig.tick(None), rig.tick(0.4)] == [before + at for at in range(4)]
    assert rig.played == [0.1, None, None, 0.4]


def test_a_state_that_is_read_twice_in_a_tick_is_no_step() -> None:
    rig = Rig()
    rig.robot.read_state()
    rig.clock.pass_ms(3)
    rig.robot.read_state()
    assert rig.played == []
    rig.robot.command(np.array([0.2]))
    rig.tick(None)
    rig.clock.pass_ms(3)
    rig.robot.read_state()
    assert rig.played == [0.2]
    rig.tick(0.3)
    assert rig.played == [0.2, None, 0.3]


def test_an_episode_tells_its_seed_its_successes_and_the_ticks_that_were_missing() -> None:
    rig = Rig(5, 7)
    for gap in (50, 50, 72, 28, 130, 50, 20, 50):
        rig.tick(0.5, after_ms=gap)
    assert rig.robot.is_episode_over
    rig.robot.begin_episode()
    assert not rig.robot.is_episode_over
    for _ in range(STEPS):
        rig.tick(None)
    rig.tick(None)
    report = rig.robot.report()
    assert (report.seeds, report.successes, report.chances) == ((5, 7), (1, 1), 2)
    assert report.late_ticks == (2, 0)


def test_no_command_steps_a_world_whose_last_step_has_just_passed_without_one() -> None:
    rig = Rig()
    for _ in range(STEPS):
        rig.tick(None)
    rig.tick(0.7)
    assert rig.played == [None] * STEPS
    assert rig.robot.report().seeds == (5,)


def test_an_episode_ends_after_the_most_steps_of_its_world() -> None:
    world = Noting()
    world.max_steps = phase_of(5) + 3
    rig = Rig(world=world)
    for _ in range(3):
        assert not rig.robot.is_episode_over
        rig.tick(0.5)
    assert rig.robot.is_episode_over
    assert rig.robot.report().seeds == (5,)


def test_an_episode_that_was_cut_off_is_not_reported() -> None:
    rig = Rig()
    rig.tick(0.5)
    rig.robot.stop()
    assert rig.robot.report().seeds == ()


def test_a_stopped_robot_takes_no_command_and_no_time_passes() -> None:
    rig = Rig()
    rig.tick(0.5)
    rig.robot.stop()
    with pytest.raises(RobotError, match=r"command\(\) after stop"):
        rig.tick(0.6)
    rig.tick(None)
    rig.tick(None)
    assert rig.played == [0.5]
    rig.robot.close()
    assert rig.world.is_closed


def test_nothing_is_read_or_commanded_before_connect() -> None:
    robot = WorldRobot(Noting(), [1], Clock())
    assert not robot.is_episode_over
    for call in (robot.read_state, robot.read_images, robot.begin_episode, lambda: robot.command(np.ones(1))):
        with pytest.raises(RobotError, match="before connect"):
            call()


def test_frames_are_those_of_the_last_step_and_are_not_drawn_for_nobody() -> None:
    seeing = Rig(world=Noting((CameraSpec("eye", 2, 2),)))
    seeing.tick(0.5)
    assert seeing.robot.read_images()["eye"][0, 0, 0] == phase_of(5) + 1
    assert Rig().robot.read_images() == {}


def test_it_has_as_many_episodes_as_seeds() -> None:
    rig = Rig(3, 4)
    assert isinstance(rig.robot, FiniteRobot)
    check_callable(rig.robot)
    assert rig.robot.recorded_episodes == 2
    rig.robot.begin_episode()
    with pytest.raises(RobotError, match="wanted at most 2 episodes"):
        rig.robot.begin_episode()
    with pytest.raises(ConfigError, match="episodes: wanted at least one"):
        WorldRobot(Noting(), [])


def test_what_a_world_does_not_bound_or_measure_is_vouched_for() -> None:
    world = Noting()
    free = ActionFeature("arm", "rad")
    world.spec = replace(world.spec, actions=(free, *world.spec.actions))
    with pytest.raises(SpecError, match="no velocity limit for arm"):
        admitted(world.spec, Admission())
    robot = WorldRobot(world, [1], Clock())
    assert admitted(robot.spec, Admission()) == robot.spec
    assert robot.spec.actions[1:] == world.spec.actions[1:]
