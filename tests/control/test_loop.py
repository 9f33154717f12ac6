"""The loop keeps its beat, stops the robot first on every way out, and commands nothing afterwards."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from control.rig import EpisodicRobot, Rig
from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.edge.handoff import Settled
from vagus.errors import ConfigError, GateError, RobotError, SpecError
from vagus.specs import ActionKind, Limits
from vagus.types import (
    ActionArray,
    Command,
    DepthImage,
    Directive,
    FloatArray,
    Image,
    LinkState,
    MotionState,
    RequestDraft,
)

SHORT = LoopConfig(duration_s=0.5)


class NotingRecorder:
    def __init__(self) -> None:
        self.steps: list[Command] = []
        self.images: list[str] = []
        self.chunks: list[tuple[int, Settled]] = []
        self.summaries: list[LoopSummary] = []
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.counters: dict[str, int] = {}

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        self.steps.append(command)

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        self.chunks.append((now_ns, settled))

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        self.images.extend(images)

    def close(self, summary: LoopSummary) -> None:
        self.calls.append("recorder.close")
        self.summaries.append(summary)
        if self.error is not None:
            raise self.error


def assert_stopped_and_then_quiet(calls: list[str]) -> None:
    last = len(calls) - 1 - calls[::-1].index("stop")
    first = calls.index("stop")
    assert set(calls[first : last + 1]) == {"stop"}
    assert calls[last + 1] == "close"
    assert "command" not in calls[last:]


def test_what_became_of_a_chunk_is_recorded_also_in_the_tick_that_fails_by_it() -> None:
    recorder = NotingRecorder()
    rig = Rig(config=SHORT, recorder=recorder)
    advance = rig.motion.advance

    def fail_at_a_plan(directive: Directive, state: FloatArray, *, is_trusted: bool = True) -> Command:
        if directive.motion is MotionState.PLAYING:
            raise GateError("the chunk cannot be played")
        return advance(directive, state, is_trusted=is_trusted)

    rig.motion.advance = fail_at_a_plan  # type: ignore[method-assign]
    summary = rig.loop.run()
    assert "the chunk cannot be played" in summary.error
    assert [settled.outcome for _, settled in recorder.chunks] == ["merged"]
    assert recorder.chunks[0][1].proposal.source.seq == 1


def test_a_loop_plays_the_plan_and_ends_in_time() -> None:
    rig = Rig(config=SHORT)
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert summary.ticks == 51
    assert summary.plan_actions > 40
    assert summary.missed == 0
    assert summary.motion_s[MotionState.PLAYING] > 0.4
    assert summary.link_s[LinkState.STREAMING] == pytest.approx(0.49)
    assert_stopped_and_then_quiet(rig.robot.calls)
    assert gc.isenabled()


def test_the_plan_moves_the_robots_joints_by_name() -> None:
    rig = Rig(config=SHORT)
    rig.robot.joints = np.array([0.5, -0.5])
    rig.loop.run()
    moved = np.array(rig.robot.commands)
    assert (moved[:, 0] >= 0.5 - 1e-6).all()
    assert (moved[:, 1] >= -0.5 - 1e-6).all()
    assert moved[-1] == pytest.approx([0.5 + moved[-1][1] + 0.5, moved[-1][1]])


def test_missed_ticks_are_skipped_and_the_limiter_moves_one_tick() -> None:
    rig = Rig(rate_hz=250.0, pace=0.05, config=LoopConfig(duration_s=1.0))
    rig.at(100, lambda: rig.clock.stall(0.06))
    summary = rig.loop.run()
    assert summary.missed == 15
    assert summary.lateness_ms["max"] == 60.0
    assert summary.ticks == 251 - 15
    gaps = np.diff(rig.robot.command_ns)
    assert (gaps >= 4_000_000 - 1).all()  # no burst
    path = np.array(rig.robot.commands)
    speed = np.diff(path, axis=0) * 250.0
    assert np.abs(speed).max() <= 2.0 * (1 + 1e-9)
    assert np.abs(np.diff(speed, axis=0)).max() * 250.0 <= 20.0 * (1 + 1e-6)


def test_a_driver_that_takes_most_of_a_tick_for_a_command_loses_no_tick() -> None:
    rig = Rig(config=SHORT)
    rig.robot.command_takes_s = 0.008
    summary = rig.loop.run()
    assert summary.missed == 0
    assert summary.ticks == 51


def test_a_tick_that_would_follow_a_late_command_at_once_is_skipped() -> None:
    rig = Rig(config=SHORT)
    rig.at(20, lambda: rig.clock.stall(0.0295))
    summary = rig.loop.run()
    assert summary.missed == 3
    assert (np.diff(rig.robot.command_ns) >= 2_500_000).all()


def test_after_a_pause_in_which_the_joints_were_moved_there_is_no_jump() -> None:
    rig = Rig(config=LoopConfig(duration_s=2.0))
    commands_at: dict[str, int] = {}

    def push() -> None:
        commands_at["pause"] = len(rig.robot.commands)
        rig.robot.joints = np.array([1.0, -1.0])

    rig.at(50, rig.loop.pause)
    rig.at(60, push)
    rig.at(80, rig.loop.resume)
    summary = rig.loop.run()
    assert summary.motion_s[MotionState.PAUSED] == pytest.approx(0.3, abs=0.02)
    after = np.array(rig.robot.commands[commands_at["pause"] :])
    speed = np.diff(np.vstack([[1.0, -1.0], [1.0, -1.0], after]), axis=0) * 100.0
    assert np.abs(speed).max() <= 2.0 * (1 + 1e-9)
    assert np.abs(np.diff(speed, axis=0)).max() * 100.0 <= 20.0 * (1 + 1e-6)
    assert len(after) > 50


def test_a_pause_twice_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(config=SHORT)
    rig.at(10, rig.loop.pause)
    rig.at(11, rig.loop.pause)
    rig.loop.run()
    assert "pause was ignored" in caplog.text


def test_a_plan_that_runs_out_is_a_fallback_and_not_an_error() -> None:
    rig = Rig(config=LoopConfig(duration_s=2.0))

    def fall_silent() -> None:
        rig.client.is_answering = False

    rig.at(3, fall_silent)
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert summary.starved_s > 0.5
    assert summary.longest_gap_s == pytest.approx(summary.starved_s, abs=0.05)
    assert rig.robot.commands[-1].tolist() == rig.robot.commands[-2].tolist()


def break_state(rig: Rig) -> None:
    rig.robot.failing["read_state"] = RobotError("bus lost")


def break_command(rig: Rig) -> None:
    rig.robot.failing["command"] = RobotError("refused")


def break_driver(rig: Rig) -> None:
    rig.robot.failing["read_state"] = ZeroDivisionError("a driver's bug")


def break_program(rig: Rig) -> None:
    rig.engine.fault = ZeroDivisionError("a bug")


def break_reading(rig: Rig) -> None:
    rig.robot.reading = np.array([np.nan, 0.0])


def shorten_reading(rig: Rig) -> None:
    rig.robot.reading = np.zeros(1)


def shift_reading(rig: Rig) -> None:
    rig.robot.reading = rig.robot.joints + 1.5


class Panic(BaseException):
    """As an extension written in Rust raises it."""


def break_with(error: BaseException) -> Callable[[Rig], None]:
    def break_it(rig: Rig) -> None:
        rig.robot.failing["read_state"] = error

    return break_it


def signals(rig: Rig) -> None:
    signal.raise_signal(signal.SIGINT)


def terminate(rig: Rig) -> None:
    signal.raise_signal(signal.SIGTERM)


WAYS_OUT: list[tuple[Callable[[Rig], None], EndReason, str]] = [
    (break_state, EndReason.ROBOT_ERROR, "bus lost"),
    (break_command, EndReason.ROBOT_ERROR, "refused"),
    (break_reading, EndReason.ROBOT_ERROR, "finite"),
    (shorten_reading, EndReason.ROBOT_ERROR, "finite"),
    (shift_reading, EndReason.ROBOT_ERROR, "which it cannot have moved"),
    (break_driver, EndReason.ROBOT_ERROR, "read_state: ZeroDivisionError"),
    (break_program, EndReason.ERROR, "ZeroDivisionError: a bug"),
    (signals, EndReason.INTERRUPTED, ""),
    (terminate, EndReason.TERMINATED, ""),
    (break_with(SystemExit(3)), EndReason.ROBOT_ERROR, "read_state: SystemExit: 3"),
    (break_with(asyncio.CancelledError()), EndReason.ROBOT_ERROR, "CancelledError"),
    (break_with(GeneratorExit()), EndReason.ROBOT_ERROR, "GeneratorExit"),
    (break_with(Panic("rust")), EndReason.ROBOT_ERROR, "Panic: rust"),
    (break_with(KeyboardInterrupt()), EndReason.INTERRUPTED, ""),
    (lambda rig: rig.loop.stop(), EndReason.INTERRUPTED, ""),
    (lambda rig: rig.client.die(), EndReason.DEAD, "dead"),
]


@pytest.mark.parametrize(("break_it", "reason", "words"), WAYS_OUT)
def test_whatever_ends_the_loop_the_robot_is_stopped_first(
    break_it: Callable[[Rig], None], reason: EndReason, words: str
) -> None:
    recorder = NotingRecorder()
    rig = Rig(config=LoopConfig(duration_s=1.0, return_to_start=True), recorder=recorder)
    recorder.calls = rig.robot.calls
    count: list[int] = []

    def at_tick_30() -> None:
        count.append(len(rig.robot.commands))
        break_it(rig)

    rig.at(30, at_tick_30)
    summary = rig.loop.run()
    assert summary.reason is reason
    assert words in summary.error
    assert_stopped_and_then_quiet(rig.robot.calls)
    assert rig.robot.calls[-1] == "recorder.close"
    borne = int("bad reading 2 in a row" in summary.error)  # the first of these costs a tick
    assert len(rig.robot.commands) == count[0] + borne
    assert rig.engine.motion is MotionState.STOPPED
    assert summary.ticks == 30 + borne


def test_limited_for_too_long_stops_the_robot() -> None:
    rig = Rig(pace=0.5, config=LoopConfig(duration_s=5.0), max_limited_s=0.3)
    summary = rig.loop.run()
    assert summary.reason is EndReason.LIMITED
    assert "was limited for longer" in summary.error
    assert summary.limited["velocity"] > 0
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_a_robot_that_cannot_be_connected_is_stopped_and_closed() -> None:
    rig = Rig(config=SHORT)
    rig.robot.failing["connect"] = RobotError("no power")
    summary = rig.loop.run()
    assert summary.reason is EndReason.ROBOT_ERROR
    assert rig.robot.calls == ["connect", "stop", "close"]


def test_a_stop_that_fails_is_tried_again_and_all_else_is_still_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = NotingRecorder()
    recorder.error = OSError("disk gone")
    rig = Rig(config=SHORT, recorder=recorder)
    rig.robot.failing["stop"] = RobotError("bus busy")
    rig.robot.failing["close"] = RobotError("bus busy")
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert rig.robot.calls[-3:] == ["stop", "stop", "close"]
    assert len(recorder.summaries) == 1
    assert "closing the recorder failed" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), Panic(), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["connect", "read_state", "command", "stop", "close"])
def test_no_kind_of_exception_keeps_the_robot_from_being_stopped_and_closed(
    method: str, error: BaseException
) -> None:
    recorder = NotingRecorder()
    rig = Rig(config=SHORT, recorder=recorder)
    rig.robot.failing[method] = error
    summary = rig.loop.run()
    calls = rig.robot.calls
    assert calls.count("stop") == (2 if method == "stop" else 1)
    assert calls[-1] == "close"
    assert "command" not in calls[calls.index("stop") :]
    assert len(recorder.summaries) == 1
    assert summary.is_stopped == (method != "stop")


def test_a_second_signal_raises_no_more_than_the_first() -> None:
    rig = Rig(config=SHORT)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    rig.at(5, twice)
    assert rig.loop.run().reason is EndReason.INTERRUPTED
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_a_signal_before_the_robot_is_connected_keeps_it_from_being() -> None:
    rig = Rig(config=SHORT)
    rig.loop._signals.is_set = True
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (EndReason.INTERRUPTED, 0)
    assert rig.robot.calls == ["stop", "close"]


def test_a_camera_that_fails_costs_requests_and_nothing_else() -> None:
    rig = Rig(config=SHORT)
    rig.robot.failing["read_images"] = RobotError("no frame")
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert summary.camera_errors == len(rig.client.failed) >= 1
    assert rig.robot.commands == []


def test_a_hanging_camera_delays_no_tick_and_not_the_end() -> None:
    rig = Rig(config=SHORT)
    rig.clock.before_tick = lambda: None
    rig.robot.camera_gate.clear()
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert summary.ticks == 51
    assert summary.missed == 0
    rig.robot.camera_gate.set()


def test_the_way_back_ends_at_the_start_and_is_within_the_limits() -> None:
    rig = Rig(config=LoopConfig(duration_s=1.0, return_to_start=True, return_time_s=1.0))
    rig.robot.joints = np.array([0.25, -0.25])
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    path = np.array(rig.robot.commands)
    assert np.abs(path[:, 0] - 0.25).max() > 0.02
    assert path[-1] == pytest.approx([0.25, -0.25], abs=1e-3)
    speed = np.diff(path, axis=0) * 100.0
    assert np.abs(np.diff(speed, axis=0)).max() * 100.0 <= 20.0 * (1 + 1e-6)
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_the_way_back_is_broken_off_by_a_signal() -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=True, return_time_s=1.0))
    rig.at(80, lambda: signal.raise_signal(signal.SIGINT))
    assert rig.loop.run().reason is EndReason.INTERRUPTED
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_the_way_back_is_broken_off_by_whoever_stops_the_loop() -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=True, return_time_s=1.0))
    rig.at(80, rig.loop.stop)
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (EndReason.INTERRUPTED, 80)
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_the_way_back_ends_where_a_human_takes_over() -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=True, return_time_s=1.0))
    rig.at(80, rig.loop.pause)
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (EndReason.FINISHED, 80)
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_a_robot_that_was_never_moved_does_not_go_back() -> None:
    rig = Rig(config=LoopConfig(duration_s=0.1, return_to_start=True))
    rig.client.is_answering = False
    assert rig.loop.run().reason is EndReason.FINISHED
    assert rig.robot.commands == []


def test_episodes_begin_anew_and_end_the_run() -> None:
    rig = Rig(config=LoopConfig(episodes=2, episode_s=0.5))
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert summary.episodes == 2
    assert rig.engine.episode == 1
    assert summary.ticks == pytest.approx(101, abs=1)


def test_the_last_tick_is_shown_to_whoever_looks() -> None:
    rig = Rig(config=SHORT)
    rig.loop.run()
    status = rig.loop.status
    assert status is not None
    assert (status.motion, status.link) == (MotionState.PLAYING, LinkState.STREAMING)
    assert status.step > 5
    assert status.ticks == 50
    assert status.age_ms is not None


def test_every_command_is_recorded_with_where_it_came_from() -> None:
    recorder = NotingRecorder()
    rig = Rig(config=SHORT, recorder=recorder)
    summary = rig.loop.run()
    assert len(recorder.steps) == len(rig.robot.commands) == summary.commands
    assert {step.provenance.epoch for step in recorder.steps} == {7}
    assert recorder.images[0] == "cam"
    assert recorder.summaries == [summary]


def test_a_loop_runs_outside_the_main_thread() -> None:
    rig = Rig(config=SHORT)
    summaries: list[LoopSummary] = []
    thread = threading.Thread(target=lambda: summaries.append(rig.loop.run()))
    thread.start()
    thread.join(30.0)
    assert summaries[0].reason is EndReason.FINISHED


def test_a_robot_that_ends_its_episodes_itself_is_reset_and_counted() -> None:
    rig = Rig(config=LoopConfig(episodes=3, duration_s=5.0), is_episodic=True)
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes, summary.error) == (EndReason.FINISHED, 3, "")
    assert rig.engine.episode == 2
    assert rig.robot.calls.count("begin_episode") == 2
    assert rig.robot.calls.count("command") == 3 * 20
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_after_such_a_reset_the_first_command_starts_where_the_robot_was_put() -> None:
    rig = Rig(config=LoopConfig(episodes=2), is_episodic=True, pace=0.02)
    rig.loop.run()
    last, first = rig.robot.commands[19], rig.robot.commands[20]
    assert (np.abs(last) > 0.05).all()
    assert (np.abs(first) < 0.01).all()


def test_the_loop_may_end_the_episode_of_such_a_robot_earlier() -> None:
    rig = Rig(config=LoopConfig(episodes=4, episode_s=0.1), is_episodic=True)
    summary = rig.loop.run()
    assert summary.episodes == 4
    assert rig.robot.calls.count("begin_episode") == 3
    assert rig.robot.calls.count("command") < 4 * 11


def test_a_robot_that_cannot_begin_an_episode_is_stopped() -> None:
    rig = Rig(config=LoopConfig(episodes=2), is_episodic=True)
    rig.robot.failing["begin_episode"] = ValueError("no such seed")
    summary = rig.loop.run()
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "begin_episode: ValueError: no such seed" in summary.error
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_episodes_of_another_robot_need_a_length() -> None:
    with pytest.raises(ConfigError, match="episode_s"):
        Rig(config=LoopConfig(episodes=2))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda action: action * np.nan, "a: wanted a finite number, got nan"),
        (lambda action: action + np.array([0.0, np.inf]), "a: wanted a finite number, got inf"),
        (lambda action: action + np.array([3.0, 0.0]), "b: wanted -2 to 2, got 3"),
        (lambda action: action + np.array([0.0, 0.5]), "a: wanted at most 0.02 from"),
        (lambda action: action.astype(np.float32), "wanted float64"),
    ],
)
@pytest.mark.parametrize("is_on_the_way_back", [False, True])
def test_what_the_limiter_gets_wrong_is_not_commanded_and_stops_the_robot(
    fault: Callable[[ActionArray], ActionArray], words: str, is_on_the_way_back: bool
) -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=True, return_time_s=0.5))

    def spoil() -> None:
        rig.motion.fault = fault

    rig.at(70 if is_on_the_way_back else 40, spoil)
    summary = rig.loop.run()
    assert summary.reason is EndReason.ERROR
    assert words in summary.error
    assert "nothing was commanded" in summary.error
    assert len(rig.robot.commands) in ((67, 68, 69) if is_on_the_way_back else (37, 38, 39))
    assert all(np.abs(command).max() < 0.1 for command in rig.robot.commands)
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_what_was_seen_before_a_fallback_motion_is_not_played_after_it() -> None:
    """The chunk in flight was made for where the arm was before it fell back: it is dropped."""
    rig = Rig(config=LoopConfig(duration_s=2.5))

    def fall_silent() -> None:
        rig.client.is_answering = False

    def answer_late() -> None:
        assert rig.engine.motion is MotionState.FALLBACK
        rig.client.answer(rig.client.unanswered[0])

    rig.at(30, fall_silent)
    rig.at(200, answer_late)
    summary = rig.loop.run()
    asked_ns, fell_back_ns = rig.client.unanswered[0].captured_ns, rig.robot.command_ns[-1]
    assert fell_back_ns - asked_ns < 3 * NS_PER_S  # it is not dropped for its age
    assert rig.engine.counters["moved_since_capture"] == 1
    assert rig.engine.motion is MotionState.STOPPED
    assert summary.motion_s[MotionState.FALLBACK] > 1.0
    still = np.array(rig.robot.commands[-40:])
    assert (still == still[0]).all()


def test_after_an_hour_of_sleep_nothing_of_the_old_plan_is_commanded() -> None:
    recorder = NotingRecorder()
    rig = Rig(config=LoopConfig(duration_s=3700.0), recorder=recorder)
    before: list[int] = []

    def sleep() -> None:
        rig.client.is_answering = False
        before.append(len(recorder.steps))
        rig.clock.stall(3600.0)

    rig.at(30, sleep)
    rig.loop.run()
    assert before[0] > 0
    assert not [step for step in recorder.steps[before[0] :] if step.provenance.step is not None]


BASE = ActionKind.VELOCITY


def test_a_base_is_at_rest_in_a_pause_and_drives_again_after_it() -> None:
    rig = Rig(config=LoopConfig(duration_s=3.0), kind=BASE)
    seen: dict[str, list[float]] = {}
    rig.at(40, rig.loop.pause)
    rig.at(42, lambda: seen.update(paused=list(rig.robot.commands[-2])))
    rig.at(120, lambda: seen.update(rest=list(rig.robot.joints), count=[len(rig.robot.commands)]))
    rig.at(140, lambda: seen.update(later=[len(rig.robot.commands)]))
    rig.at(141, rig.loop.resume)
    rig.loop.run()
    assert min(np.abs(seen["paused"])) > 0.01
    assert seen["rest"] == [0.0, 0.0]
    assert seen["count"] == seen["later"], "at rest, nothing is commanded"
    assert np.abs(rig.robot.commands[-1]).min() > 0.01
    change = np.diff(np.array(rig.robot.commands), axis=0) * 100.0
    assert float(np.abs(change).max()) <= 0.5 * (1 + 1e-6)


def test_a_pause_that_ends_before_rest_is_reached_waits_for_it() -> None:
    rig = Rig(config=LoopConfig(duration_s=2.0), kind=BASE)
    rig.at(40, rig.loop.pause)
    rig.at(41, rig.loop.resume)
    summary = rig.loop.run()
    assert [0.0, 0.0] in [list(command) for command in rig.robot.commands[38:70]]
    assert summary.motion_s[MotionState.PAUSED] > 0.0
    assert np.abs(rig.robot.commands[-1]).min() > 0.01


@pytest.mark.parametrize("is_episodic", [False, True])
def test_a_base_is_at_rest_before_its_next_episode_begins(is_episodic: bool) -> None:
    rig = Rig(
        config=LoopConfig(episodes=3, episode_s=0.5, duration_s=9.0), kind=BASE, is_episodic=is_episodic
    )
    if isinstance(rig.robot, EpisodicRobot):
        rig.robot.length = 10_000
        begin, at_begin = rig.robot.begin_episode, list[list[float]]()

        def begin_episode() -> None:
            at_begin.append(list(rig.robot.joints))
            begin()

        rig.robot.begin_episode = begin_episode  # type: ignore[method-assign] # it looks first
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes) == (EndReason.FINISHED, 3)
    assert summary.duration_s < 2.5, "it is brought to rest at once, not when its plan runs out"
    assert rig.engine.episode == 2
    commands = [list(command) for command in rig.robot.commands]
    assert commands.count([0.0, 0.0]) >= 2
    assert min(commands[-1]) > 0.01, "it drives in its last episode"
    if is_episodic:
        assert at_begin == [[0.0, 0.0]] * 2


def test_what_somebody_vouches_for_is_said_at_the_start_of_every_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    spec = rig.robot.spec
    rig.robot.spec = replace(spec, actions=tuple(replace(f, limits=Limits()) for f in spec.actions))
    ports = rig.ports
    with pytest.raises(SpecError, match=r"no velocity limit for a .*--vouch-unbounded a b"):
        ControlLoop(ports, LoopConfig(duration_s=0.1), rig.clock)
    assert rig.robot.calls == []  # it is not even connected
    config = LoopConfig(duration_s=0.1, vouch_unbounded=("a", "b"))
    ControlLoop(ports, config, rig.clock).run()
    for name in ("a", "b"):
        assert f"driven because somebody vouches for it: {name}: no velocity limit" in caplog.text


def test_a_new_episode_in_a_pause_begins_paused() -> None:
    rig = Rig(config=LoopConfig(duration_s=1.5))
    commands: list[int] = []
    rig.at(30, rig.loop.pause)
    rig.at(40, rig.loop.reset)
    for tick in (50, 80):
        rig.at(tick, lambda: commands.append(len(rig.robot.commands)))
    rig.at(81, rig.loop.resume)
    summary = rig.loop.run()
    assert rig.engine.episode == 1
    assert commands[0] == commands[1] < len(rig.robot.commands)
    assert summary.motion_s[MotionState.PAUSED] == pytest.approx(0.5, abs=0.05)


def test_an_episode_may_begin_further_away_than_the_robot_can_move() -> None:
    rig = Rig(config=LoopConfig(episodes=3), is_episodic=True)
    begin = rig.robot.begin_episode  # type: ignore[attr-defined] # an episodic one

    begun_at: list[int] = []

    def put() -> None:
        begin()
        rig.robot.joints = np.array([1.5, -1.5])
        begun_at.append(rig.clock.ticks)

    rig.robot.begin_episode = put  # type: ignore[attr-defined] # as above
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes, summary.error) == (EndReason.FINISHED, 3, "")
    assert summary.state_errors == 0
    assert begun_at[1] == 2 * begun_at[0], "it is seen at once where the robot was put, and no tick is lost"
    firsts = np.array(rig.robot.commands)[[20, 40]]
    np.testing.assert_allclose(firsts, [[1.5, -1.5]] * 2, atol=0.01)
    begun = np.array(rig.robot.commands)[20:30]  # the policy was asked for a plan from there, too
    np.testing.assert_allclose(begun, [[1.5, -1.5]] * 10, atol=0.1)


@pytest.mark.parametrize("within", [None, 0.5])
def test_after_a_pause_a_plan_is_kept_where_that_is_asked_for(within: float | None) -> None:
    rig = Rig(config=LoopConfig(duration_s=1.0, keep_plan_within=within))

    def pause() -> None:
        rig.client.is_answering = False
        rig.loop.pause()

    rig.at(30, pause)
    rig.at(40, rig.loop.resume)
    summary = rig.loop.run()
    played_s = summary.motion_s[MotionState.PLAYING]
    assert (played_s > 0.5) == (within is not None)


def test_a_robot_may_take_its_time_to_begin_an_episode() -> None:
    rig = Rig(config=LoopConfig(episodes=2, tick_timeout_s=0.2), is_episodic=True)
    begin = rig.robot.begin_episode  # type: ignore[attr-defined] # an episodic one

    def slowly() -> None:
        time.sleep(0.8)
        begin()

    rig.robot.begin_episode = slowly  # type: ignore[attr-defined] # as above
    summary = rig.loop.run()
    assert (summary.reason, summary.episodes, summary.error) == (EndReason.FINISHED, 2, "")


def test_a_base_that_was_reset_on_the_move_stays_paused_when_it_is_reset_in_a_pause() -> None:
    rig = Rig(config=LoopConfig(duration_s=4.0), kind=BASE)
    commands: list[int] = []
    rig.at(30, rig.loop.reset)
    rig.at(150, rig.loop.pause)
    rig.at(250, rig.loop.reset)
    for tick in (260, 390):
        rig.at(tick, lambda: commands.append(len(rig.robot.commands)))
    rig.loop.run()
    assert rig.engine.episode == 2
    assert commands[0] == commands[1]
    assert rig.robot.joints.tolist() == [0.0, 0.0]


def deferred(call: Callable[..., object]) -> Callable[..., object]:
    """Return a function, no `async def` to look at, whose call runs nothing yet."""

    async def later(arguments: tuple[object, ...]) -> object:
        return call(*arguments)

    def begin(*arguments: object) -> object:
        return later(arguments)

    return begin


def test_a_stop_that_only_returns_what_is_still_to_be_run_has_stopped_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(config=SHORT)
    rig.robot.stop = deferred(rig.robot.stop)  # type: ignore[assignment, method-assign] # a driver may
    loop = ControlLoop(rig.ports, SHORT, rig.clock)
    assert loop.run().is_stopped is False
    assert "THE ROBOT COULD NOT BE STOPPED" in caplog.text
    assert "stop" not in rig.robot.calls


@pytest.mark.parametrize("name", ["connect", "command"])
def test_a_call_that_has_not_run_ends_the_run(name: str) -> None:
    rig = Rig(config=SHORT)
    setattr(rig.robot, name, deferred(getattr(rig.robot, name)))
    summary = rig.loop.run()
    assert summary.reason is EndReason.ROBOT_ERROR
    assert f"{name}: it did not run, it returned a coroutine" in summary.error
    assert_stopped_and_then_quiet(rig.robot.calls)


def test_a_driver_whose_stop_is_async_or_wants_more_is_refused_before_it_is_connected() -> None:
    async def later() -> None: ...

    def choosy(reason: str) -> None: ...

    for stop in (later, choosy):
        rig = Rig(config=SHORT)
        rig.robot.stop = stop  # type: ignore[assignment, method-assign] # a driver may
        with pytest.raises(SpecError, match=r"stop (does not run when it is called|cannot be called)"):
            ControlLoop(rig.ports, SHORT, rig.clock)
        assert rig.robot.calls == []
