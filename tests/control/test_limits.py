"""The limiter of a whole action: every kind, counted, and never a NaN."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.limits import Limiter, LongestLimited
from vagus.errors import PolicyError, SpecError
from vagus.specs import ActionFeature, ActionKind, Limits

TICK_S = 0.01


def limiter_of(*actions: ActionFeature, max_limited_s: float = 5.0) -> Limiter:
    return Limiter(actions, tick_s=TICK_S, max_limited_s=max_limited_s)


def step(limiter: Limiter, *target: float, share: float = 1.0, is_braking: bool = False) -> list[float]:
    braking = np.full(len(target), is_braking)
    command = limiter.step(np.array(target), is_braking=braking, share=share)
    return [float(value) for value in command]


POSITION = ActionFeature("p", "rad", limits=Limits(-1.0, 1.0, velocity=1.0, acceleration=10.0))
VELOCITY = ActionFeature("v", "rad/s", ActionKind.VELOCITY, limits=Limits(-1.0, 1.0, acceleration=5.0))
DELTA = ActionFeature("d", "m", ActionKind.DELTA, limits=Limits(-0.1, 0.1, velocity=4.0))
EFFORT = ActionFeature("e", "N", ActionKind.EFFORT, limits=Limits(-2.0, 2.0, velocity=50.0), safe=0.5)
BINARY = ActionFeature("b", "", ActionKind.BINARY)
ALL = (POSITION, VELOCITY, DELTA, EFFORT, BINARY)


def seeded(*actions: ActionFeature, max_limited_s: float = 5.0) -> Limiter:
    limiter = limiter_of(*actions, max_limited_s=max_limited_s)
    limiter.seed(np.zeros(len(actions)))
    return limiter


def test_a_velocity_is_bounded_in_value_and_in_acceleration() -> None:
    limiter = seeded(VELOCITY)
    assert step(limiter, 3.0) == [pytest.approx(0.05)]
    assert limiter.limited == {"velocity", "acceleration"}
    for _ in range(30):
        last = step(limiter, 3.0)
    assert last == [1.0]
    assert limiter.limited == {"velocity"}


def test_braking_a_velocity_ramps_it_to_zero() -> None:
    limiter = seeded(VELOCITY)
    for _ in range(20):
        step(limiter, 0.5)
    values = [step(limiter, 0.5, is_braking=True)[0] for _ in range(12)]
    assert values[0] == pytest.approx(0.45)
    assert values[-1] == 0.0


def test_a_delta_gets_at_most_the_ticks_share_of_its_bound() -> None:
    limiter = seeded(DELTA)
    assert step(limiter, 0.02, share=0.25) == [0.02]
    assert limiter.limited == frozenset()
    assert step(limiter, 0.05, share=0.25) == [0.025]
    assert limiter.limited == {"rate"}
    assert step(limiter, 0.03, share=0.25) == [0.025]
    assert limiter.limited == {"delta"}
    assert step(limiter, 0.2, share=3.0) == [pytest.approx(0.04)]
    assert limiter.limited == {"rate"}
    assert step(limiter, 0.02, is_braking=True) == [0.0]


def test_an_effort_is_bounded_in_value_and_rate() -> None:
    limiter = seeded(EFFORT)
    assert step(limiter, 5.0) == [0.5]
    assert limiter.limited == {"effort", "rate"}
    assert [step(limiter, 5.0)[0] for _ in range(5)][-1] == 2.0
    assert step(limiter, 0.0, is_braking=True) == [2.0]


def test_a_binary_stays_between_zero_and_one() -> None:
    limiter = seeded(BINARY)
    assert step(limiter, 1.5) == [1.0]
    assert limiter.limited == {"binary"}
    assert step(limiter, -2.0) == [0.0]
    assert step(limiter, 0.7) == [0.7]
    assert limiter.limited == frozenset()


def test_changed_commands_are_counted_by_name() -> None:
    limiter = seeded(POSITION, BINARY)
    step(limiter, 0.5, 2.0)
    step(limiter, 0.5, 1.0)
    assert limiter.counts == {"velocity": 2, "binary": 1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("column", range(5))
def test_a_target_that_is_not_finite_raises_and_changes_nothing(bad: float, column: int) -> None:
    limiter, twin = seeded(*ALL), seeded(*ALL)
    target = [0.3] * 5
    broken = list(target)
    broken[column] = bad
    for one in (limiter, twin):
        step(one, *target)
    with pytest.raises(PolicyError, match=ALL[column].name):
        step(limiter, *broken)
    assert step(limiter, *target) == step(twin, *target)
    assert limiter.counts == twin.counts


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5), min_size=1, max_size=20))
def test_whatever_finite_target_comes_the_command_is_finite_and_in_bounds(targets: list[list[float]]) -> None:
    limiter = seeded(*ALL)
    for target in targets:
        position, velocity, delta, effort, binary = step(limiter, *target)
        assert abs(position) <= 1.0
        assert abs(velocity) <= 1.0
        assert abs(delta) <= 0.1
        assert abs(effort) <= 2.0
        assert 0.0 <= binary <= 1.0


def test_limited_for_too_long_names_the_feature() -> None:
    limiter = seeded(POSITION, BINARY, max_limited_s=0.5)
    for _ in range(50):
        step(limiter, 5.0, 0.0)
        assert limiter.limited_too_long is None
    step(limiter, 5.0, 0.0)
    assert limiter.limited_too_long == "p"
    limiter.seed(np.zeros(2))
    assert limiter.limited_too_long is None


def test_an_interruption_of_the_limiting_begins_the_count_anew() -> None:
    limiter = seeded(POSITION, max_limited_s=0.5)
    for _ in range(3):
        for _ in range(40):
            step(limiter, 5.0)
        step(limiter, 0.0, is_braking=True)
        assert limiter.limited_too_long is None


def test_a_gripper_told_to_close_a_little_past_its_stop_is_counted_but_never_too_long() -> None:
    limiter = seeded(POSITION, max_limited_s=0.5)
    for _ in range(400):
        step(limiter, 1.09)
    assert limiter.counts["position"] > 200
    assert limiter.limited_too_long is None


def test_rotation_groups_are_limited_as_rotations_and_counted() -> None:
    limits = Limits(velocity=1.0, acceleration=10.0)
    wrist = [ActionFeature(f"w{i}", "rad", limits=limits, rotation="w:rotvec") for i in range(3)]
    limiter = limiter_of(wrist[0], POSITION, wrist[1], wrist[2], max_limited_s=0.05)
    limiter.seed(np.zeros(4))
    assert limiter.is_known
    turned = step(limiter, 0.0, 0.0, 0.0, 3.0)
    assert turned == pytest.approx([0.0, 0.0, 0.0, 10.0 * TICK_S**2])
    assert limiter.limited == {"angular_velocity"}
    assert not limiter.is_standing
    for _ in range(6):
        step(limiter, 0.0, 0.0, 0.0, 3.0)
    assert limiter.limited_too_long == "w0"
    while not limiter.is_standing:
        step(limiter, 0.0, 0.0, 0.0, 3.0, is_braking=True)
    assert limiter.limited == frozenset()
    assert limiter.limited_too_long is None


def test_only_rotations_are_a_robot_too() -> None:
    wrist = [ActionFeature(f"w{i}", "rad", rotation="w:rotvec") for i in range(3)]
    limiter = limiter_of(*wrist)
    assert not limiter.is_known
    limiter.seed(np.full(3, np.nan))
    assert step(limiter, 0.1, 0.2, 0.3) == [0.1, 0.2, 0.3]
    assert step(limiter, 1.1, -0.2, 0.3) == [1.1, -0.2, 0.3]


def test_standing_means_that_no_position_moved() -> None:
    limiter = seeded(POSITION, EFFORT)
    step(limiter, 0.0, 0.3)
    assert limiter.is_standing
    step(limiter, 0.3, 0.3)
    assert not limiter.is_standing
    assert limiter.velocity[0] > 0.0


def test_clip_bounds_values_only() -> None:
    assert seeded(POSITION).clip(np.array([7.0])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (ActionFeature("v", "m/s", ActionKind.VELOCITY, limits=Limits(0.1, 1.0)), "0 within"),
        (ActionFeature("d", "m", ActionKind.DELTA, limits=Limits(-1.0, -0.1)), "0 within"),
        (ActionFeature("e", "N", ActionKind.EFFORT, limits=Limits(-1.0, 1.0), safe=2.0), "safe value"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(feature: ActionFeature, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        limiter_of(feature)


def is_too_long_off(limits: Limits, targets: Iterable[float]) -> bool:
    """Say whether half a second of `targets` is too long, from a stand at 0."""
    limiter = seeded(ActionFeature("p", "rad", limits=limits), max_limited_s=0.3)
    for target in targets:
        step(limiter, target)
    return limiter.limited_too_long is not None


def test_off_its_target_for_long_is_more_than_a_twentieth_of_the_range() -> None:
    limits = Limits(-1.0, 1.0, velocity=50.0)
    assert not is_too_long_off(limits, [1.09] * 50)
    assert is_too_long_off(limits, [1.11] * 50)


def test_without_a_range_it_is_more_than_a_tenth_of_a_second_at_full_speed() -> None:
    assert not is_too_long_off(Limits(velocity=2.0), [0.16 + 2.0 * TICK_S * tick for tick in range(50)])
    assert is_too_long_off(Limits(velocity=2.0), [0.26 + 2.0 * TICK_S * tick for tick in range(50)])


def test_without_range_and_speed_every_tick_that_is_limited_counts() -> None:
    assert is_too_long_off(Limits(acceleration=1.0), [0.9] * 50)


def test_too_long_is_five_seconds_unless_said_otherwise() -> None:
    limiter = Limiter([POSITION], tick_s=TICK_S)
    limiter.seed(np.zeros(1))
    for _ in range(500):
        step(limiter, 5.0)
    assert limiter.limited_too_long is None
    step(limiter, 5.0)
    assert limiter.limited_too_long == "p"


def test_the_feature_limited_longest_is_named_with_its_limits_and_ticks() -> None:
    wrist = [
        ActionFeature(f"w{i}", "rad", limits=Limits(velocity=1.0), rotation="w:rotvec") for i in range(3)
    ]
    limiter = seeded(wrist[0], POSITION, wrist[1], wrist[2], VELOCITY)
    step(limiter, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert limiter.limited_longest is None
    step(limiter, 0.0, 5.0, 0.0, 0.0, 0.0)
    assert limiter.limited_longest == LongestLimited("p", "position and velocity", 1)
    step(limiter, 0.0, 5.0, 0.0, 3.0, 1.0)
    assert limiter.limited_longest == LongestLimited("p", "position and velocity", 2)
    for _ in range(3):
        step(limiter, 0.0, float(limiter.position[1]), 0.0, 3.0, float(limiter.position[4]))
    assert limiter.limited_longest == LongestLimited("w0", "angular_velocity", 4)


def test_a_single_feature_that_nobody_knows_or_that_moves_is_enough() -> None:
    limiter = limiter_of(POSITION, POSITION)
    limiter.seed(np.array([0.0, np.nan]))
    assert not limiter.is_known
    limiter.seed(np.zeros(2))
    assert limiter.is_known
    step(limiter, 0.0, 0.3)
    assert not limiter.is_standing


def test_a_seed_forgets_how_it_moved_and_what_limited_it() -> None:
    limiter = seeded(POSITION, VELOCITY)
    step(limiter, 5.0, 5.0)
    assert limiter.limited
    limiter.seed(np.array([0.2, 0.0]))
    assert limiter.limited == frozenset()
    assert limiter.velocity.tolist() == [0.0, 0.0]
    assert limiter.is_standing
    assert limiter.limited_longest is None


@given(st.floats(-1.0, 1.0), st.floats(0.001, 3.0))
def test_a_delta_never_exceeds_its_share_of_the_bound_on_its_side(target: float, share: float) -> None:
    feature = ActionFeature("d", "m", ActionKind.DELTA, limits=Limits(-0.1, 0.3))
    limiter = seeded(feature)
    (moved,) = step(limiter, target, share=share)
    low, high = -0.1 * min(share, 1.0), 0.3 * min(share, 1.0)
    assert moved == min(max(target, low), high)
    assert bool(limiter.limited) == (moved != target)
    assert limiter.velocity.tolist() == [0.0]


def test_a_delta_as_fast_as_its_rate_is_cut_by_its_bound() -> None:
    limiter = seeded(DELTA)
    step(limiter, 4.0 * TICK_S, share=0.25)
    assert limiter.limited == {"delta"}


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(0.0, 1.0), Limits(-1.0, 0.0), Limits(lower=-1.0), Limits(upper=1.0)]
)
@pytest.mark.parametrize("kind", [ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT])
def test_limits_that_let_it_stand_still_are_accepted(kind: ActionKind, limits: Limits) -> None:
    safe = 0.0 if kind is ActionKind.EFFORT else None
    assert step(seeded(ActionFeature("a", "", kind, limits=limits, safe=safe)), 0.0) == [0.0]


@pytest.mark.parametrize("safe", [-1.0, 1.0])
def test_a_safe_effort_may_lie_at_a_bound(safe: float) -> None:
    limiter = limiter_of(ActionFeature("e", "N", ActionKind.EFFORT, limits=Limits(-1.0, 1.0), safe=safe))
    assert step(limiter, safe) == [safe]


def test_a_delta_without_a_bound_below_is_not_pushed_up() -> None:
    limiter = seeded(ActionFeature("d", "m", ActionKind.DELTA, limits=Limits(upper=0.1)))
    assert step(limiter, -3.0) == [-3.0]
    assert step(limiter, 3.0) == [0.1]
