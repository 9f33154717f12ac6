"""Axes keep their bounds at every tick, can always stop, and leave a plan within the bounds alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.axis_limiter import UNBOUNDED, AxisBounds, AxisLimiter, Reason, brake_speed
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
        bounds = (self.lower, self.upper, self.speed, self.acceleration, self.jerk)
        return AxisLimiter(AxisBounds(*(np.array([part]) for part in bounds)), self.tick_s)

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

    def told(target: float) -> list[int]:
        limiter = axis.limiter()
        limiter.seed(np.zeros(1))
        walk(limiter, [target])
        return reasons(limiter)

    assert told(0.0005) == []
    assert told(2.0) == [Reason.VALUE, Reason.SPEED]
    assert told(0.5) == [Reason.SPEED]
    assert told(0.005) == [Reason.ACCELERATION]


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


MIXED = (
    Axis(-1.0, 1.5, 1.0, 10.0, UNBOUNDED, 0.01),
    Axis(-1.0, 1.5, 1.0, 10.0, 100.0, 0.01),
    Axis(-2.0, 2.0, 3.0, 20.0, 400.0, 0.01),
    Axis(-UNBOUNDED, UNBOUNDED, 2.0, UNBOUNDED, UNBOUNDED, 0.01),
)
NOWHERE = float("nan")


def reasons(limiter: AxisLimiter) -> list[int]:
    return [int(row) for row in np.flatnonzero(limiter.limited[:, 0])]


def limiter_of(axes: Sequence[Axis]) -> AxisLimiter:
    columns = zip(*[(a.lower, a.upper, a.speed, a.acceleration, a.jerk) for a in axes], strict=True)
    return AxisLimiter(AxisBounds(*(np.array(column) for column in columns)), axes[0].tick_s)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.just(NOWHERE), starts), min_size=4, max_size=4),
    st.lists(
        st.tuples(
            st.lists(st.floats(-3.0, 3.0), min_size=4, max_size=4),
            st.lists(st.booleans(), min_size=4, max_size=4),
            st.integers(1, 10),
        ),
        min_size=1,
        max_size=10,
    ),
)
def test_axes_move_together_as_each_of_them_moves_alone(
    start: list[float], walks: list[tuple[list[float], list[bool], int]]
) -> None:
    """With a jerk bound or without, known or not, braking or not."""
    together, alone = limiter_of(MIXED), [axis.limiter() for axis in MIXED]
    together.seed(np.array(start))
    for limiter, place in zip(alone, start, strict=True):
        limiter.seed(np.array([place]))
    for target, is_braking, repeat in walks:
        for _ in range(repeat):
            moved = together.step(np.array(target), np.array(is_braking)).tolist()
            single = [
                float(limiter.step(np.array([goal]), np.array([brakes]))[0])
                for limiter, goal, brakes in zip(alone, target, is_braking, strict=True)
            ]
            np.testing.assert_array_equal(moved, single)
            reasons = np.hstack([limiter.limited for limiter in alone])
            np.testing.assert_array_equal(together.limited, reasons)
            np.testing.assert_array_equal(together.gap, np.hstack([limiter.gap for limiter in alone]))


def test_an_unknown_axis_that_was_to_brake_takes_its_first_target_and_stands() -> None:
    for axis in MIXED:
        limiter = axis.limiter()
        for _ in range(3):
            assert np.isnan(limiter.step(np.array([0.3]), BRAKE)).all()
        assert limiter.step(np.array([0.3]), GO).tolist() == [0.3]
        assert limiter.velocity.tolist() == [0.0]
        assert limiter.step(np.array([0.3]), GO).tolist() == [0.3]
        assert not limiter.limited.any()


@pytest.mark.parametrize("start", [1e6, -1e6])
def test_far_from_zero_a_plan_at_full_speed_passes_bit_for_bit(start: float) -> None:
    """Where the difference of two commands is only known to 1e-10."""
    first, second = (Axis(-1e7, 1e7, 1.0, 10.0, UNBOUNDED, 0.01).limiter() for _ in range(2))
    for limiter in (first, second):
        limiter.seed(np.array([start]))
    plan = walk(first, [start + 3.0, start - 3.0, start + 2.0], 150)
    for planned in plan:
        assert second.step(np.array([planned]), GO)[0] == planned
        assert not second.limited.any()


def test_a_tiny_bound_is_kept_like_any_other() -> None:
    axis = Axis(-1.0, 1.0, 1e-14, 1.0, UNBOUNDED, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    assert limiter.step(np.array([5e-15]), GO)[0] <= 1e-14 * axis.tick_s * (1 + 1e-9)


@pytest.mark.parametrize("speed", [2.0, 4.0, 8.0])
def test_before_a_far_target_braking_leaves_room_to_steer_in(speed: float) -> None:
    """Nine tenths of the acceleration, four tenths of the jerk where it fades out; and no way beyond it."""
    axis = Axis(-10.0, 10.0, speed, 10.0, 100.0, 0.001)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    path = [0.0, *walk(limiter, [5.0], 4000)]
    _, acceleration, jerk = derivatives(axis, path)
    lowest = int(np.argmin(acceleration))
    assert float(acceleration[lowest]) == pytest.approx(-9.0, rel=0.01)
    assert float(np.max(acceleration)) == pytest.approx(10.0, rel=1e-6)  # with which it sets off
    fading = jerk[-4000:][np.array(path[1:]) > 5.0 - 0.06]
    assert 0.35 * 100.0 < float(np.median(fading[fading > 1.0])) < 0.45 * 100.0
    assert max(path) <= 5.0 + 1e-9


@settings(max_examples=30, deadline=None)
@given(axes, starts, targets, st.integers(1, 10))
def test_an_axis_moves_one_way_as_it_moves_the_other(
    axis: Axis, start: float, targets: list[float], repeat: int
) -> None:
    mirrored = replace(axis, lower=-axis.upper, upper=-axis.lower)
    one, other = axis.limiter(), mirrored.limiter()
    one.seed(np.array([start]))
    other.seed(np.array([-start]))
    back = walk(other, [-target for target in targets], repeat)
    assert walk(one, targets, repeat) == [-place for place in back]


@pytest.mark.parametrize("start", [1e6, -1e6])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_far_from_zero_what_somebody_else_planned_at_full_speed_passes_bit_for_bit(
    start: float, side: float
) -> None:
    limiter = Axis(-1e7, 1e7, 0.7, UNBOUNDED, UNBOUNDED, 0.01).limiter()
    limiter.seed(np.array([start]))
    for tick in range(1, 300):
        planned = start + side * 0.7 * 0.01 * tick
        assert limiter.step(np.array([planned]), GO)[0] == planned
        assert not limiter.limited.any()


def test_there_is_a_row_for_each_reason() -> None:
    limiter = MIXED[0].limiter()
    limiter.seed(np.zeros(1))
    limiter.step(np.array([2.0]), GO)
    assert limiter.limited.shape == (4, 1)


def test_at_its_bound_an_axis_is_off_a_target_beyond_and_off_none_when_it_brakes() -> None:
    limiter = MIXED[0].limiter()
    limiter.seed(np.array([1.5]))
    limiter.step(np.array([1.5]), GO)
    assert reasons(limiter) == []
    assert limiter.gap.tolist() == [0.0]
    limiter.step(np.array([2.5]), GO)
    assert reasons(limiter) == [Reason.VALUE]
    assert limiter.gap.tolist() == [1.0]
    limiter.step(np.array([-1.0]), BRAKE)
    assert reasons(limiter) == []
    assert limiter.gap.tolist() == [0.0]


@pytest.mark.parametrize(
    ("axis", "target", "told"),
    [
        (MIXED[0], 1.5, [Reason.SPEED]),  # a target at a bound is inside
        (MIXED[0], -1.0, [Reason.SPEED]),
        (MIXED[0], 0.01, [Reason.ACCELERATION]),  # as fast as it may
        (MIXED[1], 0.001, [Reason.JERK]),  # as fast a change as it may
    ],
)
def test_what_is_just_allowed_is_not_named(axis: Axis, target: float, told: list[int]) -> None:
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    limiter.step(np.array([target]), GO)
    assert reasons(limiter) == told


def test_jerk_is_named_on_the_move_too() -> None:
    limiter = MIXED[1].limiter()
    limiter.seed(np.zeros(1))
    walk(limiter, [0.005 * tick for tick in range(200)])
    assert reasons(limiter) == []
    limiter.step(np.array([1.0005]), GO)
    assert reasons(limiter) == [Reason.JERK]


def test_room_to_brake_before_a_bound_is_named_as_acceleration() -> None:
    limiter = Axis(-9.0, 0.5, 2.0, 10.0, UNBOUNDED, 0.01).limiter()
    limiter.seed(np.zeros(1))
    walk(limiter, [0.3], 20)
    told = set()
    for _ in range(60):
        limiter.step(np.array([0.5]), GO)
        told.update(reasons(limiter))
    assert told == {Reason.ACCELERATION, Reason.SPEED}


@pytest.mark.parametrize("axis", [MIXED[0], MIXED[1]])
def test_after_braking_it_stays_where_it_stands(axis: Axis) -> None:
    limiter = axis.limiter()
    limiter.seed(np.array([-1.0]))
    walk(limiter, [-1.0 + 0.005 * tick for tick in range(200)])
    assert limiter.velocity[0] == pytest.approx(0.5)
    for _ in range(100):
        limiter.step(np.zeros(1), BRAKE)
    place = float(limiter.position[0])
    assert walk(limiter, [place], 20) == [place] * 20


def test_a_target_that_stops_right_ahead_slows_it_down() -> None:
    limiter = MIXED[0].limiter()
    limiter.seed(np.array([-0.5]))
    walk(limiter, [-0.5 + 0.005 * tick for tick in range(200)])
    place = float(limiter.position[0])
    limiter.step(np.array([place + 0.0005]), GO)
    assert limiter.velocity[0] == pytest.approx(0.4)


def test_braking_keeps_the_jerk_bound_and_does_not_swing_back() -> None:
    axis = Axis(-9.0, 9.0, 2.0, 10.0, 100.0, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    path = [0.0, *walk(limiter, [8.0], 100)]
    assert limiter.velocity[0] == pytest.approx(2.0)
    path += [float(limiter.step(np.zeros(1), BRAKE)[0]) for _ in range(60)]
    speed, _, jerk = derivatives(axis, path)
    assert np.abs(jerk).max() <= 100.0 * (1 + 1e-6)
    assert (speed >= 0.0).all()
    stopping_s = 2.0 / 10.0 + 10.0 / 100.0  # the ramps of the acceleration included
    assert np.count_nonzero(speed[-60:] > 1e-9) * axis.tick_s == pytest.approx(stopping_s, abs=0.03)


def test_with_a_jerk_bound_full_speed_is_reached_as_soon_as_that_allows() -> None:
    axis = Axis(-90.0, 90.0, 2.0, 10.0, 100.0, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    path = [0.0, *walk(limiter, [80.0], 100)]
    speed, _, jerk = derivatives(axis, path)
    assert np.abs(jerk).max() <= 100.0 * (1 + 1e-6)
    assert np.count_nonzero(speed < 2.0 - 1e-9) * axis.tick_s == pytest.approx(0.3 + 0.03, abs=0.03)


def test_with_a_jerk_bound_a_moving_target_is_met_without_swinging() -> None:
    axis = Axis(-90.0, 90.0, 2.0, 10.0, 100.0, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    plan = [1.0 + 0.005 * tick for tick in range(400)]
    path = walk(limiter, plan)
    assert path[-1] == pytest.approx(plan[-1], abs=1e-3)
    assert max(place - goal for place, goal in zip(path, plan, strict=True)) <= 1e-3
    _, _, jerk = derivatives(axis, [0.0, *path])
    assert np.abs(jerk).max() <= 100.0 * (1 + 1e-6)
    met = next(at for at, (place, goal) in enumerate(zip(path, plan, strict=True)) if goal - place < 1e-2)
    assert met < 150


@pytest.mark.parametrize(("side", "upper", "lower"), [(1.0, 0.5, -9.0), (-1.0, 9.0, -0.5)])
def test_a_plan_driven_into_a_bound_is_braked_before_it(side: float, upper: float, lower: float) -> None:
    """Also one that follows its own speed up to the bound, and one that turns round at it."""
    axis = Axis(lower, upper, 2.0, 10.0, UNBOUNDED, 0.01)
    limiter = axis.limiter()
    limiter.seed(np.zeros(1))
    goals = [side * min(0.01 * tick, 3.0) for tick in range(150)]
    path = [0.0, *walk(limiter, goals), *walk(limiter, [side * 3.0, 0.0] * 30)]
    assert_bounded(axis, path)
