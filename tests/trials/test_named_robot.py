"""Robots in worlds by name: any world of a study plays in real time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vagus.errors import ConfigError
from vagus.robots.registry import load_robot
from vagus.trials.named_robot import make_world_robot
from vagus.trials.world_robot import WorldRobot

PLACE = "vagus.trials.named_robot:make_world_robot"
SHORT = f"{Path(__file__).parent / 'short_world.py'}:Short"


def test_a_world_of_ones_own_plays_its_seeds() -> None:
    robot = load_robot(PLACE, {"world": SHORT, "seed": 4, "episodes": 2, "every": 3})
    assert isinstance(robot, WorldRobot)
    robot.connect()
    while not robot.is_episode_over:
        robot.command(np.zeros(1))
    robot.begin_episode()
    while not robot.is_episode_over:
        robot.command(np.zeros(1))
    robot.close()
    assert (robot.report().seeds, robot.report().chances) == ((4, 7), 1)


def test_settings_are_the_world_s() -> None:
    with pytest.raises(ConfigError, match="gravity"):
        make_world_robot(world=SHORT, gravity=3)
    with pytest.raises(ConfigError, match="world: wanted gates"):
        make_world_robot(world="mars")
