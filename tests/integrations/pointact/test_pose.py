"""Poses as PointAct writes them: offset, axis-angle, quaternion, and what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.cameras.axis_angle import rotation_of
from vagus.errors import PolicyError
from vagus.integrations.pointact.pose import PLAN_OFFSET, Pose, pose_numbers, pose_of

number = st.floats(-1.0, 1.0)


def test_the_offset_is_added_on_the_way_out_and_taken_off_on_the_way_back() -> None:
    on_the_table = Pose(np.eye(3), np.array([0.2755, 0.0599, 0.0]))
    numbers = pose_numbers(on_the_table, PLAN_OFFSET, None)
    np.testing.assert_allclose(numbers, [0.0, 0.0, 0.0257, 0.0, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(pose_of(numbers, PLAN_OFFSET).position, on_the_table.position, atol=1e-15)


@given(st.tuples(number, number, number), st.tuples(number, number, number))
def test_a_pose_comes_back(position: tuple[float, ...], turn: tuple[float, ...]) -> None:
    pose = Pose(rotation_of(np.array(turn) * 2.0), np.array(position))
    back = pose_of(pose_numbers(pose, PLAN_OFFSET, None), PLAN_OFFSET)
    np.testing.assert_allclose(back.position, pose.position, atol=1e-12)
    np.testing.assert_allclose(back.rotation, pose.rotation, atol=1e-7)


@pytest.mark.parametrize("angle", [0.0, math.pi])
def test_no_turn_and_a_half_turn(angle: float) -> None:
    pose = Pose(rotation_of([angle, 0.0, 0.0]), np.zeros(3))
    np.testing.assert_allclose(pose_numbers(pose, (0.0, 0.0, 0.0), None)[3:], [angle, 0, 0], atol=1e-12)


def test_a_half_turn_keeps_the_sign_of_the_last_one() -> None:
    pose = Pose(rotation_of([math.pi, 0.0, 0.0]), np.zeros(3))
    last = np.array([-3.1, 0.01, 0.0])
    numbers = pose_numbers(pose, (0.0, 0.0, 0.0), last)
    np.testing.assert_allclose(numbers[3:], [-math.pi, 0.0, 0.0], atol=1e-12)


def test_a_quaternion_has_its_scalar_last_and_either_sign() -> None:
    quarter = math.sqrt(0.5)
    for sign in (1.0, -1.0):
        pose = pose_of(np.array([0.1, 0.2, 0.3, 0.0, 0.0, sign * quarter, sign * quarter]), (0.0, 0.0, 0.0))
        np.testing.assert_allclose(pose.rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ([math.nan, 0, 0, 0, 0, 0], "wanted finite x, y, z"),
        ([250.0, 0, 0, 0, 0, 0], "of at most 10 m"),
        ([0, 0, 0, 180.0, 0, 0], "axis-angle: wanted 3 finite numbers of at most four turns"),
        ([0, 0, 0, 0, 0, 0, 0], "wanted a quaternion x, y, z, w of length 1"),
        ([0, 0, 0, 5, 0, 0, 0], "wanted a quaternion x, y, z, w of length 1"),
    ],
)
def test_numbers_that_are_no_pose_are_refused(numbers: list[float], wanted: str) -> None:
    with pytest.raises(PolicyError, match=wanted):
        pose_of(np.array(numbers, float), PLAN_OFFSET)
