from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.edge.engine.playback import StepClock, TickPhase
from vagus.errors import ConfigError


def test_at_equal_rates_each_tick_is_a_whole_step() -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=30)
    assert [phase.tick() for _ in range(3)] == [(0.0, 1.0, True)] * 3


@pytest.mark.parametrize(("tick_hz", "ticks", "steps"), [(250, 25, 3), (100, 10, 3), (60, 2, 1)])
def test_the_phase_is_exact_over_any_number_of_steps(tick_hz: int, ticks: int, steps: int) -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=tick_hz)
    for _ in range(1000):
        assert sum(phase.tick()[2] for _ in range(ticks)) == steps


def test_a_tick_across_a_boundary_belongs_to_the_step_that_it_ends_in() -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=100)
    ticks = [phase.tick() for _ in range(10)]
    assert [begin for begin, _, _ in ticks] == [0.0, 0.3, 0.6, -0.1, 0.2, 0.5, -0.2, 0.1, 0.4, 0.7]
    assert [end for _, end, _ in ticks] == [0.3, 0.6, 0.9, 0.2, 0.5, 0.8, 0.1, 0.4, 0.7, 1.0]
    assert [is_done for _, _, is_done in ticks] == [*[False, False, True] * 2, *[False] * 3, True]
    assert phase.tick() == (0.0, 0.3, False)


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 500))
def test_all_ticks_are_equally_long_and_follow_each_other_without_a_gap(
    step_hz: int, extra_hz: int, ticks: int
) -> None:
    phase = TickPhase(step_rate_hz=step_hz, tick_rate_hz=step_hz + extra_hz)
    share = step_hz / (step_hz + extra_hz)
    step, before = 0, 0.0
    for _ in range(ticks):
        begin, end, is_done = phase.tick()
        assert end - begin == pytest.approx(share)
        assert step + begin == pytest.approx(before, abs=1e-6)
        assert -share < begin < end <= 1.0
        before = step + end
        step += is_done
    assert step == ceil((ticks + 1) * Fraction(step_hz, step_hz + extra_hz)) - 1


@pytest.mark.parametrize("tick_hz", [10, 29.9])
def test_a_robot_slower_than_the_policy_is_refused(tick_hz: float) -> None:
    with pytest.raises(ConfigError, match=f"{tick_hz:g} Hz"):
        TickPhase(step_rate_hz=30, tick_rate_hz=tick_hz)


def test_a_restart_begins_a_step() -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=100)
    phase.tick()
    phase.restart()
    assert phase.tick()[0] == 0.0


def test_no_step_is_due_before_the_clock_is_anchored() -> None:
    clock = StepClock(step_rate_hz=30, tick_rate_hz=30)
    assert clock.due_step(123) is None


def test_steps_fall_due_with_the_clock_whatever_the_jitter() -> None:
    clock = StepClock(step_rate_hz=30, tick_rate_hz=30)
    begin_ns = 10 * NS_PER_S
    clock.anchor(5, begin_ns)
    clock.anchor(99, begin_ns + 1000)  # one stands already
    tick_ns = NS_PER_S / 30
    for tick in range(200):
        for jitter in (-0.4, 0.0, 0.4):
            assert clock.due_step(begin_ns + round((tick + jitter) * tick_ns)) == 5 + tick
    clock.restart()
    assert clock.due_step(begin_ns) is None
