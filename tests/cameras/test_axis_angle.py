"""Axis-angle and rotation matrices: known turns, no turn, half turns, and everything between."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vagus.cameras.axis_angle import axis_angle_of, rotation_of
from vagus.errors import PolicyError, RobotError

UNIT = st.tuples(*(st.floats(-1.0, 1.0) for _ in range(3))).filter(lambda it: math.hypot(*it) > 0.1)
AXES = [
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (1.0, 1.0, 1.0),
    (1.0, -1.0, 0.0),
    (-2.0, 1.0, 3.0),
]


def along(axis: tuple[float, ...], angle: float) -> NDArray[np.float64]:
    return np.array(axis) / math.hypot(*axis) * angle


@pytest.mark.parametrize(
    ("axis_angle", "matrix"),
    [
        ([0.0, 0.0, 0.0], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ([0.0, 0.0, math.pi / 2], [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        ([math.pi / 2, 0.0, 0.0], [[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
        ([0.0, math.pi, 0.0], [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]),
        (along((1.0, 1.0, 1.0), math.tau / 3), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)  # fmt: skip
def test_known_turns(axis_angle: list[float], matrix: list[list[int]]) -> None:
    np.testing.assert_allclose(rotation_of(axis_angle), matrix, atol=1e-15)
    np.testing.assert_allclose(axis_angle_of(matrix), axis_angle, atol=1e-15)


@given(UNIT, st.floats(0.0, math.pi))
def test_any_rotation_comes_back(axis: tuple[float, ...], angle: float) -> None:
    matrix = rotation_of(along(axis, angle))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    vector = axis_angle_of(matrix, near=along(axis, angle))
    np.testing.assert_allclose(vector, along(axis, angle), atol=1e-7)
    np.testing.assert_allclose(rotation_of(vector), matrix, atol=1e-14)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-8, 1e-4])
def test_near_no_turn_nothing_is_lost(axis: tuple[float, ...], angle: float) -> None:
    vector = axis_angle_of(rotation_of(along(axis, angle)))
    np.testing.assert_allclose(vector, along(axis, angle), atol=1e-16)


@pytest.mark.parametrize("axis", AXES)
def test_a_half_turn_has_one_writing_or_the_one_that_is_near(axis: tuple[float, ...]) -> None:
    vector = along(axis, math.pi)
    matrix = rotation_of(vector)
    np.testing.assert_allclose(axis_angle_of(matrix, near=0.9 * vector), vector, atol=1e-12)
    np.testing.assert_allclose(axis_angle_of(matrix, near=-0.9 * vector), -vector, atol=1e-12)
    alone = axis_angle_of(matrix)
    assert next(number for number in alone if abs(number) > 1e-6) > 0.0
    np.testing.assert_allclose(np.abs(alone), np.abs(vector), atol=1e-12)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("less", [1e-9, 1e-6, 1e-3])
def test_near_a_half_turn_the_side_is_kept(axis: tuple[float, ...], less: float) -> None:
    for vector in (along(axis, math.pi - less), along(axis, less - math.pi)):
        np.testing.assert_allclose(axis_angle_of(rotation_of(vector)), vector, atol=1e-12)


def test_more_than_a_half_turn_is_written_the_short_way() -> None:
    np.testing.assert_allclose(
        axis_angle_of(rotation_of([0.0, 0.0, 4.0])), [0.0, 0.0, 4.0 - math.tau], atol=1e-14
    )


@pytest.mark.parametrize(
    "axis_angle",
    [[0.0, 0.0], [[0.0, 0.0, 0.0]], [math.nan, 0.0, 0.0], [0.0, math.inf, 0.0], [180.0, 0.0, 0.0]],
)
def test_numbers_that_are_no_axis_angle_are_refused(axis_angle: object) -> None:
    with pytest.raises(PolicyError, match="axis-angle: wanted 3 finite numbers of at most four turns"):
        rotation_of(axis_angle)


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        (np.eye(4), "wanted finite numbers"),
        (np.full((3, 3), np.nan), "wanted finite numbers"),
        (np.zeros((3, 3)), "rows of length 1 at right angles"),
        (1.001 * np.eye(3), "rows of length 1 at right angles"),
        (np.diag([1.0, 1.0, -1.0]), "a mirror image"),
    ],
)
def test_matrices_that_are_no_rotation_are_refused(matrix: NDArray[np.float64], wanted: str) -> None:
    with pytest.raises(RobotError, match=f"rotation: .*{wanted}"):
        axis_angle_of(matrix)
