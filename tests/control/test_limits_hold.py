"""Whatever admitted limits, seeds and targets come: finite, bounded, and always able to stop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.axis_limiter import UNBOUNDED
from vagus.control.limits import Limiter
from vagus.specs import ActionFeature, ActionKind, Limits

EPS = float(np.finfo(np.float64).eps)
GO, BRAKE = np.zeros(1, dtype=np.bool_), np.ones(1, dtype=np.bool_)

sizes = st.floats(-12.0, 12.0).map(lambda exponent: 10.0**exponent)
rates = st.one_of(st.none(), sizes, st.sampled_from([1e-12, 1e12]))
ticks = st.sampled_from([1e-4, 0.004, 0.01, 1 / 30, 1.0, 10.0, 100.0])
anything = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10.0, 10.0),
    st.sampled_from([0.0, -0.0, 5e-324, -1e-310, 3.4e38, -3.4e38, 1.7e308, -1.7e308]),
)
seeds = st.one_of(st.just(math.nan), anything)


@st.composite
def any_limits(draw: st.DrawFn) -> Limits:
    lower = draw(st.one_of(st.none(), st.floats(-1e12, 0.0), st.just(-1e12)))
    upper = draw(st.one_of(st.none(), sizes))
    if lower is not None and upper is not None and upper - lower < max(1e-12, 2e-6 * max(-lower, upper)):
        upper = None
    acceleration = draw(rates)
    return Limits(lower, upper, draw(rates), acceleration, draw(rates) if acceleration else None)


def limiter_of(limits: Limits, tick_s: float, kind: ActionKind = ActionKind.POSITION) -> Limiter:
    safe = 0.0 if kind is ActionKind.EFFORT else None
    return Limiter([ActionFeature("a", "u", kind, limits=limits, safe=safe)], tick_s=tick_s)


def kept(kind: ActionKind, limits: Limits) -> Limits:
    """Return those of `limits` that a kind has."""
    if kind is ActionKind.VELOCITY:
        return Limits(limits.lower, limits.upper, None, limits.acceleration, limits.jerk)
    if kind in (ActionKind.DELTA, ActionKind.EFFORT):
        return Limits(limits.lower, limits.upper, limits.velocity)
    return limits


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([ActionKind.POSITION, ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT]),
    any_limits(),
    ticks,
    seeds,
    st.lists(st.tuples(anything, st.booleans()), min_size=1, max_size=12),
)
def test_no_limits_that_are_admitted_make_anything_but_finite_numbers(
    kind: ActionKind, limits: Limits, tick_s: float, seed: float, targets: list[tuple[float, bool]]
) -> None:
    limits = kept(kind, limits)
    limiter = limiter_of(limits, tick_s, kind)
    limiter.seed(np.array([seed]))
    lower = -UNBOUNDED if limits.lower is None else limits.lower
    upper = UNBOUNDED if limits.upper is None else limits.upper
    started = limiter.is_known
    if started:
        lower, upper = min(lower, limiter.position[0]), max(upper, limiter.position[0])
    for target, brakes in targets:
        value = float(limiter.step(np.array([target]), is_braking=BRAKE if brakes else GO)[0])
        started = started or not brakes
        assert math.isfinite(value) or not started
        assert lower <= value <= upper or not started
        assert math.isfinite(float(limiter.velocity[0])) or not started


class Walk:
    """A position axis, and what it did, checked at every tick."""

    def __init__(self, limits: Limits, tick_s: float, start: float) -> None:
        self.limits, self.tick_s, self.place = limits, tick_s, start
        self.limiter = limiter_of(limits, tick_s)
        self.limiter.seed(np.array([start]))
        self.speed = 0.0

    def go(self, target: float, *, is_braking: bool = False) -> float:
        brakes = BRAKE if is_braking else GO
        place = float(self.limiter.step(np.array([target]), is_braking=brakes)[0])
        speed = (place - self.place) / self.tick_s
        acceleration = (speed - self.speed) / self.tick_s
        grain = 16.0 * EPS * (abs(place) + abs(self.place)) / self.tick_s
        limits = self.limits
        assert limits.lower is None or place >= limits.lower
        assert limits.upper is None or place <= limits.upper
        assert limits.velocity is None or abs(speed) <= limits.velocity * (1 + 1e-9) + grain
        if limits.acceleration is not None:
            assert abs(acceleration) <= limits.acceleration * (1 + 1e-6) + 2.0 * grain / self.tick_s
        self.place, self.speed = place, speed
        return place

    def assert_stoppable(self) -> None:
        """Brake as hard as allowed, by arithmetic of its own."""
        acceleration, limits = self.limits.acceleration, self.limits
        if acceleration is None:
            return
        place, speed = self.place, self.speed
        while speed:
            speed = math.copysign(max(abs(speed) - acceleration * self.tick_s, 0.0), speed)
            place += speed * self.tick_s
        slack = 1e-9 * (abs(place) + acceleration * self.tick_s**2) + 1e-12
        assert limits.lower is None or place >= limits.lower - slack
        assert limits.upper is None or place <= limits.upper + slack


scales = st.sampled_from([1e-3, 1.0, 57.0, 1e4])


@st.composite
def walks(draw: st.DrawFn) -> tuple[Walk, float]:
    """Return a position axis with some limits left out, and the scale of its numbers."""
    scale = draw(scales)
    some = st.one_of(st.none(), st.floats(0.05, 50.0).map(lambda rate: rate * scale))
    lower = draw(st.one_of(st.none(), st.floats(0.1, 1.0).map(lambda share: -share * scale)))
    upper = draw(st.one_of(st.none(), st.floats(0.1, 1.0).map(lambda share: share * scale)))
    acceleration = draw(st.floats(0.2, 100.0)) * scale
    jerk = draw(st.one_of(st.none(), st.floats(1.0, 3000.0).map(lambda rate: rate * scale)))
    limits = Limits(lower, upper, draw(some), acceleration, jerk)
    return Walk(limits, draw(st.sampled_from([0.004, 0.01, 1 / 30])), 0.0), scale


@settings(max_examples=150, deadline=None)
@given(walks(), st.lists(st.tuples(st.floats(-2.0, 2.0), st.integers(1, 30)), min_size=1, max_size=8))
def test_bounds_hold_and_a_stop_exists_whatever_the_targets_do(
    walk_and_scale: tuple[Walk, float], targets: list[tuple[float, int]]
) -> None:
    walk, scale = walk_and_scale
    for target, repeat in targets:
        for _ in range(repeat):
            walk.go(target * scale)
            walk.assert_stoppable()


@settings(max_examples=100, deadline=None)
@given(walks(), st.floats(0.05, 3.0), st.floats(0.2, 4.0))
def test_bounds_hold_and_a_stop_exists_behind_a_swinging_target(
    walk_and_scale: tuple[Walk, float], rate: float, reach: float
) -> None:
    walk, scale = walk_and_scale
    for tick in range(120):
        walk.go(reach * scale * math.sin(rate * tick))
        walk.assert_stoppable()


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("jerk", [None, 400.0])
def test_an_axis_running_towards_a_bound_brakes_in_time(side: float, jerk: float | None) -> None:
    """The target runs with it and beyond: only the distance to the bound says that it must brake."""
    for pace in (0.5, 1.0, 2.0, 4.0):
        walk = Walk(Limits(-1.0, 1.0, velocity=4.0, acceleration=5.0, jerk=jerk), 0.01, 0.0)
        fastest = 0.0
        for tick in range(600):
            walk.go(side * min(pace * tick * 0.01, 0.999 if tick < 100 else 5.0))
            walk.assert_stoppable()
            fastest = max(fastest, abs(walk.speed))
        assert fastest > 0.3
        assert walk.place == pytest.approx(side, abs=1e-6)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_target_that_jumps_ahead_again_and_again_never_drives_an_axis_past_its_brakes(side: float) -> None:
    walk = Walk(Limits(-1.0, 1.0, acceleration=2.0), 0.01, 0.0)
    for tick in range(1000):
        walk.go(side * (3.0 + 0.7 * tick))
        walk.assert_stoppable()
    assert walk.place == side
