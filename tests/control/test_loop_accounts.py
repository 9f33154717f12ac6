"""What a loop gives account of: where its time goes, how it stands, and why it has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest

from control.rig import Rig
from vagus.clock import NS_PER_MS
from vagus.control.alarms import TickCosts
from vagus.control.config import LoopConfig, SensesConfig
from vagus.control.loop_stats import EndReason
from vagus.edge.engine.offline_budget import OfflineBudget
from vagus.errors import FrameError, RobotError
from vagus.types import FloatArray, MotionState

SHORT = LoopConfig(duration_s=0.5)
BUDGET_NS = 300 * NS_PER_MS


def with_slow_reading(rig: Rig, seconds: float) -> None:
    read_state = rig.robot.read_state

    def read() -> FloatArray:
        rig.clock.stall(seconds)
        return read_state()

    rig.robot.read_state = read  # type: ignore[method-assign] # a slow driver


def test_the_costs_of_a_tick_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(config=SHORT)
    rig.robot.command_takes_s = 0.004
    with_slow_reading(rig, 0.001)
    costs: list[TickCosts] = []
    monkeypatch.setattr(rig.loop._cycle._watch, "note_tick", lambda now_ns, cost: costs.append(cost))
    rig.at(20, lambda: rig.clock.stall(0.025))
    rig.at(30, rig.loop.pause)
    summary = rig.loop.run()
    assert len(costs) == summary.ticks
    assert costs[0] == TickCosts(0, 0, 1 * NS_PER_MS, 0), "what was read while it was connected; no command"
    assert costs[10] == TickCosts(0, 0, 1 * NS_PER_MS, 4 * NS_PER_MS)
    assert costs[19] == TickCosts(25 * NS_PER_MS, 2, 1 * NS_PER_MS, 4 * NS_PER_MS)
    assert costs[40] == TickCosts(0, 0, 1 * NS_PER_MS, 0), "in a pause nothing is commanded"


def test_how_late_the_last_tick_was_is_shown() -> None:
    rig = Rig(config=SHORT)
    shown: list[float] = []

    def look() -> None:
        assert rig.loop.status is not None
        shown.append(rig.loop.status.lateness_ms)

    rig.at(20, lambda: rig.clock.stall(0.003))
    rig.at(21, look)
    rig.at(22, look)
    rig.loop.run()
    assert shown == [3.0, 0.0]


def test_changes_of_state_wait_for_whoever_tells_them() -> None:
    rig = Rig(config=SHORT)
    rig.at(20, rig.loop.pause)
    rig.loop.run()
    motions = [change.motion for change in rig.loop.changes.take()]
    assert motions == [MotionState.WAITING, MotionState.PLAYING, MotionState.PAUSED]


def test_readings_that_cost_a_tick_are_counted() -> None:
    rig = Rig(config=SHORT)
    for tick in (20, 30):
        rig.at(tick, lambda: rig.robot.failing.update(read_state=RobotError("a packet was lost")))
        rig.at(tick + 1, rig.robot.failing.clear)
    summary = rig.loop.run()
    assert (summary.reason, summary.state_errors) == (EndReason.FINISHED, 2)


def test_what_the_motion_notices_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(config=SHORT)
    notices = [["grip: 0.5 is neither open nor closed"]]
    monkeypatch.setattr(rig.motion, "take_notices", lambda: notices.pop() if notices else [])
    rig.loop.run()
    assert caplog.text.count("grip: 0.5 is neither open nor closed") == 1


def test_a_driver_that_gives_news_more_slowly_than_it_is_asked_is_believed() -> None:
    rig = Rig(pace=0.05, config=LoopConfig(duration_s=1.0))

    def give_news() -> None:
        rig.robot.reading = rig.robot.joints.copy()

    for tick in range(1, 100, 33):
        rig.at(tick, give_news)
    summary = rig.loop.run()
    assert np.abs(np.diff(rig.robot.commands[::33], axis=0)).max() > 0.3, "as far as no joint goes in a tick"
    assert (summary.reason, summary.error, summary.state_errors) == (EndReason.FINISHED, "", 0)


def test_in_a_pause_a_lost_link_ends_the_run_though_somebody_moves_the_arm() -> None:
    """Readings that jump about are not trusted, and nothing is driven."""
    rig = Rig(config=LoopConfig(duration_s=2.0))

    def move() -> None:
        rig.await_answer()
        if rig.clock.ticks > 40:
            rig.robot.joints = np.full(2, 1.0 if rig.clock.ticks % 2 else -1.0)

    rig.clock.before_tick = move
    rig.at(30, rig.loop.pause)
    rig.at(60, rig.client.die)
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (EndReason.DEAD, 60)


def test_before_anything_is_driven_a_reading_that_is_not_trusted_reaches_no_policy() -> None:
    rig = Rig(config=SHORT)
    seen: list[bool] = []
    advance = rig.engine.advance

    def look(now_ns: int, state: FloatArray) -> object:
        seen.append(bool(np.isfinite(state).all()))
        return advance(now_ns, state)

    rig.engine.advance = look  # type: ignore[assignment, method-assign] # it looks first
    rig.robot.failing["read_state"] = RobotError("a packet was lost")
    rig.at(1, rig.robot.failing.clear)
    summary = rig.loop.run()
    assert (summary.reason, summary.state_errors) == (EndReason.FINISHED, 1)
    assert len(seen) == summary.ticks - 2, "but for the first, which is compared with nothing, and the last"
    assert all(seen)


# -- the cameras ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_answering", [True, False])
def test_a_picture_may_stand_still_as_long_as_the_robot_does(is_answering: bool) -> None:
    """The cameras of the rig show one picture for ever."""
    rig = Rig(config=LoopConfig(duration_s=3.0, senses=SensesConfig(camera_stale_s=1.0)))
    rig.client.is_answering = is_answering
    summary = rig.loop.run()
    assert summary.reason is EndReason.FINISHED
    assert (summary.camera_errors > 0) == is_answering
    assert (summary.plan_actions > 100) == is_answering, "so long it is believed"


def test_first_frames_that_are_not_what_the_spec_says_end_the_run() -> None:
    rig = Rig(config=SHORT)
    rig.robot.failing["read_images"] = FrameError("camera 'cam': wanted (4, 4, 3) uint8 RGB, got nothing")
    summary = rig.loop.run()
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "camera 'cam': wanted (4, 4, 3) uint8 RGB, got nothing" in summary.error
    assert rig.robot.commands == []


@pytest.mark.parametrize("is_blind", [False, True])
def test_a_robot_that_got_no_plan_since_it_saw_nothing_does_not_blame_the_link(is_blind: bool) -> None:
    rig = Rig(config=LoopConfig(duration_s=5.0))
    rig.engine._offline = OfflineBudget(BUDGET_NS)
    if is_blind:
        rig.robot.failing["read_images"] = RobotError("unplugged")
    else:
        rig.client.is_answering = False
    summary = rig.loop.run()
    assert summary.reason is (EndReason.ROBOT_ERROR if is_blind else EndReason.DEAD)
    assert summary.error.startswith("no chunk could be merged for")
    assert (": no frames for " in summary.error) == summary.error.endswith("unplugged") == is_blind


def test_the_end_of_a_run_is_the_end_of_its_camera_thread() -> None:
    rig = Rig(config=SHORT)
    rig.loop.run()
    assert not rig.loop._cycle.camera._thread.is_alive()


# -- the end --------------------------------------------------------------------------------------------


def test_the_engine_is_told_why_the_run_has_ended() -> None:
    rig = Rig(config=SHORT)
    rig.loop.run()
    assert rig.engine.stop_reason == "finished"
    rig = Rig(config=SHORT)
    rig.robot.failing["command"] = RobotError("refused")
    rig.loop.run()
    assert rig.engine.stop_reason == "RobotError: refused"


def break_program(rig: Rig) -> None:
    rig.engine.fault = ZeroDivisionError("a bug")


def break_robot(rig: Rig) -> None:
    rig.robot.failing["command"] = RobotError("refused")


@pytest.mark.parametrize(
    ("break_it", "level", "is_shown"),
    [
        (break_program, logging.INFO, True),
        (break_robot, logging.INFO, False),
        (break_robot, logging.DEBUG, True),
    ],
)
def test_a_traceback_is_for_faults_of_the_program_and_for_who_asks(
    break_it: Callable[[Rig], None], level: int, is_shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(config=SHORT)
    break_it(rig)
    with caplog.at_level(level, "vagus.control.loop"):
        rig.loop.run()
    (record,) = [record for record in caplog.records if "the control loop failed" in record.getMessage()]
    assert bool(record.exc_info) == is_shown
