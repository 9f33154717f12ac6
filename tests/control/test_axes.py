"""Axes keep their bounds at every tick, can always stop, and leave a plan within the bounds alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.axes import UNBOUNDED, AxisBounds, AxisLimiter, Reason, brake_speed
from vagus.types import ActionArray

GO = np.array([False])
BRAKE = np.array([True])


@dataclass(frozen=True)
class Axis:
    lower: float
    upper: float
    speed: float
    acceleration: float
    jerk: float
    tick_s: float

    def limiter(self) -> AxisLimiter:
        parts = (self.lower, self.upper, self.speed, self.acceleration, self.jerk)
        return AxisLimiter(AxisBounds(*(np.array([part]) for part in parts)), self.tick_s)

    @property
    def rounding(self) -> float:
        return 1e-15 * max(abs(self.lower), abs(self.upper), 1.0)


def axis_of(
    tick_s: float, speed: float, acceleration_per_speed: float, jerk_per_acceleration: float | None
) -> Axis:
    acceleration = speed * acceleration_per_speed
    jerk = UNBOUNDED if jerk_per_acceleration is None else acceleration * jerk_per_acceleration
    return Axis(-1.0, 1.5, speed, acceleration, jerk, tick_s)


axes = st.builds(
    axis_of,
    st.sampled_from([0.004, 0.01, 1 / 30]),
    st.floats(0.3, 5.0),
    st.floats(3.0, 30.0),
    st.one_of(st.none(), st.floats(4.0, 50.0)),
)
targets = st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=40)
starts = st.floats(-1.0, 1.5)


def walk(limiter: AxisLimiter, targets: Sequence[float], repeat: int = 1) -> list[float]:
    return [float(limiter.step(np.array([target]), GO)[0]) for target in targets for _ in range(repeat)]


def derivatives(axis: Axis, positions: Sequence[float]) -> tuple[ActionArray, ActionArray, ActionArray]:
    """Return speed, acceleration and jerk of a sequence that began with a stand at its first position."""
    path = np.array([positions[0]] * 3 + list(positions))
    speed = np.diff(path) / axis.tick_s
    acceleration = np.diff(speed) / axis.tick_s
    return speed, acceleration, np.diff(acceleration) / axis.tick_s


def assert_bounded(axis: Axis, positions: Sequence[float]) -> None:
    speed, acceleration, _ = derivatives(axis, positions)
    step = 8 * axis.rounding / axis.tick_s
    assert min(positions) >= axis.lower
    assert max(positions) <= axis.upper
    assert np.abs(speed).max() <= axis.speed * (1 + 1e-9) + step
    assert np.abs(acceleration).max() <= axis.acceleration * (1 + 1e-9) + 4 * step / axis.tick_s


@settings(max_examples=30, deadline=None)
@given(axes, starts, targets, st.integers(1, 20))
def test_value_speed_and_acceleration_hold_at_every_tick(
    axis: Axis, start: float, targets: list[float], repeat: int
) -> None:
    limiter = axis.limiter()
    limiter.seed(np.array([start]))
    assert_bounded(axis, [start, *walk(limiter, targets, repeat)])


@settings(max_examples=30, deadline=None)
@given(axes, starts, targets, st.integers(1, 10))
def test_from_every_state_reached_there_is_a_stop_inside_the_bounds(
    axis: Axis, start: float, targets: list[float], repeat: int
) -> None:
    limiter = axis.limiter()
    limiter.seed(np.array([start]))
    walk(limiter, targets, repeat)
    position, speed = float(limiter.position[0]), float(limiter.velocity[0])
    change = axis.acceleration * axis.tick_s
    while speed:
        speed = np.sign(speed) * max(abs(speed) - change, 0.0)
        position += speed * axis.tick_s
        assert axis.lower - 1e-9 <= position <= axis.upper + 1e-9


@settings(max_examples=30, deadline=None)
@given(axes, starts, targets, st.integers(1, 10))
def test_braking_comes_to_a_stand_within_the_limits(
    axis: Axis, start: float, targets: list[float], repeat: int
) -> None:
    limiter = axis.limiter()
    limiter.seed(np.array([start]))
    path = [start, *walk(limiter, targets, repeat)]
    ramp_s = axis.acceleration / axis.jerk if axis.jerk < UNBOUNDED else 0.0
    ticks = int((2.0 * axis.speed / axis.acceleration + 8.0 * ramp_s) / axis.tick_s) + 40
    for _ in range(ticks):
        path.append(float(limiter.step(np.array([0.0]), BRAKE)[0]))
        assert not limiter.limited.any()
    assert_bounded(axis, path)
    assert path[-1] == path[-2]


@settings(max_examples=30, deadline=None)
@given(axes, starts, targets, st.integers(1, 20))
def test_a_plan_inside_the_limits_passes_bit_for_bit(
    axis: Axis, start: float, targets: list[float], repeat: int
) -> None:
    first, second = axis.limiter(), axis.limiter()
    for limiter in (first, second):
        limiter.seed(np.array([start]))
    plan = walk(first, targets, repeat)
    for planned in plan:
        assert second.step(np.array([planned]), GO)[0] == planned
        assert not second.limited.any()


@settings(max_examples=30, deadline=None)
@given(axes, starts, st.floats(-1.0, 1.5))
def test_a_standing_target_is_reached_and_not_overshot(axis: Axis, start: float, goal: float) -> None:
    limiter = axis.limiter()
    limiter.seed(np.array([start]))
    ramp_s = axis.acceleration / axis.jerk if axis.jerk < UNBOUNDED else 0.0
    seconds = abs(goal - start) / axis.speed + 3.0 * axis.speed / axis.acceleration + 8.0 * ramp_s
    path = walk(limiter, [goal] * (int(2.0 * seconds / axis.tick_s) + 60))
    # with a jerk bound the first tick of a small move cannot be taken back: one tick's worth of jerk
    grain = 2.0 * axis.jerk * axis.tick_s**3 if axis.jerk < UNBOUNDED else 1e-12
    side = 1.0 if goal >= start else -1.0
    assert max(side * (place - goal) for place in path) <= grain
    assert abs(path[-1] - goal) <= grain


@settings(max_examples=10, deadline=None)
@given(axes, st.lists(st.floats(-1.0, 1.5), min_size=1, max_size=5))
def test_moves_between_standing_targets_keep_the_jerk_bound(axis: Axis, goals: list[float]) -> None:
    if axis.jerk >= UNBOUNDED:
        return
    limiter = axis.limiter()
    limiter.seed(np.array([0.0]))
    seconds = 3.0 / axis.speed + 3.0 * axis.speed / axis.acceleration + 8.0 * axis.acceleration / axis.jerk
    path = [0.0, *walk(limiter, goals, int(seconds / axis.tick_s))]
    _, _, jerk = derivatives(axis, path)
    grain = 64 * axis.rounding / axis.tick_s**3
    assert np.abs(jerk).max() <= axis.jerk * (1 + 1e-6) + grain


@settings(max_examples=30, deadline=None)
@given(axes, st.floats(1.6, 4.0), st.booleans())
def test_a_robot_switched_on_outside_its_bounds_moves_inside_without_a_jump(
    axis: Axis, outside: float, is_above: bool
) -> None:
    start = outside if is_above else -outside
    limiter = axis.limiter()
    limiter.seed(np.array([start]))
    seconds = 6.0 / axis.speed + 4.0 * axis.speed / axis.acceleration
    if axis.jerk < UNBOUNDED:
        seconds += 10.0 * axis.acceleration / axis.jerk
    path = [start, *walk(limiter, [0.0], int(seconds / axis.tick_s) + 20)]
    speed, acceleration, _ = derivatives(axis, path)
    assert np.abs(speed).max() <= axis.speed * (1 + 1e-9)
    assert np.abs(acceleration).max() <= axis.acceleration * (1 + 1e-9) + 32e-15 / axis.tick_s**2
    assert max(abs(place) for place in path) <= abs(start)
    assert path[-1] == pytest.approx(0.0, abs=1e-3)


def test_each_bound_is_named_when_it_changes_a_value() -> None:
    axis = Axis(-1.0, 1.0, 1.0, 10.0, UNBOUNDED, 0.01)

    def reasons(target: float, ticks: int = 1) -> list[int]:
        limiter = axis.limiter()
        limiter.seed(np.zeros(1))
        walk(limiter, [target], ticks)
        return [int(row) for row in np.flatnonzero(limiter.limited[:, 0])]

    assert reasons(0.0005) == []
    assert reasons(2.0) == [Reason.VALUE, Reason.SPEED]
    assert reasons(0.5) == [Reason.SPEED]
    assert reasons(0.005) == [Reason.ACCELERATION]


def test_jerk_is_named_when_it_changes_a_value() -> None:
    limiter = Axis(-1.0, 1.0, 1.0, 10.0, 100.0, 0.01).limiter()
    limiter.seed(np.zeros(1))
    limiter.step(np.array([0.0005]), GO)
    assert np.flatnonzero(limiter.limited[:, 0]).tolist() == [Reason.JERK]


def test_an_axis_that_nothing_measures_takes_its_first_target_inside_the_bounds() -> None:
    limiter = Axis(-1.0, 1.0, 1.0, 10.0, UNBOUNDED, 0.01).limiter()
    limiter.seed(np.array([np.nan]))
    assert not limiter.is_known.any()
    assert limiter.step(np.array([3.0]), GO).tolist() == [1.0]
    assert limiter.is_known.all()
    limiter.seed(np.array([np.nan]))
    assert limiter.position.tolist() == [1.0]


def test_a_plan_too_fast_is_followed_at_full_speed() -> None:
    axis = Axis(-100.0, 100.0, 1.0, 10.0, UNBOUNDED, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    walk(limiter, [0.02 * tick for tick in range(200)])
    assert limiter.velocity[0] == pytest.approx(1.0)


def test_a_gap_to_a_moving_target_is_closed() -> None:
    axis = Axis(-100.0, 100.0, 1.0, 10.0, UNBOUNDED, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    plan = [0.3 + 0.005 * tick for tick in range(200)]
    assert walk(limiter, plan)[-1] == plan[-1]


@given(st.floats(0.0, 10.0), st.floats(0.01, 1.0), st.floats(0.001, 0.1))
def test_braking_from_the_brake_speed_ends_at_the_distance(
    distance: float, change: float, tick_s: float
) -> None:
    speed = float(brake_speed(np.array([distance]), np.array([change]), tick_s)[0])
    covered = 0.0
    while speed > 0.0:
        covered += speed * tick_s
        speed -= change
    assert covered == pytest.approx(distance, rel=1e-9, abs=1e-12)
