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


def angle_between(left: ActionArray, right: ActionArray) -> float:
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
    assert back == pytest.approx(vector, abs=1e-9)


def test_a_quaternion_is_written_with_the_sign_next_to_the_last_one() -> None:
    last = np.array([0.0, 0.0, 0.6, 0.8])
    assert from_quaternion(-last, "quat_xyzw", last) == pytest.approx(last)
    assert from_quaternion(last, "quat_xyzw", last) == pytest.approx(last)


def test_a_quaternion_of_no_length_names_no_orientation() -> None:
    assert to_quaternion(np.zeros(4), "quat_xyzw") is None


@given(vectors, vectors, st.floats(0.0, 1.0))
def test_slerp_goes_the_shortest_way_at_an_even_pace(
    start: ActionArray, end: ActionArray, share: float
) -> None:
    first, last = quaternion(start, "rotvec"), quaternion(end, "rotvec")
    whole = angle_between(first, last)
    assert angle_between(first, slerp(first, last, share)) == pytest.approx(share * whole, abs=1e-6)


def walk(limiter: RotationLimiter, targets: list[ActionArray]) -> list[ActionArray]:
    return [limiter.step(target, is_braking=False).copy() for target in targets]


def limiter_of(convention: str = "rotvec") -> RotationLimiter:
    count = {"rotvec": 3, "quat_xyzw": 4}[convention]
    return RotationLimiter(RotationGroup("w", convention, tuple(range(count)), 2.0, 10.0), TICK_S)


@settings(max_examples=40, deadline=None)
@given(st.lists(vectors, min_size=1, max_size=6), st.integers(1, 30))
def test_angular_speed_and_acceleration_hold_at_every_tick(targets: list[ActionArray], repeat: int) -> None:
    limiter = limiter_of()
    limiter.seed(np.zeros(3))
    speed_before = np.zeros(3)
    pose = quaternion(np.zeros(3), "rotvec")
    for target in [target for target in targets for _ in range(repeat)]:
        turned = quaternion(limiter.step(target, is_braking=False), "rotvec")
        assert angle_between(pose, turned) / TICK_S <= 2.0 + 1e-5
        change = limiter.angular_velocity - speed_before
        assert np.linalg.norm(change) / TICK_S <= 10.0 * (1 + 1e-9) + 1e-9
        pose, speed_before = turned, limiter.angular_velocity


@settings(max_examples=40, deadline=None)
@given(vectors, vectors)
def test_a_standing_orientation_is_reached_and_not_overshot(start: ActionArray, goal: ActionArray) -> None:
    limiter = limiter_of()
    limiter.seed(start)
    wanted = quaternion(goal, "rotvec")
    left = angle_between(quaternion(start, "rotvec"), wanted)
    for _ in range(400):
        now = angle_between(quaternion(limiter.step(goal, is_braking=False), "rotvec"), wanted)
        assert now <= left + 1e-6
        left = now
    assert limiter.values.tolist() == goal.tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(vectors, min_size=1, max_size=4), st.integers(1, 30))
def test_a_plan_inside_the_limits_passes_bit_for_bit(targets: list[ActionArray], repeat: int) -> None:
    first, second = limiter_of(), limiter_of()
    for limiter in (first, second):
        limiter.seed(np.zeros(3))
    plan = walk(first, [target for target in targets for _ in range(repeat)])
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
    assert limiter.step(np.zeros(4), is_braking=False).tolist() == [0.0] * 4
    target = np.array([0.0, 0.6, 0.0, 0.8])
    assert limiter.step(target, is_braking=False).tolist() == target.tolist()
    assert limiter.is_known


def test_a_gap_to_a_turning_target_is_closed() -> None:
    limiter = limiter_of()
    limiter.seed(np.zeros(3))
    plan = [np.array([0.4 + 0.005 * tick, 0.0, 0.0]) for tick in range(200)]
    assert walk(limiter, plan)[-1].tolist() == plan[-1].tolist()
