"""Angles and orientations: which numbers mean one, and the short way from one to another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.conventions import MAX_TURNS, Turns, first_meaningless, full_turn
from vagus.errors import SpecError
from vagus.features import ActionFeature

YAW = ActionFeature("yaw", "rad", continuous=True)
PAN = ActionFeature("pan", "deg", continuous=True)
LIFT = ActionFeature("lift", "m")
ACTIONS = [YAW, LIFT, PAN]
angles = st.floats(-1e3, 1e3)


def wrist(convention: str, count: int) -> list[ActionFeature]:
    return [ActionFeature(f"w{at}", "", rotation=f"wrist:{convention}") for at in range(count)]


def test_a_turn_is_as_long_as_its_unit_says() -> None:
    assert full_turn(YAW) == math.tau
    assert full_turn(PAN) == 360.0
    assert full_turn(ActionFeature("wheel", "rev", continuous=True)) == 1.0
    assert full_turn(LIFT) is None


def test_in_a_unit_without_a_turn_nothing_is_continuous() -> None:
    with pytest.raises(SpecError, match="continuous lift: wanted a unit of rad or deg or rev, got 'm'"):
        full_turn(ActionFeature("lift", "m", continuous=True))


@given(angles, st.integers(-100, 100))
def test_all_numbers_whole_turns_apart_wrap_to_one_in_the_half_open_turn(angle: float, turns: int) -> None:
    values = np.array([angle, angle, angle])
    wrapped = Turns.of(ACTIONS).wrapped(values)
    assert -math.pi < wrapped[0] <= math.pi
    assert -180.0 < wrapped[2] <= 180.0
    assert wrapped[1] == angle
    assert math.cos(wrapped[0] - angle) == pytest.approx(1.0)
    assert math.cos(math.radians(wrapped[2] - angle)) == pytest.approx(1.0)
    again = Turns.of(ACTIONS).wrapped(values + turns * np.array([math.tau, 0.0, 360.0]))
    assert math.cos(again[0] - wrapped[0]) == pytest.approx(1.0)
    assert math.cos(math.radians(again[2] - wrapped[2])) == pytest.approx(1.0)


@pytest.mark.parametrize("turns", [-3.0, -1.0, 1.0, 3.0, 5.0])
def test_half_a_turn_is_the_upper_end(turns: float) -> None:
    values = np.array([turns * math.pi, 0.0, turns * 180.0])
    assert Turns.of(ACTIONS).wrapped(values).tolist() == [math.pi, 0.0, 180.0]


@given(angles, angles)
def test_the_way_is_at_most_half_a_turn_and_ends_at_the_angle(start: float, stop: float) -> None:
    turns = Turns.of([YAW])
    way = float(turns.difference(np.array([stop]), np.array([start]))[0])
    assert abs(way) <= math.pi * (1 + 1e-9)
    assert math.cos(start + way - stop) == pytest.approx(1.0)
    assert turns.near(np.array([stop]), np.array([start]))[0] == pytest.approx(start + way)


def test_next_to_nowhere_an_angle_stays_as_it_is() -> None:
    assert Turns.of([YAW]).near(np.array([7.0]), np.array([math.nan])).tolist() == [7.0]


def test_without_angles_nothing_is_changed() -> None:
    values = np.array([7.0])
    assert not Turns.of([LIFT]).any
    assert Turns.of([LIFT]).wrapped(values) is values
    assert Turns.of([LIFT]).near(values, values) is values


@pytest.mark.parametrize(
    ("actions", "row", "name"),
    [
        (wrist("rotvec", 3), [25.0, 0.0, 0.0], None),
        (wrist("rotvec", 3), [26.0, 0.0, 0.0], "wrist:rotvec"),
        (wrist("quat_xyzw", 4), [0.0, 0.0, 0.0, 0.5], None),
        (wrist("quat_xyzw", 4), [0.0, 0.0, 0.0, 0.4], "wrist:quat_xyzw"),
        (wrist("quat_wxyz", 4), [2.0, 0.0, 0.0, 0.0], None),
        (wrist("quat_wxyz", 4), [1e30, 0.0, 0.0, 0.0], "wrist:quat_wxyz"),
        (wrist("quat_xyzw", 4), [0.0, 0.0, 0.0, 2.1], "wrist:quat_xyzw"),
        (wrist("quat_wxyz", 4), [0.4, 0.0, 0.0, 0.0], "wrist:quat_wxyz"),
        (wrist("quat_wxyz", 4), [2.1, 0.0, 0.0, 0.0], "wrist:quat_wxyz"),
        (wrist("rotvec", 3), [0.0, 0.0, 0.0], None),
        (wrist("unheard_of", 3), [0.0, 0.0, 0.0], None),
        ([LIFT, YAW], [1e9, MAX_TURNS * math.tau], None),
        ([LIFT, YAW], [0.0, -1.001 * MAX_TURNS * math.tau], "yaw"),
        ([LIFT, PAN], [0.0, 3.4e38], "pan"),
    ],
)
def test_numbers_that_mean_no_angle_and_no_orientation_are_named(
    actions: list[ActionFeature], row: list[float], name: str | None
) -> None:
    good = [0.0] * len(actions)
    good[-1 if actions[0].rotation != "wrist:quat_wxyz" else 0] = 1.0
    chunk = np.array([good, row, good], dtype=np.float32)
    assert first_meaningless(actions, chunk) == name


def test_a_rounding_error_beyond_half_a_turn_stays_inside() -> None:
    for turns in range(-200, 200):
        for nudge in (-1, 0, 1):
            angle = math.nextafter((2 * turns + 1) * math.pi, nudge * math.inf) if nudge else turns * math.pi
            wrapped = float(Turns.of([YAW]).wrapped(np.array([angle]))[0])
            assert -math.pi < wrapped <= math.pi
            assert math.cos(wrapped - angle) == pytest.approx(1.0)


def test_half_a_turn_is_the_end_that_belongs_to_the_turn() -> None:
    turns = Turns([1.0])
    assert turns.wrapped(np.array([0.5])).tolist() == [0.5]
    assert turns.wrapped(np.array([-0.5])).tolist() == [0.5]
    assert turns.wrapped(np.array([1.5])).tolist() == [0.5]
    assert turns.wrapped(np.array([0.25])).tolist() == [0.25]
    assert turns.wrapped(np.array([-0.25])).tolist() == [-0.25]
