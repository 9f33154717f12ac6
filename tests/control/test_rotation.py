"""Orientations: conventions, the shortest way, and bounded turning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.rotation import (
    RotationGroup,
    RotationLimiter,
    angle_between,
    from_quaternion,
    rotation_groups,
    slerp,
    to_quaternion,
)
from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind, Limits
from vagus.types import ActionArray

TICK_S = 0.01
LIMITS = Limits(velocity=2.0, acceleration=10.0)


def features(rotation: str, count: int, limits: Limits = LIMITS) -> list[ActionFeature]:
    return [ActionFeature(f"r{i}", "rad", limits=limits, rotation=rotation) for i in range(count)]


def turned_by(left: ActionArray, right: ActionArray) -> float:
    """Return the angle between two unit quaternions, by their scalar product."""
    return 2.0 * math.acos(min(1.0, abs(float(left @ right))))


def quaternion(values: ActionArray, convention: str) -> ActionArray:
    result = to_quaternion(values, convention)
    assert result is not None
    return result


vectors = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3).map(np.array)


def test_groups_are_found_by_name_and_keep_the_order_of_their_features() -> None:
    actions = [*features("a:rotvec", 3), ActionFeature("x", "m"), *features("b:quat_xyzw", 4)]
    groups = rotation_groups(actions)
    assert [group.columns for group in groups] == [(0, 1, 2), (4, 5, 6, 7)]
    assert [(group.speed, group.acceleration) for group in groups] == [(2.0, 10.0)] * 2


def test_each_convention_has_its_count_of_numbers() -> None:
    for rotation, count in (("a:rotvec", 3), ("a:quat_xyzw", 4), ("a:quat_wxyz", 4)):
        (group,) = rotation_groups(features(rotation, count))
        assert len(group.columns) == count
        with pytest.raises(SpecError):
            rotation_groups(features(rotation, count + 1))


def test_groups_without_limits_are_unbounded() -> None:
    (group,) = rotation_groups(features("a:rotvec", 3, Limits()))
    assert group.speed > 1e100
    assert group.acceleration > 1e100


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (features("wrist:euler", 3), "'<name>:rotvec'"),
        (features("rotvec6", 3), "'<name>:rotvec'"),
        (features("wrist:rotvec", 2), "3 features"),
        (features("wrist:quat_xyzw", 3), "4 features"),
        (
            [ActionFeature(f"r{i}", "rad", ActionKind.DELTA, rotation="w:rotvec") for i in range(3)],
            "kind position",
        ),
        ([*features("w:rotvec", 2), *features("w:rotvec", 1, Limits())], "the same limits"),
        (features("w:rotvec", 3, Limits(lower=0.0)), "velocity and acceleration only"),
        (features("w:rotvec", 3, Limits(acceleration=1.0, jerk=1.0)), "velocity and acceleration only"),
    ],
)
def test_a_group_that_is_no_orientation_is_refused(actions: list[ActionFeature], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        rotation_groups(actions)


@given(vectors)
def test_a_rotation_vector_survives_the_way_to_a_quaternion_and_back(vector: ActionArray) -> None:
    back = from_quaternion(quaternion(vector, "rotvec"), "rotvec", vector)
    assert np.linalg.norm(back) <= math.pi
    if np.linalg.norm(vector) < math.pi:
        assert back == pytest.approx(vector, abs=1e-9)
    assert turned_by(quaternion(back, "rotvec"), quaternion(vector, "rotvec")) < 1e-6


def test_a_half_turn_is_written_as_it_was_last() -> None:
    half = np.array([0.0, math.pi, 0.0])
    assert from_quaternion(quaternion(half, "rotvec"), "rotvec", half) == pytest.approx(half)
    assert from_quaternion(quaternion(half, "rotvec"), "rotvec", -half) == pytest.approx(-half)


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).map(np.array))
def test_the_scalar_of_a_quaternion_comes_first_or_last(values: ActionArray) -> None:
    last, first = to_quaternion(values, "quat_xyzw"), to_quaternion(np.roll(values, 1), "quat_wxyz")
    assert (last is None) == (first is None)
    if last is not None and first is not None:
        assert first.tolist() == last.tolist()
        assert from_quaternion(last, "quat_wxyz", np.roll(values, 1)).tolist() == np.roll(last, 1).tolist()


def test_a_quaternion_is_written_with_the_sign_next_to_the_last_one() -> None:
    last = np.array([0.0, 0.0, 0.6, 0.8])
    assert from_quaternion(-last, "quat_xyzw", last) == pytest.approx(last)
    assert from_quaternion(last, "quat_xyzw", last) == pytest.approx(last)


@pytest.mark.parametrize("convention", ["quat_xyzw", "quat_wxyz"])
@pytest.mark.parametrize("norm", [0.0, 1e-3, 0.49, 2.01, 1e30, 1e200, math.inf, math.nan])
def test_a_quaternion_far_from_norm_one_names_no_orientation(convention: str, norm: float) -> None:
    assert to_quaternion(np.array([0.0, 0.0, 0.0, norm]), convention) is None


@pytest.mark.parametrize("angle", [26.0, 6283.0, 3.4e38, 1e308, math.inf, math.nan])
def test_a_rotation_vector_of_many_turns_names_no_orientation(angle: float) -> None:
    assert to_quaternion(np.array([angle, 0.0, 0.0]), "rotvec") is None
    assert to_quaternion(np.array([25.0, 0.0, 0.0]), "rotvec") is not None


@given(vectors, vectors, st.floats(0.0, 1.0))
def test_slerp_goes_the_shortest_way_at_an_even_pace(
    start: ActionArray, end: ActionArray, share: float
) -> None:
    first, last = quaternion(start, "rotvec"), quaternion(end, "rotvec")
    whole = turned_by(first, last)
    assert turned_by(first, slerp(first, last, share)) == pytest.approx(share * whole, abs=1e-6)


def walk(limiter: RotationLimiter, targets: list[ActionArray]) -> list[ActionArray]:
    return [limiter.step(target, is_braking=False).copy() for target in targets]


def limiter_of(
    convention: str = "rotvec", tick_s: float = TICK_S, acceleration: float = 10.0
) -> RotationLimiter:
    count = {"rotvec": 3, "quat_xyzw": 4}[convention]
    return RotationLimiter(RotationGroup("w", convention, tuple(range(count)), 2.0, acceleration), tick_s)


@settings(max_examples=40, deadline=None)
@given(st.lists(vectors, min_size=1, max_size=6), st.integers(1, 30))
def test_angular_speed_and_acceleration_hold_at_every_tick(targets: list[ActionArray], repeat: int) -> None:
    limiter = limiter_of()
    limiter.seed(np.zeros(3))
    speed_before = np.zeros(3)
    pose = quaternion(np.zeros(3), "rotvec")
    for target in [target for target in targets for _ in range(repeat)]:
        turned = quaternion(limiter.step(target, is_braking=False), "rotvec")
        assert turned_by(pose, turned) / TICK_S <= 2.0 + 1e-5
        speed = float(np.linalg.norm(limiter.angular_velocity))
        assert turned_by(pose, turned) / TICK_S == pytest.approx(speed, abs=1e-5)
        change = limiter.angular_velocity - speed_before
        assert np.linalg.norm(change) / TICK_S <= 10.0 * (1 + 1e-9) + 1e-9
        pose, speed_before = turned, limiter.angular_velocity


@settings(max_examples=40, deadline=None)
@given(vectors, vectors)
def test_a_standing_orientation_is_reached_and_not_overshot(start: ActionArray, goal: ActionArray) -> None:
    limiter = limiter_of()
    limiter.seed(start)
    wanted = quaternion(goal, "rotvec")
    left = turned_by(quaternion(start, "rotvec"), wanted)
    for _ in range(400):
        now = turned_by(quaternion(limiter.step(goal, is_braking=False), "rotvec"), wanted)
        assert now <= left + 1e-6
        assert left - now <= 2.0 * TICK_S + 1e-5  # also where it brakes
        left = now
    if np.linalg.norm(goal) <= math.pi:
        assert limiter.values.tolist() == goal.tolist()
    assert turned_by(quaternion(limiter.values, "rotvec"), wanted) < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(vectors, min_size=2, max_size=5),
    st.integers(1, 30),
    st.sampled_from([0.02, TICK_S, 1e-3]),
    st.sampled_from([10.0, 0.01]),
)
def test_a_plan_inside_the_limits_passes_bit_for_bit(
    targets: list[ActionArray], repeat: int, tick_s: float, acceleration: float
) -> None:
    first, second = (limiter_of(tick_s=tick_s, acceleration=acceleration) for _ in range(2))
    for limiter in (first, second):
        limiter.seed(targets[0])
    plan = walk(first, [target for target in targets[1:] for _ in range(repeat)])
    for planned in plan:
        assert second.step(planned, is_braking=False).tolist() == planned.tolist()
        assert second.limited_by is None


def test_braking_comes_to_a_stand_and_stays_bit_for_bit() -> None:
    limiter = limiter_of("quat_xyzw")
    limiter.seed(np.array([0.0, 0.0, 0.0, 1.0]))
    walk(limiter, [np.array([0.0, 0.0, 1.0, 0.0])] * 30)
    assert limiter.limited_by == "angular_velocity"
    for _ in range(30):
        limiter.step(np.zeros(4), is_braking=True)
        assert limiter.limited_by is None
    stand = limiter.values.tolist()
    assert limiter.step(np.zeros(4), is_braking=True).tolist() == stand


def test_a_target_that_names_no_orientation_is_limited_to_a_stand() -> None:
    limiter = limiter_of("quat_xyzw")
    limiter.seed(np.array([0.0, 0.0, 0.0, 1.0]))
    assert limiter.step(np.zeros(4), is_braking=False).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert limiter.limited_by == "rotation"


def test_an_orientation_that_nothing_measures_takes_its_first_target() -> None:
    limiter = limiter_of("quat_xyzw")
    limiter.seed(np.full(4, np.nan))
    assert not limiter.is_known
    assert np.isnan(limiter.step(np.zeros(4), is_braking=False)).all()
    assert limiter.limited_by is None
    assert np.isnan(limiter.step(np.array([0.0, 0.6, 0.0, 0.8]), is_braking=True)).all()
    assert not limiter.is_known
    target = np.array([0.0, 0.6, 0.0, 0.8])
    assert limiter.step(target, is_braking=False).tolist() == target.tolist()
    assert limiter.is_known


def test_a_gap_to_a_turning_target_is_closed() -> None:
    limiter = limiter_of()
    limiter.seed(np.zeros(3))
    plan = [np.array([0.4 + 0.005 * tick, 0.0, 0.0]) for tick in range(200)]
    assert walk(limiter, plan)[-1].tolist() == plan[-1].tolist()


def numbers_of(convention: str, targets: list[list[float]]) -> list[list[float]]:
    """Return what is commanded on the way through targets that turn as fast as they like."""
    group = RotationGroup("w", convention, tuple(range(len(targets[0]))), 1e9, 1e12)
    limiter = RotationLimiter(group, TICK_S)
    return [limiter.step(np.array(target), is_braking=False).tolist() for target in targets]


def test_one_orientation_has_one_writing_whatever_turns_the_policy_writes() -> None:
    turns = [[0.1 + turn * math.tau, 0.0, 0.0] for turn in (0, 1, -1, 2, 0)]
    for numbers in numbers_of("rotvec", turns):
        assert numbers == pytest.approx([0.1, 0.0, 0.0])


def test_a_quaternion_is_commanded_with_norm_one_and_without_a_change_of_sign() -> None:
    written = [[0.0, 0.0, 0.6, 0.8], [0.0, 0.0, -0.6, -0.8], [0.0, 0.0, 0.9, 1.2], [0.0, 0.0, -0.36, -0.48]]
    for numbers in numbers_of("quat_xyzw", written):
        assert numbers == pytest.approx([0.0, 0.0, 0.6, 0.8])


def test_where_it_stands_is_written_properly_too() -> None:
    limiter = limiter_of("quat_xyzw")
    limiter.seed(np.array([0.0, 0.0, 1.2, 1.6]))
    assert limiter.step(np.zeros(4), is_braking=True).tolist() == pytest.approx([0.0, 0.0, 0.6, 0.8])
    limiter = limiter_of()
    limiter.seed(np.array([0.0, 0.0, 6.0]))
    assert limiter.step(np.zeros(3), is_braking=True).tolist() == pytest.approx([0.0, 0.0, 6.0 - math.tau])


def test_a_measurement_that_is_no_orientation_leaves_it_where_it_was_sent() -> None:
    limiter = limiter_of("quat_xyzw")
    limiter.seed(np.array([0.0, 0.6, 0.0, 0.8]))
    limiter.seed(np.array([0.0, 0.0, 0.0, 1e-9]))
    assert limiter.values.tolist() == [0.0, 0.6, 0.0, 0.8]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["rotvec", "quat_xyzw", "quat_wxyz"]),
    st.lists(st.lists(st.one_of(st.floats(-4.0, 4.0), st.floats()), min_size=4, max_size=4), max_size=20),
    st.floats(1e-12, 1e12),
    st.floats(1e-12, 1e12),
)
def test_whatever_comes_the_numbers_are_an_orientation_as_it_is_written(
    convention: str, targets: list[list[float]], speed: float, acceleration: float
) -> None:
    size = 3 if convention == "rotvec" else 4
    limiter = RotationLimiter(
        RotationGroup("w", convention, (0, 1, 2, 3)[:size], speed, acceleration), TICK_S
    )
    limiter.seed(np.array([1.0, 0.0, 0.0, 0.0][:size]))
    last = limiter.values
    for target in targets:
        values = limiter.step(np.array(target[:size]), is_braking=False)
        norm = np.linalg.norm(values)
        assert norm <= math.pi + 1e-6 if convention == "rotvec" else abs(norm - 1.0) <= 1e-6
        assert convention == "rotvec" or float(values @ last) >= 0.0
        last = values.copy()


@given(vectors, vectors)
def test_the_angle_between_two_orientations_is_that_of_the_shortest_turn(
    left: ActionArray, right: ActionArray
) -> None:
    wanted = turned_by(quaternion(left, "rotvec"), quaternion(right, "rotvec"))
    assert angle_between(left, right, "rotvec") == pytest.approx(wanted, abs=1e-6)


def test_what_is_no_orientation_is_infinitely_far_from_every_other() -> None:
    unit, none = np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(4)
    assert angle_between(unit, -unit, "quat_xyzw") == pytest.approx(0.0)
    for left, right in ((unit, none), (none, unit), (none, none)):
        assert angle_between(left, right, "quat_xyzw") == math.inf


@pytest.mark.parametrize("angle", [1e-14, 1e-11, 9.9e-11, 1.1e-10, 1e-8, 1e-3])
def test_a_tiny_turn_is_neither_lost_nor_multiplied(angle: float) -> None:
    turn = np.array([0.0, angle, 0.0])
    half = quaternion(turn, "rotvec")
    assert half[1] == pytest.approx(0.5 * angle, rel=1e-6)
    for written in (half, -half):
        assert from_quaternion(written, "rotvec", turn)[1] == pytest.approx(angle, rel=1e-6)


def test_a_half_turn_is_written_on_the_side_of_the_last_one_however_small_that_was() -> None:
    half, last = np.array([0.0, math.pi, 0.0]), np.array([0.0, 0.01, 0.0])
    for side in (1.0, -1.0):
        assert from_quaternion(quaternion(half, "rotvec"), "rotvec", side * last) == pytest.approx(
            side * half
        )


@pytest.mark.parametrize(
    ("convention", "targets"),
    [
        ("rotvec", [[0.1, 0.2, 0.3], [math.pi, 0.0, 0.0], [math.pi - 1e-7, 0.0, 0.0]]),
        ("quat_xyzw", [[0.1, 0.2, 0.3, 0.9273618], [0.7, 0.1, 0.1, 0.7], [0.3, 0.2, 0.1, 0.9273618]]),
        ("quat_wxyz", [[0.1, 0.2, 0.3, 0.9273618], [0.3, 0.2, 0.1, 0.9273618]]),
    ],
)
def test_numbers_of_float32_that_are_written_well_pass_bit_for_bit(
    convention: str, targets: list[list[float]]
) -> None:
    exact = [
        np.array(target) / (1.0 if convention == "rotvec" else np.linalg.norm(target)) for target in targets
    ]
    plan = [target.astype(np.float32).astype(np.float64).tolist() for target in exact]
    assert numbers_of(convention, plan) == plan


@settings(max_examples=30, deadline=None)
@given(st.lists(vectors, min_size=1, max_size=3), vectors, vectors)
def test_seeded_it_stands_and_nothing_is_left_of_how_it_moved(
    before: list[ActionArray], start: ActionArray, goal: ActionArray
) -> None:
    moved, fresh = limiter_of(), limiter_of()
    moved.seed(np.zeros(3))
    walk(moved, [target for target in before for _ in range(20)])
    for limiter in (moved, fresh):
        limiter.seed(start)
    assert moved.angular_velocity.tolist() == [0.0, 0.0, 0.0]
    plan = [before[-1] + (3e-4 * tick, 0.0, 0.0) for tick in range(5)]
    plan += [slerp_to(start, goal, tick) for tick in range(20)]
    assert [values.tolist() for values in walk(moved, plan)] == [v.tolist() for v in walk(fresh, plan)]


def slerp_to(start: ActionArray, goal: ActionArray, tick: int) -> ActionArray:
    """Return a target on the way from `start` to `goal`, which is reached in 20 ticks."""
    turned = slerp(quaternion(start, "rotvec"), quaternion(goal, "rotvec"), tick / 20)
    return from_quaternion(turned, "rotvec", start)


def test_a_target_that_passes_is_not_limited_any_more() -> None:
    limiter = limiter_of()
    limiter.seed(np.zeros(3))
    goal = np.array([0.1, 0.0, 0.0])
    limiter.step(goal, is_braking=False)
    assert limiter.limited_by is not None
    walk(limiter, [goal] * 100)
    assert limiter.limited_by is None
