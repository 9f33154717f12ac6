"""How a plan is followed from tick to tick: smoothly, whatever the ratio of the rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.interpolate import Interpolator
from vagus.control.motion import Motion
from vagus.edge.engine.playback import TickPhase
from vagus.specs import ActionFeature, ActionKind, Limits
from vagus.types import ActionArray, Directive, LinkState, MotionState, Provenance

STEP_HZ = 30.0
SECONDS = 8
LIMITS = Limits(-2.5, 2.5, velocity=2.5, acceleration=15.0, jerk=400.0)
JOINT = ActionFeature("joint", "rad", feedback="joint", limits=LIMITS)
CAME = Provenance(1, 1, 0, 0, 0, 0, LinkState.STREAMING, MotionState.PLAYING)


@dataclass(frozen=True)
class Followed:
    """What was commanded, and in which ticks a limit changed it."""

    commands: ActionArray
    limited: list[frozenset[str]]
    motion: Motion
    tick_hz: float

    def after(self, seconds: float) -> int:
        return round(seconds * self.tick_hz)

    @property
    def peak_acceleration(self) -> float:
        settled = self.commands[self.after(2.0) :]
        return float(np.abs(np.diff(settled, 2)).max() * self.tick_hz**2)


def wave(noise: float) -> ActionArray:
    """Return a slow sine, at most 1.9 rad/s², with noise on every action."""
    steps = np.arange(round(STEP_HZ * SECONDS) + 2)
    return 0.3 * np.sin(steps / 12.0) + noise * np.random.default_rng(0).normal(size=steps.size)


def follow(knots: ActionArray, tick_hz: float, feature: ActionFeature = JOINT) -> Followed:
    motion = Motion([feature], ["joint"], tick_s=1 / tick_hz)
    phase = TickPhase(step_rate_hz=STEP_HZ, tick_rate_hz=tick_hz)
    state = np.array([knots[0]], np.float32)
    commands, limited, step = [], [], 0
    for _ in range(round(SECONDS * tick_hz)):
        begin, end, is_done = phase.tick()
        knot, next_knot = knots[step : step + 1], knots[step + 1 : step + 2]
        directive = Directive(
            MotionState.PLAYING, CAME, knot, next_knot, begin=begin, end=end, step_s=1 / STEP_HZ
        )
        command = motion.advance(directive, state)
        assert command.action is not None
        commands.append(float(command.action[0]))
        limited.append(command.limited)
        step += is_done
    return Followed(np.array(commands, np.float64), limited, motion, tick_hz)


def farthest_off(followed: Followed, knots: ActionArray) -> float:
    """Return the largest distance from the straight lines between knots, once the plan is met."""
    ticks = np.arange(followed.commands.size)
    wanted = np.interp((ticks + 1) * STEP_HZ / followed.tick_hz - 1, np.arange(knots.size), knots)
    return float(np.abs(followed.commands - wanted)[followed.after(2.0) :].max())


@pytest.mark.parametrize("tick_hz", [30.0, 50.0, 60.0, 100.0])
def test_a_smooth_plan_passes_untouched_once_it_is_met(tick_hz: float) -> None:
    followed = follow(wave(0.0), tick_hz)
    assert not any(followed.limited[followed.after(2.0) :])
    assert followed.peak_acceleration < 6.0


def test_where_ticks_are_short_limits_change_a_smooth_plan_a_little_and_nothing_swings() -> None:
    followed = follow(wave(0.0), 250.0)
    assert farthest_off(followed, wave(0.0)) < 0.004
    assert followed.peak_acceleration < 10.0


@pytest.mark.parametrize("tick_hz", [50.0, 100.0, 250.0])
@pytest.mark.parametrize("noise", [1e-3, 3e-3])
def test_a_plan_with_noise_does_not_make_the_robot_swing(tick_hz: float, noise: float) -> None:
    knots = wave(noise)
    followed = follow(knots, tick_hz)
    assert farthest_off(followed, knots) < 10 * noise + 0.015
    assert followed.motion.stop_reason is None


def test_a_plan_that_stays_out_of_reach_is_limited_for_too_long() -> None:
    assert follow(np.full(round(STEP_HZ * SECONDS) + 2, 3.0), 100.0).motion.stop_reason is not None


@given(st.sampled_from([30.0, 37.0, 50.0, 100.0, 240.0, 250.0, 1000.0]), st.integers(1, 40))
def test_the_ticks_of_each_step_give_the_whole_delta(tick_hz: float, steps: int) -> None:
    feature = ActionFeature("x", "m", kind=ActionKind.DELTA)
    interpolator = Interpolator([feature])
    interpolator.seed(np.zeros(1), np.zeros(1))
    phase = TickPhase(step_rate_hz=STEP_HZ, tick_rate_hz=tick_hz)
    for step in range(steps):
        knot, given, is_done = np.array([1.0 + step]), 0.0, False
        while not is_done:
            begin, end, is_done = phase.tick()
            given += float(interpolator.advance(knot, None, begin=begin, end=end, step_s=1 / STEP_HZ)[0])
        assert given == pytest.approx(1.0 + step)
