from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge.rig import EPOCH, MS, STEP_NS, Drive, S
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, PlanView
from vagus.errors import ConfigError, StateError
from vagus.types import Fared, LinkState, MotionState

W, P, F, PAUSED, STOPPED = (
    MotionState.WAITING,
    MotionState.PLAYING,
    MotionState.FALLBACK,
    MotionState.PAUSED,
    MotionState.STOPPED,
)
ONLY_BY_BUFFER = EdgeConfig(execute_horizon=None)


# -- first chunk, playing ---------------------------------------------------------------------------------


def test_before_the_first_chunk_the_robot_waits_and_a_request_is_due() -> None:
    drive = Drive()
    assert drive.tick() == [None]
    assert drive.directive.motion is W
    assert drive.directive.reseed
    made = drive.take()
    assert (made.step, made.episode_start, made.slack_ns, made.prefix) == (0, True, 0, None)
    drive.tick()
    assert not drive.directive.reseed
    assert drive.engine.take_draft() is None  # one ask, one draft


def test_without_an_ask_there_is_no_request() -> None:
    drive = Drive()
    drive.set_link(ticket=0)
    drive.tick()
    assert drive.engine.take_draft() is None


def test_a_chunk_is_played_step_by_step() -> None:
    drive = Drive()
    drive.begin(length=5)
    assert drive.directive.motion is P
    assert drive.directive.knot is not None
    assert drive.directive.knot.tolist() == [0.0, 0.0]
    assert drive.tick(4) == [1, 2, 3, 4]
    assert drive.engine.step == 5
    provenance = drive.directive.provenance
    assert (provenance.epoch, provenance.seq, provenance.index) == (EPOCH, 1, 4)
    assert provenance.age_ns == 5 * drive.tick_ns
    assert drive.directive.next_knot is None


def test_the_first_action_starts_from_where_the_robot_is_however_long_it_waited() -> None:
    drive = Drive()
    drive.tick()
    made = drive.take()
    drive.tick(30)
    assert not drive.directive.reseed
    drive.reply(made)
    assert drive.tick() == [0]
    assert drive.directive.reseed
    drive.tick()
    assert not drive.directive.reseed


def test_ticks_between_steps_play_the_same_action() -> None:
    drive = Drive(tick_rate_hz=90.0)
    drive.begin(length=3)
    assert drive.tick(8) == [0, 0, 1, 1, 1, 2, 2, 2]
    assert drive.directive.end == 1.0


def test_a_slow_robot_is_refused() -> None:
    with pytest.raises(ConfigError):
        Engine(EdgeConfig(), EngineContract(30.0, 10.0, uses_rtc=False, prefix_horizon=0))


def test_the_next_chunk_is_asked_for_when_playback_falls_to_the_buffer_time() -> None:
    drive = Drive(ONLY_BY_BUFFER)
    drive.begin(length=30)
    drive.ask()
    asked_at = []
    for _ in range(29):
        drive.tick()
        if drive.engine.take_draft() is not None:
            asked_at.append(drive.engine.step - 1)
    assert asked_at == [15]  # 15 actions of 1/30 s are left before this one is taken


def test_a_long_chunk_is_followed_up_before_its_age_bound() -> None:
    drive = Drive(ONLY_BY_BUFFER)
    drive.begin(length=200)
    drive.ask()
    while drive.engine.take_draft() is None:
        drive.tick()
    assert drive.engine.playback_left_ns <= 500 * MS
    assert drive.engine.playback_left_ns > 500 * MS - 2 * STEP_NS
    assert drive.engine.step < 80


def test_an_automatic_robot_asks_for_the_next_chunk_when_a_part_of_it_is_old() -> None:
    """Of 40 actions an eighth are 5 steps, a quarter 10; the last request was a tick before step 0."""
    for uses_rtc, step in ((True, 4), (False, 9)):
        drive = Drive(EdgeConfig(execute_horizon="auto"), uses_rtc=uses_rtc)
        drive.begin(length=40)
        drive.ask()
        while (draft := drive.engine.take_draft()) is None:
            drive.tick()
        assert draft.step == step


def test_the_next_chunk_is_asked_for_after_the_execute_horizon() -> None:
    drive = Drive(EdgeConfig(execute_horizon=4))
    drive.begin(length=50)
    drive.ask()
    assert drive.tick(3) == [1, 2, 3]
    assert drive.engine.take_draft() is None
    drive.tick()
    assert drive.take().step == 4


# -- running out ------------------------------------------------------------------------------------------


def test_a_plan_that_ends_is_starved() -> None:
    drive = Drive()
    drive.begin(length=2)
    assert drive.tick(2) == [1, None]
    assert drive.engine.motion is F
    assert drive.engine.counters["starved"] == 1
    drive.tick(3)
    assert drive.engine.counters["starved"] == 1  # once per occurrence
    assert drive.engine.counters["fallback_ticks"] == 4


def test_no_action_is_older_than_the_bound_in_any_tick() -> None:
    drive = Drive(EdgeConfig(max_action_age_s=1.0), tick_rate_hz=250.0)
    drive.begin(length=100)
    while drive.engine.motion is P:
        age_ns = drive.directive.provenance.age_ns
        assert age_ns is not None
        assert age_ns <= S
        drive.tick()
    assert drive.engine.counters["stale"] == 1
    assert drive.directive.knot is None


def test_the_action_in_play_is_dropped_when_it_grows_stale() -> None:
    drive = Drive(EdgeConfig(max_action_age_s=1.0), tick_rate_hz=250.0)
    drive.begin()
    drive.now_ns += S
    assert drive.tick() == [None]
    assert drive.engine.motion is F


def test_after_running_out_a_new_observation_is_asked_for_and_played_from_the_next_step() -> None:
    drive = Drive()
    drive.begin(length=2)
    drive.tick(2)
    drive.ask()
    drive.tick()
    made = drive.take()
    assert (made.step, made.episode_start, made.slack_ns) == (2, False, 0)
    drive.reply(made)
    assert drive.tick(2) == [2, 3]


def test_while_the_fallback_moves_nothing_is_asked_for() -> None:
    drive = Drive()
    drive.begin(length=2)
    drive.tick(2)
    drive.ask()
    for _ in range(3):
        drive.engine.fallback_moved(drive.now_ns)
        drive.tick()
        assert drive.engine.take_draft() is None
    drive.tick()
    assert drive.take().captured_ns == drive.now_ns - drive.tick_ns


def test_a_draft_is_void_if_the_fallback_moves_in_the_same_tick() -> None:
    drive = Drive()
    drive.begin(length=2)
    drive.tick(2)
    drive.ask()
    drive.tick()
    drive.engine.fallback_moved(drive.now_ns - drive.tick_ns)
    assert drive.engine.take_draft() is None
    drive.tick()
    drive.tick()
    assert drive.take().ticket == 2  # the same ask, answered after the motion


def test_while_waiting_and_moved_nothing_is_asked_for() -> None:
    drive = Drive()
    drive.engine.fallback_moved(drive.now_ns - 1)
    drive.tick()
    assert drive.engine.take_draft() is None
    drive.tick()
    assert drive.take().ticket == 1


def test_a_draft_that_nobody_took_is_made_again() -> None:
    drive = Drive()
    drive.tick(3)
    made = drive.take()
    assert (made.ticket, made.captured_ns) == (1, drive.now_ns - drive.tick_ns)


# -- merging ----------------------------------------------------------------------------------------------


def second_chunk(drive: Drive, *, late_ticks: int, length: int = 20) -> None:
    """Ask for another chunk and let it arrive some ticks later."""
    drive.ask()
    drive.tick()
    made = drive.take()
    drive.tick(late_ticks)
    drive.reply(made, length=length)


@pytest.mark.parametrize("mode", [MergeMode.SWITCH, MergeMode.RTC, MergeMode.AUTO])
def test_a_new_chunk_takes_over_at_the_next_step(mode: MergeMode) -> None:
    drive = Drive(EdgeConfig(merge=mode))
    drive.begin(length=10)
    second_chunk(drive, late_ticks=3)
    assert drive.tick() == [5]
    provenance = drive.directive.provenance
    assert (provenance.seq, provenance.index) == (2, 4)  # asked at step 1, so step 5 is index 4


def test_in_finish_mode_the_old_plan_is_played_first() -> None:
    drive = Drive(EdgeConfig(merge=MergeMode.FINISH))
    drive.begin(length=10)
    second_chunk(drive, late_ticks=3)
    seqs = []
    for step in range(5, 21):
        assert drive.tick() == [step]
        seqs.append(drive.directive.provenance.seq)
    assert seqs == [1] * 5 + [2] * 11


def test_auto_merges_by_rtc_where_it_is_used() -> None:
    drive = Drive(uses_rtc=True)
    drive.begin(length=10)
    drive.ask()
    drive.tick()
    made = drive.take()
    assert made.prefix is not None
    assert made.step == 1
    assert made.prefix.robot[:, 0].tolist() == [float(s) for s in range(1, 10)]  # real length, not 10


def test_a_merge_later_than_the_delay_is_counted() -> None:
    for late_ticks, wanted in ((2, 0), (3, 1)):
        drive = Drive(uses_rtc=True)
        drive.begin(length=12)
        drive.set_link(ticket=1, latency_ns=3 * STEP_NS)
        second_chunk(drive, late_ticks=late_ticks)
        drive.tick()
        assert drive.engine.counters["delay_underestimated"] == wanted


def test_without_a_prefix_no_delay_can_be_underestimated() -> None:
    drive = Drive()
    drive.begin(length=12)
    second_chunk(drive, late_ticks=8)
    drive.tick()
    assert drive.engine.counters["merged"] == 2
    assert "delay_underestimated" not in drive.engine.counters


def test_a_late_reply_is_merged_by_step_if_nothing_newer_was() -> None:
    drive = Drive()
    drive.begin(length=10)
    second_chunk(drive, late_ticks=12, length=30)
    assert drive.engine.motion is F
    assert drive.tick() == [10]
    assert drive.engine.motion is P


def test_a_reply_to_what_was_seen_before_a_fallback_motion_is_dropped() -> None:
    drive = Drive()
    drive.begin(length=2)
    drive.ask()
    drive.tick()
    made = drive.take()
    drive.tick()
    drive.engine.fallback_moved(drive.now_ns)
    drive.reply(made)
    assert drive.tick() == [None]
    assert drive.engine.counters["moved_since_capture"] == 1
    assert drive.engine.plan_view.not_before_ns > made.captured_ns


@pytest.mark.parametrize(
    ("spoil", "counter"),
    [
        (lambda drive: drive.set_link(epoch=EPOCH + 1), "discarded_epoch"),
        (lambda drive: drive.set_link(LinkState.RECONNECTING, epoch=None), "discarded_epoch"),
        (lambda drive: drive.engine.reset(), "discarded_episode"),
        (lambda drive: drive.engine.pause(drive.now_ns), "discarded_paused"),
    ],
)
def test_a_reply_of_another_time_never_enters_the_plan(spoil: Callable[[Drive], None], counter: str) -> None:
    drive = Drive()
    drive.tick()
    drive.reply(drive.take())
    spoil(drive)
    assert drive.tick() == [None]
    assert drive.engine.counters[counter] == 1
    assert drive.engine.plan_view.merges == 0


def test_a_chunk_whose_steps_are_all_over_is_too_late() -> None:
    drive = Drive(EdgeConfig(execute_horizon=1))
    drive.begin(length=20)
    second_chunk(drive, late_ticks=10, length=5)
    drive.tick()
    assert drive.engine.counters["too_late"] == 1


def test_a_stale_chunk_is_not_merged() -> None:
    drive = Drive()
    drive.tick()
    made = drive.take()
    drive.now_ns += 3 * S
    drive.reply(made)
    assert drive.tick() == [None]
    assert drive.engine.counters["stale_chunk"] == 1


# -- plan clock `time` ------------------------------------------------------------------------------------


def test_with_the_time_clock_the_inference_time_consumes_actions() -> None:
    drive = Drive(EdgeConfig(plan_clock=PlanClock.TIME))
    drive.tick()
    made = drive.take()
    drive.tick(4)
    drive.reply(made)
    assert drive.tick() == [5]


def test_with_the_time_clock_a_hold_consumes_actions_and_a_late_chunk_is_entered_where_it_is_due() -> None:
    drive = Drive(EdgeConfig(plan_clock=PlanClock.TIME))
    drive.tick()
    drive.reply(drive.take(), length=10)
    assert drive.tick(9) == list(range(1, 10))
    drive.ask()
    drive.tick(6)
    made = drive.take()
    assert made.step == 15
    drive.reply(made)
    assert drive.tick() == [16]


# -- pause and resume -------------------------------------------------------------------------------------


def test_a_pause_commands_nothing_and_asks_for_nothing() -> None:
    drive = Drive()
    drive.begin()
    drive.ask()
    drive.engine.pause(drive.now_ns)
    assert drive.engine.plan_view.motion is PAUSED
    assert drive.tick(100) == [None] * 100
    assert drive.directive.motion is PAUSED
    assert drive.engine.take_draft() is None


def test_a_draft_that_a_pause_finds_untaken_is_withdrawn() -> None:
    drive = Drive()
    drive.tick()
    drive.engine.pause(drive.now_ns)
    assert drive.engine.take_draft() is None
    drive.engine.resume(drive.now_ns)
    drive.tick()
    assert drive.take().ticket == 1


def test_resume_drops_the_plan_reseeds_and_waits_for_a_fresh_chunk() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.pause(drive.now_ns)
    drive.tick(30)
    assert not drive.engine.resume(drive.now_ns)
    drive.now_ns += 1
    drive.ask()
    assert drive.tick() == [None]
    assert drive.directive.motion is W
    assert drive.directive.reseed
    made = drive.take()
    assert made.step == 1
    drive.reply(made)
    assert drive.tick() == [1]
    assert drive.directive.reseed
    drive.tick()
    assert not drive.directive.reseed


def test_a_reply_to_what_was_seen_before_the_resume_is_dropped() -> None:
    drive = Drive()
    drive.tick()
    made = drive.take()
    drive.engine.pause(drive.now_ns)
    drive.engine.resume(drive.now_ns)
    drive.reply(made)
    assert drive.tick() == [None]
    assert drive.engine.counters["moved_since_capture"] == 1


def test_the_plan_is_kept_only_within_the_tolerance() -> None:
    for offset, is_kept in ((0.05, True), (0.2, False)):
        drive = Drive()
        drive.begin()
        drive.engine.pause(drive.now_ns)
        measured = np.full(2, offset)
        assert drive.engine.resume(drive.now_ns, measured=measured, keep_plan_within=0.1) is is_kept
        assert drive.tick() == [1 if is_kept else None]
        assert drive.directive.reseed


def test_without_a_measured_pose_or_a_tolerance_the_plan_is_never_kept() -> None:
    drive = Drive()
    drive.begin()
    for measured, tolerance in ((None, 1.0), (np.zeros(2), None)):
        drive.engine.pause(drive.now_ns)
        assert not drive.engine.resume(drive.now_ns, measured=measured, keep_plan_within=tolerance)


def test_a_kept_plan_that_grew_stale_is_not_played() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.pause(drive.now_ns)
    drive.now_ns += 5 * S
    assert drive.engine.resume(drive.now_ns, measured=np.zeros(2), keep_plan_within=0.1)
    assert drive.tick() == [None]
    assert drive.engine.motion is F


def test_a_chunk_that_is_kept_out_is_not_waited_for_by_the_next_draft() -> None:
    """A server that lets a plan go on with a chunk which the robot refused continues what nobody plays."""
    drive = Drive(EdgeConfig(execute_horizon=1), uses_rtc=True)
    drive.begin()
    drive.ask()
    drive.tick()
    drive.reply(drive.take())
    drive.engine.pause(drive.now_ns)
    assert drive.engine.resume(drive.now_ns, measured=np.ones(2), keep_plan_within=1.0)
    drive.tick()
    assert drive.engine.counters["moved_since_capture"] == 1
    drive.ask()
    drive.tick()
    assert drive.take().settled_seq == 2


def test_illegal_events_raise_and_change_nothing() -> None:
    drive = Drive()
    drive.begin()
    before = drive.engine.plan_view
    with pytest.raises(StateError):
        drive.engine.resume(drive.now_ns)
    assert drive.engine.plan_view == before
    assert drive.tick() == [1]
    drive.engine.pause(drive.now_ns)
    with pytest.raises(StateError):
        drive.engine.pause(drive.now_ns)
    drive.engine.stop("done")
    with pytest.raises(StateError):
        drive.engine.reset()
    with pytest.raises(StateError):
        drive.engine.pause(drive.now_ns)
    assert drive.engine.episode == 0


# -- reset ------------------------------------------------------------------------------------------------


def test_a_reset_begins_an_episode_with_an_empty_plan() -> None:
    drive = Drive()
    drive.begin()
    drive.tick(5)
    drive.engine.reset()
    assert (drive.engine.episode, drive.engine.step) == (1, 0)
    assert drive.engine.plan_view.episode == 1
    assert drive.tick() == [None]
    assert drive.directive.motion is F  # it was moving: decelerate
    assert not drive.directive.reseed
    drive.ask()
    drive.tick()
    made = drive.take()
    assert (made.episode, made.step, made.episode_start) == (1, 0, True)
    drive.reply(made)
    assert drive.tick() == [0]
    assert drive.directive.provenance.episode == 1


def test_every_request_carries_the_boundary_until_a_chunk_is_merged() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.reset()
    drive.tick()
    for _ in range(3):
        drive.ask()
        drive.tick()
        assert drive.take().episode_start


def test_a_robot_that_was_put_elsewhere_starts_from_measured_feedback() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.reset(was_moved=True)
    drive.tick()
    assert drive.directive.reseed


def test_a_reset_in_a_pause_stays_paused() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.pause(drive.now_ns)
    drive.engine.reset()
    drive.tick()
    assert drive.engine.motion is PAUSED


# -- offline budget, dead, stopped ------------------------------------------------------------------------

SHORT = EdgeConfig(max_offline_s=2.0)


def test_a_server_that_never_delivers_runs_out_though_the_link_streams() -> None:
    drive = Drive(SHORT)
    ticks = 0
    while drive.engine.motion is W:
        drive.tick()
        ticks += 1
    assert drive.engine.motion is STOPPED
    assert 59 <= ticks <= 63
    assert drive.engine.plan_view.gave_up == drive.engine.stop_reason
    assert "no chunk could be merged for 2 s" in drive.engine.stop_reason


def test_a_handshake_does_not_clear_the_budget_but_a_merge_does() -> None:
    drive = Drive(SHORT)
    drive.begin()
    drive.set_link(LinkState.DEGRADED, ticket=2)
    drive.tick(40)
    drive.set_link(ticket=3)  # streaming again
    drive.tick()
    drive.reply(drive.take())
    drive.tick(30)
    assert drive.engine.motion is P
    drive.set_link(LinkState.RECONNECTING, epoch=None, ticket=3)
    drive.tick(2)
    drive.set_link(epoch=EPOCH + 1, ticket=3)
    drive.tick(70)
    assert drive.engine.motion is STOPPED


def test_the_budget_is_frozen_in_a_pause() -> None:
    drive = Drive(SHORT)
    drive.tick(30)
    drive.engine.pause(drive.now_ns)
    drive.tick(1000)
    drive.engine.resume(drive.now_ns)
    drive.tick(25)
    assert drive.engine.motion is W
    drive.tick(10)
    assert drive.engine.motion is STOPPED


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_dead_link_stops_the_robot_at_once(is_paused: bool) -> None:
    drive = Drive()
    drive.begin()
    if is_paused:
        drive.engine.pause(drive.now_ns)
    drive.set_link(LinkState.DEAD, epoch=None)
    assert drive.tick() == [None]
    assert drive.directive.motion is STOPPED
    assert drive.engine.stop_reason == "the link is dead"


def test_after_a_stop_nothing_is_commanded_merged_or_asked_for() -> None:
    drive = Drive()
    drive.tick()
    made = drive.take()
    drive.engine.stop("done")
    drive.engine.stop("again")
    assert drive.engine.stop_reason == "done"
    assert drive.engine.plan_view.is_over
    assert drive.engine.plan_view.gave_up == ""
    drive.ask()
    drive.reply(made)
    assert drive.tick(10) == [None] * 10
    assert drive.directive.motion is STOPPED
    assert not drive.directive.reseed
    assert drive.engine.take_draft() is None


def test_what_a_status_line_shows() -> None:
    drive = Drive()
    drive.begin()
    assert drive.engine.link is LinkState.STREAMING
    assert drive.engine.motion is P
    assert drive.engine.episode == 0
    assert drive.engine.playback_left_ns == 50 * STEP_NS


def test_the_successor_of_a_plan_that_ends_before_it_can_be_there_is_asked_for_at_rest() -> None:
    drive = Drive(EdgeConfig(buffer_time_s=0.5))
    drive.begin(length=20)
    drive.engine.link_view = replace(drive.engine.link_view, ticket=2, latency_ns=S, fastest_ns=S)
    drive.tick(19)
    assert drive.engine.take_draft() is None
    drive.tick(2)  # it ran out, and the fallback had its first tick
    assert drive.engine.motion is MotionState.FALLBACK
    drive.tick()
    assert drive.take().captured_ns > 0


def test_a_new_engine_waits_and_knows_of_no_link() -> None:
    engine = Engine(EdgeConfig(), EngineContract(30.0, 90.0, uses_rtc=False, prefix_horizon=0))
    assert engine.link_view == LinkView(LinkState.CONNECTING, None, 0, 0)
    assert engine.plan_view == PlanView()
    assert (engine.motion, engine.step, engine.episode) == (W, 0, 0)
    assert (engine.playback_left_ns, engine.stop_reason) == (0, "")


def test_a_directive_says_how_long_a_step_lasts() -> None:
    drive = Drive(tick_rate_hz=90.0)
    drive.tick()
    assert drive.directive.step_s == pytest.approx(1 / 30)


def reset(drive: Drive) -> None:
    drive.engine.reset()


def come_back(drive: Drive) -> None:
    drive.engine.pause(drive.now_ns)
    drive.engine.resume(drive.now_ns)
    drive.now_ns += 1


def run_stale(drive: Drive) -> None:
    drive.now_ns += 5 * S
    drive.tick()
    assert drive.engine.motion is F


@pytest.mark.parametrize("tick_rate_hz", [30.0, 90.0])
@pytest.mark.parametrize("drop", [reset, come_back, run_stale])
def test_of_a_plan_that_was_dropped_nothing_is_played_or_asked_for(
    drop: Callable[[Drive], None], tick_rate_hz: float
) -> None:
    """Not even where a new plan waits for the old one to end, or in the middle of a step."""
    drive = Drive(EdgeConfig(merge=MergeMode.FINISH, execute_horizon=1), tick_rate_hz=tick_rate_hz)
    drive.begin()
    drive.ask()
    drive.tick()
    assert drive.engine.playback_left_ns > 0
    drop(drive)
    assert drive.engine.playback_left_ns == 0
    assert drive.engine.take_draft() is None, "it says where the robot was in the old plan"
    drive.tick(3)
    drive.reply(drive.take())
    drive.tick()
    assert drive.directive.motion is P
    assert drive.directive.provenance.seq == 2


def test_what_a_stop_finds_unasked_is_not_asked_for() -> None:
    drive = Drive(EdgeConfig(execute_horizon=1))
    drive.begin()
    drive.ask()
    drive.tick()
    drive.engine.stop("done")
    assert drive.engine.take_draft() is None
    assert drive.engine.playback_left_ns == 0


@pytest.mark.parametrize("drop", [reset, run_stale])
def test_the_first_tick_of_a_fallback_asks_for_nothing(drop: Callable[[Drive], None]) -> None:
    """The robot still moves, so an answer to what it sees now would be void. Also the second time."""
    drive = Drive()
    for _ in range(2):
        drive.tick()
        drive.ask()
        drive.tick(3)
        drive.reply(drive.take())
        drive.tick(3)
        assert drive.engine.motion is P
        drive.ask()
        drop(drive)
        if drop is reset:
            drive.tick()
        assert drive.engine.motion is F
        assert drive.engine.take_draft() is None
        drive.tick()
        assert drive.take().slack_ns == 0


def test_a_worker_sees_when_the_plan_ends() -> None:
    drive = Drive()
    drive.begin()
    ends_ns = drive.engine.plan_view.ends_ns
    assert drive.now_ns < ends_ns <= drive.now_ns + drive.engine.playback_left_ns
    drive.engine.reset()
    assert drive.engine.plan_view.ends_ns == 0


def test_a_worker_sees_at_once_that_a_pause_is_over() -> None:
    drive = Drive()
    drive.begin()
    drive.engine.pause(drive.now_ns)
    drive.engine.resume(drive.now_ns)
    assert drive.engine.plan_view == PlanView(0, W, drive.now_ns, 1)


def test_an_answer_is_merged_once_and_none_after_a_newer_one() -> None:
    drive = Drive(ONLY_BY_BUFFER)
    drive.begin()
    assert drive.engine.plan_view.merges == 1
    drive.ask()
    while (older := drive.engine.take_draft()) is None:
        drive.tick()
    drive.ask()
    drive.tick()
    newer = drive.take()
    first = drive.reply(older)
    drive.reply(newer)  # it takes the place of the other
    drive.tick()
    assert drive.engine.plan_view.merges == 2
    assert drive.engine.counters["discarded_superseded"] == 1
    drive.engine.propose(first)
    drive.tick()
    assert drive.engine.plan_view.merges == 2
    assert drive.engine.counters["discarded_superseded"] == 2


def test_what_became_of_a_chunk_is_told_once_in_the_tick_that_decided() -> None:
    drive = Drive(ONLY_BY_BUFFER)
    drive.begin()
    assert "discarded_superseded" not in drive.engine.counters
    (begun,) = drive.engine.take_settled()
    assert (begun.outcome, begun.proposal.source.seq) == ("merged", 1)
    assert drive.engine.take_settled() == ()
    drive.ask()
    while (older := drive.engine.take_draft()) is None:
        drive.tick()
    drive.ask()
    drive.tick()
    newer = drive.take()
    first, second = drive.reply(older), drive.reply(newer)
    step = drive.engine.step
    drive.tick()
    told = drive.engine.take_settled()
    assert [(one.proposal, one.outcome) for one in told] == [
        (first, "discarded_superseded"),
        (second, "merged"),
    ]
    assert [one.next_step for one in told] == [step, step]
    drive.engine.propose(first)
    drive.tick()
    assert [one.outcome for one in drive.engine.take_settled()] == ["discarded_superseded"]
    drive.engine.propose(first)
    drive.tick()
    drive.tick()
    assert drive.engine.take_settled() == (), "what nobody has taken is forgotten"


def test_with_the_time_clock_no_step_passes_between_a_pause_and_the_next_request() -> None:
    drive = Drive(EdgeConfig(plan_clock=PlanClock.TIME))
    drive.tick()
    drive.reply(drive.take())
    drive.tick()
    drive.engine.pause(drive.now_ns)
    drive.tick(10)
    drive.engine.resume(drive.now_ns)
    step = drive.engine.step
    drive.tick(10)
    assert drive.engine.step == step


@pytest.mark.parametrize("state", [LinkState.STREAMING, LinkState.DEGRADED, LinkState.RECONNECTING])
def test_a_robot_that_plays_a_long_plan_is_offline_only_while_the_link_is_in_trouble(
    state: LinkState,
) -> None:
    drive = Drive(EdgeConfig(max_offline_s=2.0, max_action_age_s=60.0))
    drive.begin(length=200)
    drive.set_link(state)
    drive.tick(90)
    assert drive.engine.motion is (P if state is LinkState.STREAMING else STOPPED)


# -- what the server asks for -----------------------------------------------------------------------------


def slow_down(drive: Drive, *, min_interval_ns: int = 0, least_executed: int = 0) -> None:
    drive.engine.link_view = replace(
        drive.engine.link_view, min_interval_ns=min_interval_ns, least_executed=least_executed
    )


def test_a_request_waits_for_the_interval_that_the_server_asks_for() -> None:
    drive = Drive(EdgeConfig(buffer_time_s=2.0))
    drive.begin()
    slow_down(drive, min_interval_ns=5 * STEP_NS)
    drive.ask()
    captured_ns = drive.now_ns - 2 * drive.tick_ns
    drive.tick(3)
    assert drive.engine.take_draft() is None
    drive.tick()
    assert drive.take().captured_ns == captured_ns + 5 * STEP_NS


def test_a_robot_that_starves_waits_for_the_interval_but_not_longer_than_its_actions_may_age() -> None:
    drive = Drive(EdgeConfig(max_action_age_s=0.99))
    drive.begin(length=2)
    slow_down(drive, min_interval_ns=10**15)
    drive.ask()
    asked = []
    for _ in range(40):
        drive.tick()
        asked.append(drive.engine.take_draft() is not None)
    assert asked.index(True) == 28  # 30 ticks after the first request, of which two are over
    assert drive.directive.motion is F


def test_the_first_request_of_an_episode_never_waits() -> None:
    drive = Drive()
    drive.begin()
    slow_down(drive, min_interval_ns=10**15, least_executed=10**9)
    drive.ask()
    drive.engine.reset()
    drive.tick(2)
    assert drive.take().episode_start


def test_a_robot_reports_what_it_played_and_how_long_it_starved() -> None:
    drive = Drive(EdgeConfig(buffer_time_s=0.01))
    drive.tick(5)
    made = drive.take()
    assert made.fared == Fared()  # nothing is missed before the first chunk
    drive.reply(made, length=3)
    drive.tick(3)
    drive.tick(4)
    drive.ask()
    drive.tick()
    fared = drive.take().fared
    assert (fared.played_steps, fared.starved_steps) == (3, 4)
    assert fared.oldest_age_ns == 3 * drive.tick_ns


def test_a_report_is_not_lost_with_its_draft() -> None:
    drive = Drive(EdgeConfig(buffer_time_s=2.0))
    drive.begin()
    drive.ask()
    drive.tick(4)  # a draft in each, taken by nobody
    assert drive.take().fared.played_steps == 4
