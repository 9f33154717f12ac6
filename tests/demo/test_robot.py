"""The simulated arm, on a clock that the test sets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from demo.rig import TICK_NS, Stand
from vagus.demo.arm import CAMERAS, HOME, LOWER, UPPER, Floats, tip_position
from vagus.demo.depth import DepthScene
from vagus.demo.robot import DWELL_NS, MIN_MOVE_M, TOLERANCE_M, SimRobot
from vagus.errors import ConfigError, RobotError, SpecError
from vagus.robots.robot import Robot


def posture_at(target: Floats) -> Floats:
    """Return joint angles with the tip on the target, found by descent."""
    joints: Floats = HOME.copy()
    joints[0] = np.arctan2(target[1], target[0])
    for _ in range(200):
        tip = tip_position(joints)
        jacobian = np.stack(
            [(tip_position(joints + 1e-6 * axis) - tip) / 1e-6 for axis in np.eye(6)], axis=-1
        )
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(3), target - tip)
        joints = np.clip(joints + step, LOWER, UPPER)
    return joints


def drive(stand: Stand, goal: Floats, *, seconds: float) -> None:
    for _ in range(round(seconds * 100)):
        stand.robot.command(goal)
        stand.clock.now += TICK_NS


def test_it_is_a_robot_whose_spec_is_known_before_it_is_connected() -> None:
    robot: Robot = SimRobot(rate_hz=50.0)
    assert robot.spec.rate_hz == 50.0
    assert [len(robot.spec.actions), len(robot.spec.state), len(robot.spec.cameras)] == [6, 12, 2]


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(SpecError, match="rate_hz"):
        SimRobot(rate_hz=rate_hz)


def test_its_depth_camera_is_there_on_demand_and_measures_the_moment_of_its_pictures() -> None:
    assert SimRobot().spec.depth_cameras == ()
    stand = Stand()
    assert "front_depth" not in stand.robot.read_images()
    robot = SimRobot(depth=True, clock=stand.clock)
    robot.connect()
    (camera,) = robot.spec.depth_cameras
    frame = robot.read_images()[camera.name]
    assert frame.shape == (camera.height, camera.width)
    assert np.array_equal(frame, DepthScene().measure(HOME, robot.target))
    with pytest.raises(ConfigError, match="depth of robot 'sim': wanted true or false, got 'yes'"):
        SimRobot(depth="yes")  # type: ignore[arg-type] # as typed on a command line


@pytest.mark.parametrize("call", ["read_state", "read_images"])
def test_before_it_is_connected_it_says_so(call: str) -> None:
    with pytest.raises(RobotError, match=rf"{call}\(\) before connect\(\)"):
        getattr(SimRobot(), call)()


def test_it_moves_to_its_setpoint_by_its_own_clock_and_measures_where_it_is() -> None:
    stand = Stand()
    drive(stand, HOME + 0.05, seconds=0.01)
    assert np.abs(stand.robot.read_state()[:6] - HOME).max() < 0.02
    stand.clock.pass_s(1.0)
    state = stand.robot.read_state()
    np.testing.assert_allclose(state[:6], HOME + 0.05, atol=1e-5)
    np.testing.assert_allclose(state[6:], 0.0, atol=1e-4)
    assert state.shape == (12,)
    assert state.dtype == np.float32


def test_its_motion_does_not_depend_on_when_somebody_looks() -> None:
    watched, unwatched = Stand(), Stand()
    for stand in (watched, unwatched):
        stand.robot.command(HOME + 0.3)
    for _ in range(100):
        watched.clock.pass_s(0.003)
        watched.robot.read_state()
    unwatched.clock.pass_s(0.3)
    np.testing.assert_array_equal(watched.robot.read_state(), unwatched.robot.read_state())


def test_a_target_at_which_the_tip_comes_to_rest_is_counted_and_moves_away() -> None:
    stand = Stand()
    before = stand.robot.target
    drive(stand, posture_at(before), seconds=1.5)
    said = stand.robot.report()
    assert said.targets_reached == 1
    assert 0.1 < said.reach_times_s[0] < 1.5
    assert said.target_age_s == pytest.approx(1.5 - said.reach_times_s[0], abs=0.02)
    assert np.linalg.norm(stand.robot.target - before) >= MIN_MOVE_M
    assert said.tip_distance_m > TOLERANCE_M


def test_passing_a_target_does_not_count() -> None:
    stand = Stand()
    goal = posture_at(stand.robot.target)
    stand.robot.push(goal - HOME)
    stand.clock.now += DWELL_NS // 2
    stand.robot.read_state()
    stand.robot.push(HOME - goal)
    stand.clock.pass_s(1.0)
    assert stand.robot.report().targets_reached == 0


def test_an_arm_that_is_put_on_the_target_and_left_there_has_reached_it() -> None:
    stand = Stand()
    stand.robot.push(posture_at(stand.robot.target) - HOME)
    stand.clock.pass_s(5.0)
    assert stand.robot.report().targets_reached == 1


def test_a_stopped_arm_reaches_nothing() -> None:
    stand = Stand()
    stand.robot.push(posture_at(stand.robot.target) - HOME)
    stand.robot.stop()
    stand.clock.pass_s(5.0)
    assert stand.robot.report().targets_reached == 0


def test_stop_brakes_and_later_commands_are_ignored_and_counted() -> None:
    stand = Stand()
    drive(stand, HOME + 1.0, seconds=0.2)
    stand.robot.stop()
    stand.clock.pass_s(1.0)
    stood = stand.robot.read_state()
    stand.robot.command(HOME)
    stand.clock.pass_s(1.0)
    np.testing.assert_array_equal(stand.robot.read_state(), stood)
    assert np.abs(stood[6:]).max() == 0.0
    assert stand.robot.report().audit.after_stop == 1
    stand.robot.close()
    stand.robot.close()
    assert stand.robot.report().audit.after_stop == 1


def test_an_arm_that_was_never_connected_can_be_stopped_and_reported_on() -> None:
    robot = SimRobot()
    robot.stop()
    robot.close()
    assert robot.report().audit.commands == 0


@pytest.mark.parametrize("action", [np.full(6, np.nan), np.zeros(5), np.full((6, 1), 0.1)])
def test_what_it_cannot_follow_is_counted_and_moves_nothing(action: Floats) -> None:
    stand = Stand()
    before = stand.robot.read_state()
    stand.robot.command(action)
    stand.clock.pass_s(0.5)
    np.testing.assert_array_equal(stand.robot.read_state(), before)
    assert stand.robot.report().audit.violations == 1


def test_the_same_seed_brings_the_same_targets_and_another_seed_others() -> None:
    def first_targets(seed: int) -> list[list[float]]:
        stand = Stand(seed)
        found = []
        for _ in range(3):
            found.append(stand.robot.target.tolist())
            drive(stand, posture_at(stand.robot.target), seconds=1.5)
        return found

    assert first_targets(1) == first_targets(1)
    assert first_targets(1) != first_targets(2)


def test_to_connect_twice_changes_nothing() -> None:
    stand = Stand()
    stand.robot.command(HOME + 0.1)
    stand.clock.pass_s(0.05)
    moved = stand.robot.read_state()
    stand.robot.connect()
    np.testing.assert_array_equal(stand.robot.read_state(), moved)


def test_the_cameras_show_where_the_arm_is() -> None:
    stand = Stand()
    before = stand.robot.read_images()
    drive(stand, HOME + 0.3, seconds=0.5)
    after = stand.robot.read_images()
    for camera in CAMERAS:
        assert (before[camera.spec.name] != after[camera.spec.name]).any()


def wave(stand: Stand) -> None:
    for tick in range(1000):
        stand.robot.command(HOME + 0.2 * np.sin(tick / 100.0) ** 2)
        stand.clock.now += TICK_NS
        stand.robot.read_state()


def test_looking_from_other_threads_changes_nothing() -> None:
    watched, alone = Stand(), Stand()
    is_over = threading.Event()

    def look() -> int:
        looks = 0
        while not is_over.is_set():
            frames = watched.robot.read_images()
            assert all(frame.shape == (480, 640, 3) for frame in frames.values())
            assert watched.robot.report().audit.violations == 0
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        wave(watched)
        is_over.set()
        assert min(looker.result() for looker in lookers) > 0
    wave(alone)
    np.testing.assert_array_equal(watched.robot.read_state(), alone.robot.read_state())
    assert watched.robot.report() == alone.robot.report()
    assert watched.robot.report().audit.commands == 1000


def test_the_machines_clock_is_its_default() -> None:
    robot = SimRobot()
    robot.connect()
    robot.command(HOME)
    assert robot.report().audit.commands == 1
