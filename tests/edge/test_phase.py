from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.edge.phase import StepClock, TickPhase
from vagus.errors import ConfigError


def test_at_equal_rates_each_tick_is_a_whole_step() -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=30)
    assert [phase.tick() for _ in range(3)] == [(0.0, 1.0, True)] * 3


@pytest.mark.parametrize(("tick_hz", "ticks", "steps"), [(250, 25, 3), (100, 10, 3), (60, 2, 1)])
def test_the_phase_is_exact_over_any_number_of_steps(tick_hz: int, ticks: int, steps: int) -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=tick_hz)
    for _ in range(1000):
        assert sum(phase.tick()[2] for _ in range(ticks)) == steps


def test_a_step_begins_at_zero_and_ends_at_one() -> None:
    phase = TickPhase(step_rate_hz=30, tick_rate_hz=100)
    ticks = [phase.tick() for _ in range(10)]
    assert [tick[2] for tick in ticks] == [False, False, False, True, False, False, True, False, False, True]
    begins = [begin for begin, _, _ in ticks]
    ends = [end for _, end, _ in ticks]
    assert begins[0] == begins[4] == begins[7] == 0.0
    assert ends[3] == ends[6] == ends[9] == 1.0
    assert all(begin < end for begin, end in zip(begins, ends, strict=True))
    assert ends[4] == pytest.approx(0.5)  # what the step before left over is carried


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 500))
def test_steps_done_never_drift(step_hz: int, extra_hz: int, ticks: int) -> None:
    phase = TickPhase(step_rate_hz=step_hz, tick_rate_hz=step_hz + extra_hz)
    done = sum(phase.tick()[2] for _ in range(ticks))
    assert done == int(ticks * Fraction(step_hz, step_hz + extra_hz))


def test_a_robot_slower_than_the_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="10 Hz"):
        TickPhase(step_rate_hz=30, tick_rate_hz=10)


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
    clock.anchor(5, 1000)
    clock.anchor(99, 2000)  # one stands already
    tick_ns = NS_PER_S / 30
    for tick in range(200):
        for jitter in (-0.4, 0.0, 0.4):
            assert clock.due_step(1000 + round((tick + jitter) * tick_ns)) == 5 + tick
    clock.restart()
    assert clock.due_step(1000) is None
