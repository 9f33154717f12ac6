"""Counts of a loop add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.control.loop_stats import EndReason, LatenessHistogram, LoopStats
from vagus.types import LinkState, MotionState, Provenance

TICK_NS = 10 * NS_PER_MS


@given(st.lists(st.integers(0, 60 * NS_PER_S), min_size=1, max_size=200))
def test_quantiles_are_right_within_two_percent(lateness: list[int]) -> None:
    histogram = LatenessHistogram()
    for value in lateness:
        histogram.add(value)
    for share in (0.5, 0.99, 0.999):
        true_ms = float(np.quantile(lateness, share, method="inverted_cdf")) / NS_PER_MS
        got = histogram.quantile_ms(share)
        assert true_ms * 0.999 - 1e-9 <= got <= true_ms * 1.021 + 0.001


def test_without_ticks_there_is_no_lateness() -> None:
    assert LatenessHistogram().quantile_ms(0.99) == 0.0


def provenance(motion: MotionState, link: LinkState = LinkState.STREAMING) -> Provenance:
    step = 1 if motion is MotionState.PLAYING else None
    return Provenance(None, None, 0, step, None, None, link, motion)


def run(stats: LoopStats, motions: list[MotionState]) -> None:
    for tick, motion in enumerate(motions):
        stats.note_tick(tick * TICK_NS, 0, 0)
        is_commanded = motion in (MotionState.PLAYING, MotionState.FALLBACK)
        stats.note_command(tick * TICK_NS, provenance(motion), is_commanded=is_commanded)


def test_time_is_put_down_to_states_and_the_longest_gap_is_found() -> None:
    stats = LoopStats()
    playing, fallback = MotionState.PLAYING, MotionState.FALLBACK
    run(stats, [MotionState.WAITING] * 5 + [playing] * 10 + [fallback] * 7 + [playing] * 3)
    summary = stats.summary(EndReason.FINISHED, "", limited={"velocity": 2}, camera_errors=1)
    assert summary.motion_s[playing] == pytest.approx(0.13)
    assert summary.starved_s == pytest.approx(0.07)
    assert summary.longest_gap_s == pytest.approx(0.08)
    assert summary.duration_s == pytest.approx(0.24)
    assert sum(summary.link_s.values()) == pytest.approx(0.24)
    assert (summary.plan_actions, summary.commands, summary.ticks) == (13, 20, 25)
    assert summary.limited == {"velocity": 2}
    assert summary.camera_errors == 1


def test_a_pause_is_no_gap() -> None:
    stats = LoopStats()
    run(stats, [MotionState.PLAYING] * 2 + [MotionState.PAUSED] * 50 + [MotionState.PLAYING])
    summary = stats.summary(EndReason.FINISHED, "", limited={}, camera_errors=0)
    assert summary.longest_gap_s == pytest.approx(0.01)


def test_a_loop_that_never_ticked_has_a_summary() -> None:
    summary = LoopStats().summary(EndReason.ROBOT_ERROR, "no", limited={}, camera_errors=0)
    assert (summary.ticks, summary.duration_s, summary.longest_gap_s) == (0, 0.0, 0.0)


def test_missed_ticks_and_lateness_are_counted() -> None:
    stats = LoopStats()
    stats.note_tick(0, 60 * NS_PER_MS, 15)
    summary = stats.summary(EndReason.FINISHED, "", limited={}, camera_errors=0)
    assert summary.missed == 15
    assert summary.lateness_ms["max"] == 60.0
