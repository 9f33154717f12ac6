"""A recording as a robot: it measures and sees what was recorded, and counts how far the commands differ."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from replay.recordings import DEPTH_CAMERA, TICKS_PER_STEP, knot, picture, ranges, session, with_depth
from vagus.api.run import until_its_end
from vagus.control.config import LoopConfig
from vagus.control.robot_check import admitted
from vagus.demo.robot import SimRobot
from vagus.errors import ProtocolError, RobotError
from vagus.replay.robot import ReplayRobot
from vagus.replay.session_rows import rows_by_tick
from vagus.robots.robot import EpisodicRobot, FiniteRobot, check_callable


def robot(steps: int = 6, episodes: tuple[int, ...] = (0,)) -> ReplayRobot:
    recorded = session(steps, episodes=episodes)
    return ReplayRobot([rows_by_tick(recorded, number) for number in episodes])


def test_it_stands_at_the_first_row_until_it_is_commanded() -> None:
    replay = robot()
    first = replay.read_state()
    np.testing.assert_array_equal(first, replay.read_state())
    assert first.dtype == np.float32
    replay.command(np.zeros(2))
    assert replay.read_state()[1] != first[1]


def test_a_command_is_compared_with_that_of_its_row() -> None:
    replay = robot()
    episode = rows_by_tick(session(6), 0)
    for row in range(4):
        replay.command(episode.actions[row] + [0.25 * (row == 2), -0.5])
    report = replay.report()
    joint, wheel = report.joints
    assert (report.rows, report.left) == (4, 8)
    assert report.largest == pytest.approx(0.5)
    assert (joint["name"], joint["unit"], joint["rows"]) == ("joint", "rad", 4)
    assert joint["max"] == pytest.approx(0.25)
    assert joint["mean"] == pytest.approx(0.25 / 4)
    assert wheel["mean"] == pytest.approx(0.5)


def test_it_sees_the_newest_frame_up_to_its_row() -> None:
    replay = robot()
    seen = []
    for _ in range(6 * TICKS_PER_STEP):
        seen.append(int(replay.read_images()["front"][0, 0, 0]))
        replay.command(np.zeros(2))
    assert seen == [0] * 6 + [3] * 6


def test_episodes_follow_one_another_and_end() -> None:
    replay = robot(2, episodes=(0, 5))
    assert isinstance(replay, EpisodicRobot)
    assert replay.recorded_episodes == 2
    for number in (0, 5):
        assert replay.read_state()[1] == pytest.approx(knot(0, number)[0] - 0.02)
        for _ in range(2 * TICKS_PER_STEP):
            assert not replay.is_episode_over
            replay.command(np.zeros(2))
        assert replay.is_episode_over
        replay.command(np.zeros(2))
        if number == 0:
            replay.begin_episode()
    assert replay.report().rows == 8
    with pytest.raises(RobotError, match="no further episode"):
        replay.begin_episode()


def test_the_run_ends_with_the_recording() -> None:
    replay = robot(2, episodes=(0, 1))
    assert isinstance(replay, FiniteRobot)
    assert until_its_end(LoopConfig(), replay).episodes == 2
    assert until_its_end(LoopConfig(episodes=1), replay).episodes == 1
    assert until_its_end(LoopConfig(episodes=9), replay).episodes == 2
    assert until_its_end(LoopConfig(), SimRobot()).episodes is None


def test_a_loop_takes_it_as_it_is_though_nobody_knows_its_limits() -> None:
    recorded = session(2)
    features = tuple(dataclasses.replace(f, limits=type(f.limits)()) for f in recorded.info.action_features)
    info = dataclasses.replace(recorded.info, action_features=features)
    replay = ReplayRobot([rows_by_tick(dataclasses.replace(recorded, info=info), 0)])
    check_callable(replay)
    spec = admitted(replay.spec, LoopConfig().admission)
    assert [feature.vouch_unbounded for feature in spec.actions] == [True, True]
    assert spec.cameras[0].may_repeat
    assert spec.robot_type == "arm"


def test_the_size_of_a_camera_is_taken_from_its_frames_if_nobody_says_it() -> None:
    replay = ReplayRobot([rows_by_tick(session(2, has_info=False), 0)])
    (camera,) = replay.spec.cameras
    assert (camera.name, camera.height, camera.width) == ("front", 4, 6)


def test_it_gives_the_recorded_depth_beside_the_colour_in_each_episode() -> None:
    recorded = with_depth(session(6, episodes=(0, 2)))
    replay = ReplayRobot([rows_by_tick(recorded, number) for number in (0, 2)])
    assert replay.spec.depth_cameras == (dataclasses.replace(DEPTH_CAMERA, may_repeat=True),)
    assert [camera.name for camera in replay.spec.cameras] == ["front"]
    for number in (0, 2):
        for row in range(6 * TICKS_PER_STEP):
            seen = replay.read_images()
            assert set(seen) == {"front", "ahead"}
            assert seen["ahead"].dtype == np.uint16
            np.testing.assert_array_equal(seen["ahead"], ranges(number, 3 * (row >= 6)))
            replay.command(np.zeros(2))
        if number == 0:
            replay.begin_episode()


def test_depth_whose_unit_nobody_says_is_left_out() -> None:
    recorded = with_depth(session(2))
    silent = dataclasses.replace(recorded, info=dataclasses.replace(recorded.info, depth_cameras=()))
    replay = ReplayRobot([rows_by_tick(silent, 0)])
    assert replay.spec.depth_cameras == ()
    assert set(replay.read_images()) == {"front"}


def test_a_depth_camera_without_a_frame_is_left_out() -> None:
    recorded = with_depth(session(6, episodes=(0, 2)))
    late = dataclasses.replace(recorded, frames=tuple(f for f in recorded.frames if f.episode or f.step))
    flat = dataclasses.replace(recorded, frames=session(6, episodes=(0, 2)).frames)
    assert ReplayRobot([rows_by_tick(flat, 0)]).spec.depth_cameras == ()
    assert set(ReplayRobot([rows_by_tick(late, 0)]).read_images()) == {"front", "ahead"}
    replay = ReplayRobot([rows_by_tick(recorded, 0), rows_by_tick(flat, 2)])
    assert set(replay.read_images()) == {"front", "ahead"}
    replay.begin_episode()
    assert set(replay.read_images()) == {"front"}


def test_a_depth_file_that_holds_something_else_is_an_error() -> None:
    recorded = with_depth(session(2))
    frames = tuple(dataclasses.replace(f, source=lambda: picture(0, 0)) for f in recorded.frames)
    replay = ReplayRobot([rows_by_tick(dataclasses.replace(recorded, frames=frames), 0)])
    with pytest.raises(ProtocolError, match=r"f\.png: wanted a depth frame, got uint8"):
        replay.read_images()
