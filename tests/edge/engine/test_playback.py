from __future__ import annotations

import numpy as np
import pytest

from edge.rig import STEP_NS, S, chunk
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.playback import Playback, Shortage
from vagus.edge.handoff import Source

SOURCE = Source(7, 1, 0)


def playback(clock: PlanClock = PlanClock.STEP, *, tick_rate_hz: float = 30.0) -> Playback:
    return Playback(EdgeConfig(plan_clock=clock), step_rate_hz=30.0, tick_rate_hz=tick_rate_hz)


def loaded(clock: PlanClock = PlanClock.STEP, *, tick_rate_hz: float = 30.0, length: int = 10) -> Playback:
    head = playback(clock, tick_rate_hz=tick_rate_hz)
    head.merge(chunk(0, length), SOURCE, MergeMode.SWITCH, 0)
    return head


def test_an_empty_plan_is_starved() -> None:
    assert playback().shortage(0) is Shortage.STARVED


def test_the_next_action_may_be_stale() -> None:
    head = loaded()
    assert head.shortage(3 * S) is None
    assert head.shortage(3 * S + 1) is Shortage.STALE


def test_the_action_in_play_grows_stale_too() -> None:
    head = loaded(tick_rate_hz=90.0)
    head.take()
    head.play()
    assert head.shortage(3 * S + 1) is Shortage.STALE


def test_the_step_advances_when_an_action_is_taken() -> None:
    head = loaded()
    head.take()
    assert (head.step, head.executed) == (1, 1)
    playing = head.play()
    assert playing.action.step == 0
    assert playing.next_knot is not None
    assert playing.next_knot.tolist() == [1.0, 1.0]
    assert (playing.begin, playing.end) == (0.0, 1.0)
    assert head.is_at_boundary


def test_the_last_action_has_no_next_knot() -> None:
    head = loaded(length=1)
    head.take()
    assert head.play().next_knot is None


def test_an_action_stays_in_play_until_its_step_is_done() -> None:
    head = loaded(tick_rate_hz=90.0)
    head.take()
    for is_done in (False, False, True):
        assert not head.is_at_boundary
        assert head.play().action.step == 0
        assert head.is_at_boundary is is_done


def test_playing_without_an_action_is_a_programming_error() -> None:
    with pytest.raises(AssertionError):
        playback().play()


def test_a_merge_does_not_touch_the_action_in_play() -> None:
    head = loaded(tick_rate_hz=90.0)
    head.take()
    head.play()
    head.merge(chunk(0, 5), Source(7, 2, 5), MergeMode.RTC, 10)
    assert head.executed == 0
    assert head.play().action.source is SOURCE
    assert [head.plan.pop().step for _ in range(4)] == [1, 2, 3, 4]


def test_finish_mode_keeps_the_old_plan() -> None:
    head = loaded(length=3)
    head.merge(chunk(0, 5), Source(7, 2, 5), MergeMode.FINISH, 10)
    assert [head.plan.pop().source.seq for _ in range(5)] == [1, 1, 1, 2, 2]


def test_playback_left_ends_at_the_age_bound() -> None:
    assert loaded().playback_left_ns(0) == 10 * STEP_NS
    assert loaded().playback_left_ns(3 * S - 4 * STEP_NS) == 4 * STEP_NS


def test_with_the_step_clock_time_drops_nothing() -> None:
    head = loaded()
    head.anchor_clock(0)
    head.follow_clock(S)
    assert len(head.plan) == 10


def test_with_the_time_clock_a_hold_consumes_the_actions_that_fell_due() -> None:
    head = loaded(PlanClock.TIME)
    head.follow_clock(S)  # no anchor yet
    head.anchor_clock(0)
    head.follow_clock(4 * STEP_NS)
    assert head.step == 4
    assert head.counters["passed_by_clock"] == 4
    head.follow_clock(4 * STEP_NS)
    head.take()
    assert head.play().action.step == 4


def test_with_the_time_clock_an_action_in_play_ends_when_the_next_falls_due() -> None:
    head = loaded(PlanClock.TIME, tick_rate_hz=90.0)
    head.anchor_clock(0)
    head.take()
    head.play()
    head.follow_clock(STEP_NS // 3)
    assert not head.is_at_boundary
    head.follow_clock(STEP_NS)
    assert head.is_at_boundary
    head.take()
    playing = head.play()
    assert (playing.action.step, playing.begin) == (1, 0.0)


def test_a_new_episode_counts_from_zero() -> None:
    head = loaded(PlanClock.TIME)
    head.anchor_clock(0)
    head.take()
    head.play()
    head.begin_episode()
    assert (head.step, len(head.plan)) == (0, 0)
    assert head.is_at_boundary
    head.follow_clock(S)
    assert head.step == 0


def test_the_plan_goes_on_only_near_the_last_action_played() -> None:
    head = loaded()
    pose = np.zeros(2)
    assert not head.is_near(pose, tolerance=1.0)  # nothing was played
    head.take()
    head.play()
    assert head.is_near(pose, tolerance=0.1)
    assert head.is_near(np.array([0.05, np.nan]), tolerance=0.1)
    assert not head.is_near(np.array([0.2, 0.0]), tolerance=0.1)
    assert not head.is_near(np.array([np.nan, np.nan]), tolerance=0.1)
    head.drop_plan()
    assert not head.is_near(pose, tolerance=1.0)


def test_a_plan_dropped_while_an_action_is_in_play_ends_it() -> None:
    head = loaded(tick_rate_hz=90.0)
    head.take()
    head.play()
    head.drop_plan()
    assert head.is_at_boundary
    head.merge(chunk(1, 5), SOURCE, MergeMode.SWITCH, 0)
    head.take()
    assert head.play().begin == 0.0


def test_an_empty_playhead_has_executed_nothing() -> None:
    assert playback().executed == 0


def test_the_length_of_a_chunk_counts_its_actions_that_came_too_late() -> None:
    """How soon the next chunk is worth it depends on the policy, not on the delay of its last answer."""
    head = loaded(length=10)
    for _ in range(4):
        head.take()
    head.merge(chunk(0, 9), SOURCE, MergeMode.RTC, 0)
    assert (head.horizon, len(head.plan)) == (9, 5)


def test_what_is_kept_for_a_prefix_is_bounded_whatever_a_server_wishes_for() -> None:
    head = Playback(EdgeConfig(), step_rate_hz=30.0, tick_rate_hz=30.0, prefix_horizon=10**12)
    head.merge(chunk(0, 5000), SOURCE, MergeMode.SWITCH, 0)
    assert len(head.plan) == 4096


def test_near_is_measured_from_the_last_action_played_and_within_the_tolerance_exactly() -> None:
    head = loaded()
    for _ in range(5):
        head.take()
        head.play()
    assert head.is_near(np.array([4.5, 3.5]), tolerance=0.5)
    assert not head.is_near(np.array([4.5, 3.4]), tolerance=0.5)
    assert not head.is_near(np.array([-4.0, -4.0]), tolerance=0.5)


def test_what_was_played_in_one_episode_says_nothing_in_the_next() -> None:
    head = loaded()
    head.take()
    head.play()
    head.begin_episode()
    head.merge(chunk(0, 5), SOURCE, MergeMode.SWITCH, 0)
    assert not head.is_near(np.zeros(2), tolerance=1.0)
