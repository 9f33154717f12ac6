"""A robot that gets other commands than were recorded follows these as closely."""

from __future__ import annotations

import numpy as np

from replay.recordings import ACTIONS
from vagus.replay.following_body import FollowingBody


def body() -> FollowingBody:
    return FollowingBody(ACTIONS, ["other", "joint"])


def test_it_stands_where_the_episode_began_until_it_is_commanded() -> None:
    robot = body()
    assert robot.measure(np.array([9.0, 0.5])).state.tolist() == [9.0, 0.5]
    assert robot.measure(np.array([8.0, 0.75])).state.tolist() == [8.0, 0.5]


def test_the_same_commands_give_the_recorded_state_and_others_are_as_far_from_it() -> None:
    robot = body()
    robot.measure(np.array([9.0, 0.5]))
    robot.command(np.array([0.5, 0.0]), np.array([0.5, 0.0]))
    assert robot.measure(np.array([9.0, 0.75])).state[1] == 0.75
    robot.command(np.array([1.0, 0.0]), np.array([0.5, 0.0]))
    assert robot.measure(np.array([9.0, 1.0])).state[1] == 0.5
    robot.command(np.array([np.nan, np.nan]), np.array([0.5, 0.0]))
    robot.command(np.array([1.0, 0.0]), None)
    assert robot.measure(np.array([9.0, 1.0])).state[1] == 0.5


def test_what_is_steady_is_the_median_of_the_last_readings_and_an_episode_begins_anew() -> None:
    robot = body()
    for other in (1.0, 5.0, 2.0):
        reading = robot.measure(np.array([other, 0.0]))
    assert reading.steady.tolist() == [2.0, 0.0]
    robot.command(np.array([0.0, 0.0]), np.array([0.5, 0.0]))
    robot.begin_episode()
    reading = robot.measure(np.array([7.0, 0.25]))
    assert reading.state.tolist() == reading.steady.tolist() == [7.0, 0.25]
