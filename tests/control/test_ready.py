"""The way to the ready pose: before each episode, within the limits, given up for whoever wants the robot."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest

from control.rig import LIMITS, EpisodicRobot, Rig
from vagus.control.config import LoopConfig, SensesConfig
from vagus.control.loop_stats import EndReason
from vagus.control.ready import check_ready
from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind
from vagus.types import ActionArray, MotionState

READY = {"a": 0.5, "b": -0.25}
WAY = LoopConfig(duration_s=3.0, move_to_ready=True, ready_time_s=1.0)


def rig_of(config: LoopConfig = WAY, **ready: float) -> Rig:
    rig = Rig(config=config, ready=ready or READY)
    rig.robot.joints = np.array([-0.5, 0.75])
    return rig


def arrival(commands: ActionArray) -> int:
    """Return the number of commands until the ready pose was reached."""
    return int(np.argmax(np.abs(commands - [READY["a"], READY["b"]]).max(1) < 1e-6)) + 1


def test_a_robot_goes_to_its_ready_pose_and_only_there_the_policy_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="vagus.control.ready")
    rig = rig_of()
    asked_at: list[ActionArray] = []
    answer = rig.client.answer
    rig.client.answer = lambda draft: (asked_at.append(rig.robot.joints.copy()), answer(draft))[1]  # type: ignore[method-assign,func-returns-value]
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert asked_at[0].tolist() == pytest.approx([0.5, -0.25])
    path = np.array(rig.robot.commands)
    assert 100 <= arrival(path) < 130
    told = [record.getMessage() for record in caplog.records if record.name == "vagus.control.ready"]
    assert told == ["moving to the ready pose", "at the ready pose"]
    assert np.abs(path[-1] - path[arrival(path)]).max() > 0.05  # then the policy drives


def test_the_way_is_slow_and_within_the_limits_however_short_its_time_is() -> None:
    rig = rig_of(replace(WAY, ready_time_s=0.01))
    rig.client.is_answering = False
    rig.loop.run()
    path = np.array([[-0.5, 0.75], *rig.robot.commands])
    speed = np.diff(path, axis=0) * 100.0
    assert np.abs(speed).max() <= 2.0 * (1 + 1e-6)
    assert np.abs(np.diff(speed, axis=0)).max() * 100.0 <= 20.0 * (1 + 1e-6)
    assert path[-1] == pytest.approx([0.5, -0.25])


def test_what_has_no_ready_place_stays() -> None:
    rig = rig_of(a=0.5)
    rig.client.is_answering = False
    rig.loop.run()
    assert {command[1] for command in rig.robot.commands} == {0.75}


def test_every_episode_begins_at_the_ready_pose() -> None:
    rig = rig_of(replace(WAY, duration_s=None, episodes=2, episode_s=2.0))
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes) == (EndReason.FINISHED, 2)
    path = np.array(rig.robot.commands)
    second = path[arrival(path) + 20 :]
    assert np.abs(second - [0.5, -0.25]).max(1).min() < 1e-6
    step = np.abs(np.diff(path, axis=0)).max()
    assert step <= 0.02 * (1 + 1e-6)  # nowhere a jump


def test_a_signal_on_the_way_stops_the_robot_at_once() -> None:
    rig = rig_of()
    rig.at(50, lambda: signal.raise_signal(signal.SIGINT))
    summary = rig.loop.run()
    assert summary.reason is EndReason.INTERRUPTED
    calls = rig.robot.calls
    assert "command" not in calls[calls.index("stop") :]
    assert 0 < arrival(np.array([*rig.robot.commands, [0.5, -0.25]])) - 1 == len(rig.robot.commands) < 50


def test_a_human_who_pauses_on_the_way_has_the_robot_and_resumes_to_the_policy() -> None:
    rig = rig_of()
    rig.at(50, rig.loop.pause)
    counts: list[int] = []
    rig.at(53, lambda: counts.append(len(rig.robot.commands)))
    rig.at(100, lambda: counts.append(len(rig.robot.commands)))
    rig.at(101, rig.loop.resume)
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert counts[0] == counts[1]  # nothing is commanded while the human has it
    assert len(rig.robot.commands) > counts[1]
    assert np.abs(np.array(rig.robot.commands) - [0.5, -0.25]).max(1).min() > 0.1  # it never got there


def test_a_human_who_resumes_on_the_way_starts_the_policy_from_there() -> None:
    rig = rig_of()
    rig.at(50, rig.loop.resume)
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert rig.engine.motion is not MotionState.PAUSED
    assert rig.client.seq > 0
    assert np.abs(np.array(rig.robot.commands) - [0.5, -0.25]).max(1).min() > 0.1


def test_an_episode_that_begins_while_a_human_has_the_robot_moves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = rig_of()
    rig.at(150, rig.loop.pause)
    rig.at(160, rig.loop.reset)
    counts: list[int] = []
    rig.at(155, lambda: counts.append(len(rig.robot.commands)))
    rig.at(200, lambda: counts.append(len(rig.robot.commands)))
    rig.loop.run()
    assert counts[0] == counts[1] == len(rig.robot.commands)
    assert "was ignored" not in caplog.text


def test_a_robot_that_stands_outside_its_bounds_is_led_back_on_the_way() -> None:
    rig = rig_of()
    rig.robot.joints = np.array([2.1, 0.75])
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED, summary.error
    path = np.array(rig.robot.commands)
    assert path[0][0] == pytest.approx(2.1, abs=0.01)
    assert arrival(path) > 1


def test_the_way_waits_for_a_reading_that_can_be_trusted() -> None:
    rig = rig_of(replace(WAY, senses=SensesConfig(max_bad_readings=5)))
    rig.robot.reading = np.array([np.nan, np.nan])
    rig.at(4, lambda: setattr(rig.robot, "reading", None))
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED, summary.error
    assert rig.robot.commands[0] == pytest.approx([-0.5, 0.75], abs=0.01)


def test_nobody_is_moved_who_did_not_ask_for_it() -> None:
    rig = rig_of(LoopConfig(duration_s=1.0))
    rig.client.is_answering = False
    rig.loop.run()
    assert rig.robot.commands == []


def test_a_robot_without_a_ready_pose_or_without_a_measurement_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"move_to_ready: wanted a ready pose of the robot, got none; state `ready"
    ):
        Rig(config=WAY)
    arm = ActionFeature("a", "rad", limits=LIMITS, feedback="a", ready=0.5)
    blind = replace(arm, name="b", feedback=None, is_measured=False, ready=None)
    with pytest.raises(
        SpecError, match=r"move_to_ready: wanted a measurement of every place, got none of \['b'\]"
    ):
        check_ready([arm, blind])
    check_ready([arm, ActionFeature("g", "", ActionKind.BINARY, is_measured=False, safe=0.0)])


def test_the_way_begins_where_an_episode_has_put_the_robot() -> None:
    rig = Rig(config=replace(WAY, duration_s=None, episodes=2), ready=READY, is_episodic=True)
    assert isinstance(rig.robot, EpisodicRobot)
    rig.robot.length = 150
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes) == (EndReason.FINISHED, 2)
    second = rig.robot.commands[150:]
    assert len(second) == 150
    assert second[0] == pytest.approx([0.0, 0.0], abs=0.01)  # there, and not at the last command before it


def test_the_time_of_an_episode_begins_at_the_ready_pose() -> None:
    rig = rig_of(replace(WAY, duration_s=None, episodes=2, episode_s=0.5))
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes) == (EndReason.FINISHED, 2)
    path = np.array(rig.robot.commands)
    assert len(path) - arrival(path) > 100  # a way back, and two episodes
    assert rig.client.seq >= 2


def test_a_run_that_ends_on_the_way_returns_to_its_start_like_any_other() -> None:
    rig = rig_of(replace(WAY, duration_s=0.5, return_to_start=True, return_time_s=1.0))
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    path = np.array(rig.robot.commands)
    assert np.abs(path - [-0.5, 0.75]).max() > 0.1
    assert path[-1] == pytest.approx([-0.5, 0.75])
