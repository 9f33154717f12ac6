"""Joints for poses: those of the pose again inside the workspace, and a refusal outside of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.pointact.arms import FRAME, URDF
from vagus.cameras.axis_angle import rotation_of
from vagus.errors import ConfigError
from vagus.integrations.pointact.inverse import PoseTolerance, UnreachableError, joints_for
from vagus.integrations.pointact.pose import Pose

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.kinematics import load_arm

ARM = load_arm(URDF, FRAME)
EXACT = PoseTolerance(1e-7, 1e-6)
inside = st.tuples(
    *(st.floats(0.9 * low, 0.9 * high) for low, high in zip(ARM.lower, ARM.upper, strict=True))
)
near = st.tuples(*(st.floats(-0.15, 0.15) for _ in range(5)))


@given(inside, near)
@settings(max_examples=150)
def test_the_pose_comes_back_from_joints_nearby(joints: tuple[float, ...], away: tuple[float, ...]) -> None:
    wanted = ARM.pose(np.array(joints))
    found = joints_for(ARM, wanted, np.array(joints) + np.array(away), EXACT)
    reached = ARM.pose(found)
    np.testing.assert_allclose(reached.position, wanted.position, atol=2e-7)
    np.testing.assert_allclose(reached.rotation, wanted.rotation, atol=2e-6)
    assert (found >= ARM.lower).all()
    assert (found <= ARM.upper).all()


@pytest.mark.parametrize(
    "joints",
    [(0.3, -0.4, 0.6, 0.9, -0.5), (-1.2, 0.5, 0.3, -0.8, 1.5), (1.0, 0.2, -0.9, 0.4, 2.0)],
)
def test_away_from_singular_places_the_joints_themselves_come_back(joints: tuple[float, ...]) -> None:
    found = joints_for(ARM, ARM.pose(np.array(joints)), np.array(joints) + 0.05, EXACT)
    np.testing.assert_allclose(found, joints, atol=1e-6)


def test_an_orientation_that_five_joints_cannot_take_keeps_the_place() -> None:
    joints = np.array([0.3, -0.4, 0.6, 0.9, -0.5])
    pose = ARM.pose(joints)
    tilted = Pose(rotation_of(0.06 * _sideways(joints)) @ pose.rotation, pose.position)
    found = ARM.pose(joints_for(ARM, tilted, joints, PoseTolerance(1e-3, 0.1)))
    assert float(np.linalg.norm(found.position - pose.position)) < 1e-3
    with pytest.raises(UnreachableError, match="out of reach") as caught:
        joints_for(ARM, tilted, joints, PoseTolerance(1e-3, 0.01))
    assert 0.01 < caught.value.angle_rad < 0.1


def _sideways(joints: np.ndarray) -> np.ndarray:
    """Return the axis that lies across the plane in which the arm can bend and across the gripper's own."""
    return np.array([math.cos(joints[0]), math.sin(joints[0]), 0.0])


@pytest.mark.parametrize(
    ("place", "least", "most"),
    [((1.0, 0.0, 0.2), 0.5, 0.7), ((0.0, 0.0, 2.0), 1.3, 1.8), ((0, 0, 0), 0, 0.3)],
)
def test_a_place_out_of_reach_is_refused_with_the_distance_that_is_left(
    place: tuple[float, float, float], least: float, most: float
) -> None:
    pose = Pose(ARM.pose(np.zeros(5)).rotation, np.array(place, float))
    with pytest.raises(
        UnreachableError, match=r"the nearest joints end \d+\.\d mm and .*° beside it"
    ) as caught:
        joints_for(ARM, pose, np.zeros(5), PoseTolerance())
    assert least <= caught.value.position_m <= most


@pytest.mark.parametrize("pan", [2.1, 2.6])
def test_a_place_beyond_a_limit_is_refused_though_the_arm_is_long_enough(pan: float) -> None:
    behind = ARM.pose(np.array([pan, 0.0, 0.0, 0.0, 0.0]))  # the pan ends at 1.92
    with pytest.raises(UnreachableError):
        joints_for(ARM, behind, np.array([1.9, 0.0, 0.0, 0.0, 0.0]), PoseTolerance(0.002, math.pi))


def test_a_limit_is_reached_and_not_passed() -> None:
    at = np.array([1.92, 0.3, 0.2, 0.4, 0.0])
    found = joints_for(ARM, ARM.pose(at), at - 0.1, EXACT)
    np.testing.assert_allclose(found, at, atol=1e-6)
    assert found[0] <= 1.92


def test_where_one_joint_is_at_its_limit_the_others_keep_the_place() -> None:
    over = np.array([0.88, -0.22, 0.12, 1.72, 0.99])  # the wrist ends at 1.66
    wanted = ARM.pose(over)
    found = joints_for(ARM, wanted, over - 0.05, PoseTolerance(0.001, 0.1))
    assert float(np.linalg.norm(ARM.pose(found).position - wanted.position)) < 0.001
    assert found[3] == 1.66


def test_joints_beyond_a_limit_are_a_place_to_begin_from() -> None:
    at = np.array([1.9, 0.3, 0.2, 0.4, 0.0])
    found = joints_for(ARM, ARM.pose(at), at + np.array([0.2, 0.0, 0.0, 0.0, 0.0]), EXACT)
    np.testing.assert_allclose(found, at, atol=1e-6)


def test_the_same_question_has_the_same_answer() -> None:
    pose = ARM.pose(np.array([0.4, 0.1, -0.3, 0.8, 0.2]))
    first, second = (joints_for(ARM, pose, np.zeros(5), PoseTolerance()) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ("position", "angle"), [(0.0, 0.1), (0.06, 0.1), (math.nan, 0.1), (0.01, 0.0), (0.01, 4.0)]
)
def test_tolerances_that_are_none_are_refused(position: float, angle: float) -> None:
    with pytest.raises(ConfigError, match="tolerance: wanted a distance above 0 m"):
        PoseTolerance(position, angle)
