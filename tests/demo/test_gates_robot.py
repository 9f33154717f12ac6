"""The robot `gates`: its seeds, and what is said of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.robots.registry import load_robot
from vagus.trials.trial_robot import phase_of
from vagus.trials.world_robot import WorldRobot


def load(**options: Option) -> WorldRobot:
    robot = load_robot("gates", options)
    assert isinstance(robot, WorldRobot)
    return robot


def test_an_episode_is_the_same_course_as_in_a_simulated_trial() -> None:
    robot, world = load(seed=11), GatesTrial()
    robot.connect()
    world.reset(11)
    for _ in range(phase_of(11)):
        world.advance(None)
    assert robot.spec == world.spec
    for action in (0.3, -0.2, 1.0):
        assert np.array_equal(robot.read_state(), world.state())
        robot.command(np.array([action]))
        world.advance(np.array([action]))
    robot.close()


def test_robots_can_share_the_seeds() -> None:
    robot = load(seed=2, episodes=3, every=4)
    assert robot.recorded_episodes == 3
    robot.connect()
    while len(robot.report().seeds) < 3:
        if robot.is_episode_over:
            robot.begin_episode()
        robot.command(np.zeros(1))
    assert robot.report().seeds == (2, 6, 10)
    robot.close()


@pytest.mark.parametrize("options", [{"seed": -1}, {"seed": True}, {"episodes": 0}, {"every": 1.5}])
def test_numbers_that_make_no_episodes_are_refused(options: dict[str, Option]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name}: wanted a whole number"):
        load(**options)
