"""Paths of joints along poses: whole, or until the first pose that is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from integrations.pointact.arms import FRAME, URDF
from vagus.errors import ConfigError
from vagus.integrations.pointact.inverse import UnreachableError
from vagus.integrations.pointact.joint_path import JointJumpError, PathRules, path_along
from vagus.integrations.pointact.pose import Pose

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.kinematics import load_arm

ARM = load_arm(URDF, FRAME)
START = np.array([0.2, -0.3, 0.5, 0.6, 0.1])
WAY = np.array([0.02, 0.03, -0.02, 0.01, 0.04])


def poses(count: int, way: np.ndarray = WAY) -> list[Pose]:
    return [ARM.pose(START + step * way) for step in range(1, count + 1)]


def test_a_smooth_chunk_is_followed_to_its_end() -> None:
    path = path_along(ARM, poses(10), START, PathRules())
    assert path.refusal is None
    np.testing.assert_allclose(path.joints, [START + step * WAY for step in range(1, 11)], atol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_pose_out_of_reach_ends_the_path_and_what_follows_is_not_played(at: int) -> None:
    wanted = poses(6)
    wanted[at] = Pose(wanted[at].rotation, np.array([0.9, 0.0, 0.2]))
    path = path_along(ARM, wanted, START, PathRules())
    assert isinstance(path.refusal, UnreachableError)
    assert path.joints.shape == (at, 5)
    wanted_joints = START + np.arange(1, at + 1)[:, None] * WAY
    np.testing.assert_allclose(path.joints, wanted_joints, atol=1e-6)


def test_a_jump_ends_the_path() -> None:
    wanted = [*poses(2), ARM.pose(START + np.array([0.5, 0.0, 0.0, 0.0, 0.0])), *poses(1)]
    path = path_along(ARM, wanted, START, PathRules())
    assert isinstance(path.refusal, JointJumpError)
    assert path.refusal.joint == 0
    assert path.refusal.step_rad == pytest.approx(0.5 - 2 * 0.02, abs=1e-5)
    assert str(path.refusal).startswith("a jump: joint 1 from the base would turn by 26.4° in one step")
    assert len(path.joints) == 2
    assert path_along(ARM, wanted, START, PathRules(step_rad=0.5)).refusal is None


def test_the_first_pose_is_compared_with_the_measured_joints() -> None:
    path = path_along(ARM, poses(3), START + np.array([0.4, 0.0, 0.0, 0.0, 0.0]), PathRules())
    assert isinstance(path.refusal, JointJumpError)
    assert path.joints.shape == (0, 5)


@pytest.mark.parametrize("step", [0.0, -0.1, math.nan, math.inf])
def test_a_step_that_is_none_is_refused(step: float) -> None:
    with pytest.raises(ConfigError, match="largest step of a joint: wanted an angle above 0"):
        PathRules(step_rad=step)
