"""The simulated arm with a depth camera: it measures where things are, and moves no faster than it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pinocchio")

from vagus.cameras.camera_file import load_extrinsics, load_intrinsics
from vagus.import_path import load_named
from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.integrations.pointact.arm_setup import load_setup
from vagus.integrations.pointact.depth import depth_in_m
from vagus.integrations.pointact.point_cloud import coloured_points
from vagus.robots.robot import Robot

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "pointact_arm"
MODULE, ARM = load_named("robot", f"{FOLDER / 'arm.py'}:Arm")


class HandClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def arm(clock: HandClock) -> Robot:
    return ARM(now_s=clock)  # type: ignore[operator, no-any-return]


def seen(arm: Robot) -> NDArray[np.float64]:
    """Return the coloured points that the arm's camera sees, from the base."""
    camera = load_intrinsics(FOLDER / "intrinsics.yaml")
    place = load_extrinsics(FOLDER / "extrinsics.yaml", (0.0, 0.0, 0.0))
    frames = arm.read_images()
    depth = depth_in_m(frames["front_depth"], units_per_m=1000.0)
    points: NDArray[np.float64] = coloured_points(
        depth, frames["front"].astype(np.uint8), camera, place
    ).astype(np.float64)
    return points


def of_colour(points: NDArray[np.float64], colour: tuple[int, int, int]) -> NDArray[np.float64]:
    return points[(np.abs(points[:, 3:] - np.array(colour) / 255.0) < 0.01).all(axis=1), :3]


def test_the_table_and_the_cube_are_where_they_are(arm: Robot) -> None:
    points = seen(arm)
    assert float(np.abs(of_colour(points, MODULE.TABLE)[:, 2]).max()) < 0.001
    cube = of_colour(points, MODULE.CUBE)
    assert len(cube) > 100
    assert (cube > MODULE.CUBE_LOW - 0.001).all()
    assert (cube < MODULE.CUBE_HIGH + 0.001).all()
    assert float(np.max(cube[:, 2])) == pytest.approx(0.04, abs=0.001)


def test_the_gripper_is_seen_where_its_kinematics_say(arm: Robot) -> None:
    balls = of_colour(seen(arm), MODULE.ARM)
    place = arm.gripper_place()  # type: ignore[attr-defined]
    assert float(np.min(np.linalg.norm(balls - place, axis=1))) == pytest.approx(MODULE.BALL_M, abs=0.002)


def test_the_joints_follow_their_setpoints_at_a_bounded_speed_and_stop(arm: Robot, clock: HandClock) -> None:
    begin = arm.read_state().astype(np.float64)
    arm.command(begin + 30.0)
    clock.now_s += 0.1
    np.testing.assert_allclose(arm.read_state(), begin + 12.0, atol=1e-4)
    clock.now_s += 1.0
    np.testing.assert_allclose(arm.read_state(), begin + 30.0, atol=1e-4)
    arm.command(begin)
    clock.now_s += 0.1
    arm.stop()
    clock.now_s += 1.0
    np.testing.assert_allclose(arm.read_state(), begin + 18.0, atol=1e-4)


def test_it_has_what_a_policy_of_poses_wants_by_default(arm: Robot) -> None:
    urdf, intrinsics, extrinsics = (
        str(FOLDER / name) for name in ("arm.urdf", "intrinsics.yaml", "extrinsics.yaml")
    )
    wanted = load_setup(ArmOptions(urdf=urdf, intrinsics=intrinsics, extrinsics=extrinsics)).spec
    assert [(f.name, f.unit) for f in arm.spec.actions] == [(f.name, f.unit) for f in wanted.actions]
    assert [(f.name, f.unit) for f in arm.spec.state] == [(f.name, f.unit) for f in wanted.state]
    assert [c.name for c in arm.spec.cameras] == ["front"]
    assert [(c.name, c.height, c.width) for c in arm.spec.depth_cameras] == [("front_depth", 240, 320)]
