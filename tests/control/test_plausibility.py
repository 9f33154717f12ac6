"""How far a joint may have moved from one reading to the next, to the hundredth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vagus.clock import NS_PER_MS
from vagus.control.plausibility import Plausibility
from vagus.features import ActionFeature, ActionKind
from vagus.specs import Limits

RANGED = Limits(-1.0, 3.0, velocity=2.0)
"""May jump 0.2, a twentieth of its range, and move 6 a second when it may be three times as fast."""
FREE = Limits(velocity=2.0)
"""May jump 0.5, which is a quarter of a second at full speed."""


class Joints:
    """Joints that are read, in ms since the start, and sent."""

    def __init__(self, *limits: Limits, is_continuous: bool = False) -> None:
        self.names = [f"j{at}" for at in range(len(limits))]
        actions = [
            ActionFeature(name, "rad", feedback=name, limits=limit, continuous=is_continuous)
            for name, limit in zip(self.names, limits, strict=True)
        ]
        self.plausibility = Plausibility(actions, self.names, jump_factor=3.0)

    def read(self, ms: int, *values: float) -> Joints:
        self.plausibility.accept(np.array(values, np.float32), ms * NS_PER_MS)
        return self

    def send(self, *values: float) -> Joints:
        self.plausibility.commanded(np.array(values))
        return self

    def jumps(self, ms: int, *values: float) -> str:
        return self.plausibility.jump(np.array(values, np.float32), ms * NS_PER_MS)

    def may_be(self, ms: int, least: float, most: float) -> bool:
        """Say whether the only joint may be anywhere from `least` to `most`, but not 0.01 beyond."""
        inside = [self.jumps(ms, value) for value in (least + 0.01, most - 0.01)]
        beyond = [self.jumps(ms, value) for value in (least - 0.01, most + 0.01)]
        return not any(inside) and all(beyond)


@pytest.mark.parametrize(
    ("limits", "jump"),
    [
        (RANGED, 0.2),
        (FREE, 0.5),
        (Limits(lower=-9.0, velocity=2.0), 0.5),
        (Limits(upper=9.0, velocity=2.0), 0.5),
    ],
)
def test_a_joint_may_jump_a_little_and_move_at_a_multiple_of_its_speed(limits: Limits, jump: float) -> None:
    joint = Joints(limits).read(0, 1.0)
    assert joint.may_be(0, 1.0 - jump, 1.0 + jump)
    assert joint.may_be(100, 0.4 - jump, 1.6 + jump)
    assert joint.may_be(-100, 1.0 - jump, 1.0 + jump)  # time does not run backwards


def test_a_long_time_without_readings_is_half_a_second() -> None:
    joint = Joints(FREE).read(0, 1.0)
    assert joint.may_be(500, -2.5, 4.5)
    assert joint.may_be(60_000, -2.5, 4.5)


def test_nothing_is_compared_before_there_is_a_reading_and_after_it_is_forgotten() -> None:
    joint = Joints(RANGED)
    assert not joint.plausibility.has_reference
    assert joint.jumps(0, 99.0) == ""
    joint.read(0, 1.0).read(10, 1.0)
    assert joint.plausibility.has_reference
    assert joint.jumps(20, 99.0)
    joint.plausibility.forget()
    assert not joint.plausibility.has_reference
    assert joint.jumps(20, 99.0) == ""


def test_a_joint_may_be_anywhere_on_its_way_to_where_it_was_sent() -> None:
    assert Joints(RANGED).read(0, 1.0).send(2.0).may_be(0, 0.8, 2.2)
    assert Joints(RANGED).read(0, 1.0).send(0.0).may_be(0, -0.2, 1.2)
    assert Joints(RANGED).read(0, 1.0).send(2.0).send(0.0).send(1.0).may_be(0, -0.2, 2.2)
    assert Joints(RANGED).send(2.0).read(0, 1.0).may_be(0, 0.8, 2.2)
    assert Joints(RANGED).send(0.0).read(0, 1.0).may_be(0, -0.2, 1.2)


def test_where_it_was_sent_counts_until_its_reading_changes() -> None:
    joint = Joints(RANGED).read(0, 1.0).send(2.0).send(0.0).send(1.1)
    assert joint.read(0, 1.0).may_be(0, -0.2, 2.2)  # a driver that has no news yet
    assert joint.read(0, 1.05).may_be(0, 0.8, 1.3)  # from 1.0, the reading before, or from 1.05
    joint = Joints(RANGED).read(0, 1.0).send(1.9).read(0, 1.01)
    assert joint.read(0, 1.02).may_be(0, 0.81, 2.1)
    joint = Joints(RANGED).read(0, 1.0).send(0.1).read(0, 0.99)
    assert joint.read(0, 0.98).may_be(0, -0.1, 1.19)


def test_a_joint_that_nobody_drives_is_on_its_way_to_nowhere() -> None:
    joint = Joints(RANGED).read(0, 1.0).send(2.0)
    joint.plausibility.released()
    assert joint.read(0, 1.01).read(0, 1.02).may_be(0, 0.81, 1.22)


def test_the_last_reading_may_have_been_the_wrong_one_of_two() -> None:
    joint = Joints(RANGED).read(0, 0.0).read(10, 2.5)
    assert joint.jumps(10, 0.25) == ""  # 0.2, and 10 ms
    assert joint.jumps(10, -0.25) == ""
    for value in (0.27, -0.27):
        assert joint.jumps(10, value)
    assert joint.jumps(10, 2.4) == ""


def test_the_earlier_reading_goes_on_to_where_it_was_sent() -> None:
    joint = Joints(RANGED).send(0.8).read(0, 0.0).read(0, 2.9)
    assert joint.jumps(0, 0.98) == ""
    assert joint.jumps(0, -0.18) == ""
    assert joint.jumps(0, -0.22)
    joint = Joints(RANGED).send(-0.8).read(0, 0.0).read(0, -2.9)
    assert joint.jumps(0, -0.98) == ""
    assert joint.jumps(0, 0.18) == ""
    assert joint.jumps(0, 0.22)


def test_all_joints_go_on_from_the_same_earlier_reading() -> None:
    joints = Joints(RANGED, RANGED).read(0, 0.0, 0.0).read(0, 2.5, 0.0)
    assert joints.jumps(0, 0.0, 0.0) == ""
    assert joints.jumps(0, 0.0, 2.5)


def test_the_joint_that_went_furthest_beyond_what_it_may_is_named_with_both_values() -> None:
    joints = Joints(Limits(velocity=0.1), Limits(velocity=4.0), RANGED).read(0, 0.0, 0.5, 0.0)
    told = joints.jumps(40, 2.0, 3.0, 0.0)  # may have moved 0.037 and 1.48
    assert told == "j0 went from 0 to 2 within 40 ms, which it cannot have moved"
    assert joints.jumps(40, 2.0, 5.0, 0.0).startswith("j1 went from 0.5 to 5 ")


def test_an_angle_without_ends_goes_the_short_way_round() -> None:
    joint = Joints(FREE, is_continuous=True).read(0, 3.1)
    assert joint.jumps(0, -3.1) == ""
    assert joint.jumps(0, -2.0)


def test_what_is_no_position_and_what_has_no_speed_limit_may_jump_as_it_likes() -> None:
    assert Joints(Limits(-1.0, 1.0)).read(0, 0.0).send(0.1).jumps(10, 99.0) == ""
    wheel = ActionFeature("w", "m/s", ActionKind.VELOCITY, feedback="w", limits=FREE)
    wrist = [
        ActionFeature(f"r{at}", "rad", feedback=f"r{at}", limits=FREE, rotation="r:rotvec") for at in range(3)
    ]
    names = ["w", "r0", "r1", "r2"]
    free = Plausibility([wheel, *wrist], names, jump_factor=3.0)
    assert_free(free, names)
    assert_free(
        Plausibility([ActionFeature("w", "m", feedback="w", limits=FREE)], ["w"], jump_factor=0.0), ["w"]
    )


def assert_free(plausibility: Plausibility, names: Sequence[str]) -> None:
    assert not plausibility.has_reference
    plausibility.accept(np.zeros(len(names), np.float32), 0)
    assert plausibility.has_reference
    assert plausibility.jump(np.full(len(names), 50.0, np.float32), 1) == ""


def test_a_joint_is_found_by_the_name_of_its_feedback_wherever_that_stands() -> None:
    actions = [ActionFeature("free", "m"), ActionFeature("arm", "rad", feedback="arm.pos", limits=RANGED)]
    plausibility = Plausibility(actions, ["other", "more", "arm.pos"], jump_factor=3.0)
    plausibility.accept(np.zeros(3, np.float32), 0)
    plausibility.commanded(np.array([9.0, 1.0]))
    assert plausibility.jump(np.array([50.0, 50.0, 1.1], np.float32), 0) == ""
    assert plausibility.jump(np.array([0.0, 0.0, 1.3], np.float32), 0).startswith("arm went")


def test_a_short_time_is_short_whenever_it_is() -> None:
    joint = Joints(RANGED).read(100_000, 1.0)
    assert joint.may_be(100_010, 1.0 - 0.26, 1.0 + 0.26)


@pytest.mark.parametrize(("value", "is_far"), [(-13.0, False), (-13.5, True), (15.0, False), (15.5, True)])
def test_a_joint_may_stand_three_ranges_outside_its_bounds_and_no_further(value: float, is_far: bool) -> None:
    joint = Joints(RANGED).plausibility
    assert bool(joint.out_of_reach(np.array([value], np.float32))) == is_far


def test_the_joint_that_stands_where_it_cannot_is_named() -> None:
    joints = Joints(FREE, RANGED, RANGED).plausibility
    said = joints.out_of_reach(np.array([1e30, 0.0, 99.0], np.float32))
    assert said.startswith("j2 says that it stands at 99, outside its bounds by more than 3 times its range")


@pytest.mark.parametrize("limits", [FREE, Limits(lower=-1.0, velocity=2.0), Limits(upper=1.0, velocity=2.0)])
def test_a_joint_without_a_range_may_stand_anywhere(limits: Limits) -> None:
    joint = Joints(limits).plausibility
    for value in (-1e30, 0.0, 1e30):
        assert joint.out_of_reach(np.array([value], np.float32)) == ""


def test_what_has_no_speed_limit_is_not_asked_where_it_stands() -> None:
    plain = Plausibility([ActionFeature("a", "rad", feedback="a")], ["a"], jump_factor=3.0)
    assert plain.out_of_reach(np.array([1e30], np.float32)) == ""
