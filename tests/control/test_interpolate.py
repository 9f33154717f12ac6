"""Ticks between knots: exact at the knot, monotone, continuous."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.interpolate import Interpolator, hermite, monotone_slope
from vagus.edge.engine.playback import TickPhase
from vagus.specs import ActionFeature, ActionKind
from vagus.types import ActionArray

STEP_S = 1 / 30
KINDS = [ActionKind.POSITION, ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.BINARY]
ACTIONS = [ActionFeature(kind.value, "u", kind) for kind in KINDS]
values = st.floats(-10.0, 10.0)


def of(*kinds: ActionKind) -> Interpolator:
    interpolator = Interpolator([ActionFeature(kind.value, "u", kind) for kind in kinds])
    interpolator.seed(np.zeros(len(kinds)), np.zeros(len(kinds)))
    return interpolator


def play(
    interpolator: Interpolator, plan: list[ActionArray], ticks: int, following: bool = True
) -> list[ActionArray]:
    path = []
    for place, knot in enumerate(plan):
        after = plan[place + 1] if following and place + 1 < len(plan) else None
        for tick in range(ticks):
            begin, end = tick / ticks, (tick + 1) / ticks
            path.append(interpolator.advance(knot, after, begin=begin, end=end, step_s=STEP_S))
    return path


@given(st.lists(st.lists(values, min_size=4, max_size=4).map(np.array), min_size=1, max_size=6))
def test_with_one_tick_per_step_the_commands_are_the_plan_bit_for_bit(plan: list[ActionArray]) -> None:
    interpolator = Interpolator(ACTIONS)
    interpolator.seed(np.zeros(4), np.zeros(4))
    for command, knot in zip(play(interpolator, plan, 1), plan, strict=True):
        assert command.tolist() == knot.tolist()


@given(
    st.lists(st.lists(values, min_size=2, max_size=2).map(np.array), min_size=1, max_size=6),
    st.integers(2, 9),
)
def test_every_knot_is_hit_bit_for_bit_at_the_end_of_its_step(plan: list[ActionArray], ticks: int) -> None:
    path = play(of(ActionKind.POSITION, ActionKind.VELOCITY), plan, ticks)
    for knot, command in zip(plan, path[ticks - 1 :: ticks], strict=True):
        assert command.tolist() == knot.tolist()


@given(st.lists(values.map(lambda v: np.array([v])), min_size=1, max_size=6), st.integers(2, 9))
def test_between_two_knots_a_position_never_leaves_them_nor_turns_back(
    plan: list[ActionArray], ticks: int
) -> None:
    path = [0.0, *(float(command[0]) for command in play(of(ActionKind.POSITION), plan, ticks))]
    for place, knot in enumerate(plan):
        part = np.diff(path[place * ticks : (place + 1) * ticks + 1])
        side = np.sign(float(knot[0]) - path[place * ticks])
        assert (part * side >= -1e-9).all()


@given(values, values, values, values, st.floats(0.0, 1.0))
def test_the_cubic_stays_between_its_ends_whatever_the_slopes(
    start: float, stop: float, first: float, last: float, share: float
) -> None:
    ends = (np.array([start]), np.array([stop]))
    place, _ = hermite(*ends, np.array([first]), np.array([last]), share=share, duration_s=0.1)
    assert min(start, stop) <= place[0] <= max(start, stop)


def test_the_velocity_is_continuous_where_the_plan_is_smooth() -> None:
    plan = [np.array([np.sin(0.2 * step)]) for step in range(1, 30)]
    path = np.array([0.0, *(command[0] for command in play(of(ActionKind.POSITION), plan, 8))])
    speed = np.diff(path) * 8 / STEP_S
    assert np.abs(np.diff(speed))[8:-8].max() < 1.0  # of speeds up to 6


def test_a_merge_that_changes_later_knots_leaves_the_ticks_of_the_present_one_monotone() -> None:
    interpolator = of(ActionKind.POSITION)
    knot, before, after = np.array([1.0]), np.array([2.0]), np.array([-3.0])
    first = interpolator.advance(knot, before, begin=0.0, end=0.5, step_s=STEP_S)
    second = interpolator.advance(knot, after, begin=0.5, end=1.0, step_s=STEP_S)
    assert 0.0 < first[0] < second[0] == 1.0


def test_without_a_next_knot_a_position_arrives_at_a_stand() -> None:
    interpolator = of(ActionKind.POSITION)
    play(interpolator, [np.array([1.0])], 4, following=False)
    assert interpolator.velocity.tolist() == [0.0]


def test_a_velocity_runs_straight_to_its_knot() -> None:
    path = play(of(ActionKind.VELOCITY), [np.array([1.0])], 4)
    assert [command[0] for command in path] == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_the_shares_of_a_delta_make_up_the_delta() -> None:
    path = play(of(ActionKind.DELTA), [np.array([0.3]), np.array([-0.1])], 5)
    assert sum(command[0] for command in path[:5]) == pytest.approx(0.3)
    assert sum(command[0] for command in path[5:]) == pytest.approx(-0.1)


@pytest.mark.parametrize("kind", [ActionKind.BINARY, ActionKind.EFFORT])
def test_binaries_and_efforts_jump_to_their_knot(kind: ActionKind) -> None:
    assert [command[0] for command in play(of(kind), [np.array([1.0])], 3)] == [1.0] * 3


def test_a_rotation_goes_the_short_way_round() -> None:
    actions = [ActionFeature(f"r{i}", "rad", rotation="w:rotvec") for i in range(3)]
    interpolator = Interpolator(actions)
    interpolator.seed(np.array([0.0, 0.0, 3.0]), np.zeros(3))
    knot = np.array([0.0, 0.0, -3.0])  # 0.28 rad further on, across π
    half = interpolator.advance(knot, None, begin=0.0, end=0.5, step_s=STEP_S)
    assert half == pytest.approx([0.0, 0.0, np.pi])
    end = interpolator.advance(knot, None, begin=0.5, end=1.0, step_s=STEP_S)
    assert end.tolist() == knot.tolist()


def test_a_quaternion_that_names_no_orientation_is_left_to_the_limiter() -> None:
    actions = [ActionFeature(f"q{i}", "", rotation="w:quat_xyzw") for i in range(4)]
    interpolator = Interpolator(actions)
    interpolator.seed(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(4))
    command = interpolator.advance(np.zeros(4), None, begin=0.0, end=0.5, step_s=STEP_S)
    assert command.tolist() == [0.0] * 4


def test_a_step_of_no_length_is_a_jump() -> None:
    interpolator = of(ActionKind.POSITION)
    command = interpolator.advance(np.array([1.0]), None, begin=0.0, end=1.0, step_s=0.0)
    assert command.tolist() == [1.0]


def test_the_slope_at_a_turning_point_is_zero() -> None:
    slopes = monotone_slope(np.array([1.0, 1.0, 2.0]), np.array([-1.0, 0.0, 2.0]))
    assert slopes.tolist() == [0.0, 0.0, 2.0]


@given(
    values,
    st.floats(0.1, 10.0),
    st.booleans(),
    st.floats(0.0, 2.9),
    st.floats(0.0, 2.9),
    st.floats(0.01, 0.99),
)
def test_it_is_the_cubic_with_these_ends_and_slopes_and_its_derivative(
    start: float, way: float, is_up: bool, first: float, last: float, share: float
) -> None:
    stop, duration_s = start + (way if is_up else -way), 0.1
    mean = (stop - start) / duration_s
    at_ends = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 2, 3]], dtype=np.float64)
    wanted = np.linalg.solve(at_ends, [start, stop, first * mean * duration_s, last * mean * duration_s])
    place, speed = hermite(
        np.array([start]),
        np.array([stop]),
        np.array([first * mean]),
        np.array([last * mean]),
        share=share,
        duration_s=duration_s,
    )
    lowest, highest = min(start, stop), max(start, stop)
    assert place[0] == pytest.approx(np.clip(wanted @ share ** np.arange(4), lowest, highest), abs=1e-9)
    slope = wanted[1:] @ (np.arange(1, 4) * share ** np.arange(3)) / duration_s
    assert speed[0] == pytest.approx(slope, rel=1e-9, abs=1e-6)


def test_slopes_that_point_back_or_are_too_steep_are_cut() -> None:
    ends = (np.zeros(2), np.array([1.0, -1.0]))
    wild, cut = np.array([-5.0, 5.0]), np.zeros(2)
    steep, bound = np.array([400.0, -400.0]), np.array([30.0, -30.0])
    for given_, used in ((wild, cut), (steep, bound)):
        for slopes, same in (((given_, cut), (used, cut)), ((cut, given_), (cut, used))):
            got, wanted = (hermite(*ends, *pair, share=0.3, duration_s=0.1) for pair in (slopes, same))
            assert got[0].tolist() == wanted[0].tolist()
            assert got[1].tolist() == wanted[1].tolist()


@pytest.mark.parametrize("kind", [ActionKind.POSITION, ActionKind.VELOCITY])
def test_an_even_plan_is_followed_evenly_whatever_the_ratio_of_the_rates(kind: ActionKind) -> None:
    interpolator = Interpolator([ActionFeature("a", "u", kind)])
    interpolator.seed(np.zeros(1), np.full(1, 30.0))
    phase, step, path = TickPhase(step_rate_hz=30.0, tick_rate_hz=100.0), 1, []
    for _ in range(60):
        begin, end, is_done = phase.tick()
        knot, after = np.full(1, float(step)), np.full(1, step + 1.0)
        path.append(interpolator.advance(knot, after, begin=begin, end=end, step_s=1 / 30)[0])
        step += is_done
    assert path == pytest.approx([0.3 * (tick + 1) for tick in range(60)])
    assert interpolator.velocity[0] == pytest.approx(30.0 if kind is ActionKind.POSITION else 0.0)


@pytest.mark.parametrize("tick_hz", [30.0, 45.0, 100.0, 250.0])
def test_the_ticks_of_a_step_give_its_whole_delta(tick_hz: float) -> None:
    interpolator = of(ActionKind.DELTA)
    phase, sums = TickPhase(step_rate_hz=30.0, tick_rate_hz=tick_hz), [0.0]
    while len(sums) < 30:
        begin, end, is_done = phase.tick()
        sums[-1] += interpolator.advance(np.ones(1), None, begin=begin, end=end, step_s=STEP_S)[0]
        if is_done:
            sums.append(0.0)
    assert sums[:-1] == pytest.approx([1.0] * 29)


def test_where_nobody_knows_where_it_stands_only_that_begins_at_its_knot() -> None:
    interpolator = of(ActionKind.POSITION, ActionKind.POSITION)
    interpolator.seed(np.array([np.nan, 0.0]), np.zeros(2))
    first = interpolator.advance(np.array([2.0, 2.0]), None, begin=0.0, end=0.5, step_s=STEP_S)
    assert first.tolist() == [2.0, 1.0]


YAW = ActionFeature("yaw", "rad", continuous=True)
WRIST = [ActionFeature(f"r{i}", "rad", rotation="w:rotvec") for i in range(3)]
LIFT = ActionFeature("lift", "m")


def test_gaps_and_ways_go_the_short_way_round() -> None:
    interpolator = Interpolator([YAW, *WRIST, LIFT])
    left = np.array([3.0, 0.0, 0.0, 3.0, 1.0])
    right = np.array([-3.0, 0.0, 0.0, -3.0, 4.0])
    turn = 2 * np.pi - 6.0
    assert interpolator.gap(left, right) == pytest.approx([turn, turn, turn, turn, 3.0])
    way = interpolator.between(left, right, 0.25)
    assert (way[0] - left[0]) == pytest.approx(0.25 * turn)
    assert way[1:] == pytest.approx([0.0, 0.0, 3.0 + 0.25 * turn, 1.75])


def test_the_gap_to_what_nobody_knows_is_unknown() -> None:
    gap = Interpolator([*WRIST, LIFT]).gap(np.zeros(4), np.array([0.1, np.nan, 0.0, 1.0]))
    assert np.isnan(gap).tolist() == [False, True, False, False]
    assert gap[[0, 3]].tolist() == [0.1, 1.0]


def test_a_rotation_turns_as_far_as_its_tick_says() -> None:
    interpolator = Interpolator(WRIST)
    interpolator.seed(np.zeros(3), np.zeros(3))
    path = play(interpolator, [np.array([0.0, 0.8, 0.0])], 4)
    assert [place[1] for place in path] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_half_of_an_orientation_that_is_none_is_left_to_the_limiter() -> None:
    interpolator = Interpolator([ActionFeature(f"q{i}", "", rotation="w:quat_xyzw") for i in range(4)])
    unit = np.array([0.0, 0.0, 0.6, 0.8])
    interpolator.seed(np.zeros(4), np.zeros(4))
    assert interpolator.advance(unit, None, begin=0.0, end=0.5, step_s=STEP_S).tolist() == unit.tolist()


def test_the_slope_between_two_ways_is_their_harmonic_mean() -> None:
    slopes = monotone_slope(np.array([1.0, -1.0, 4.0]), np.array([3.0, -3.0, 4.0]))
    assert slopes.tolist() == [1.5, -1.5, 4.0]


@pytest.mark.parametrize(
    ("before", "after", "slope"), [(0.5, 0.5, 0.5), (0.1, 0.3, 0.15), (-0.1, -0.3, -0.15)]
)
def test_between_two_gentle_secants_the_slope_is_their_harmonic_mean(
    before: float, after: float, slope: float
) -> None:
    assert monotone_slope(np.array([before]), np.array([after]))[0] == pytest.approx(slope)
