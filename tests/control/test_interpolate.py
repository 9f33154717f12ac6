"""Ticks between knots: exact at the knot, monotone, continuous."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.interpolate import Interpolator, hermite, monotone_slope
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
