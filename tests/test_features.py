"""One number of an action: who measures it, what bounds it, whether it holds things."""

from __future__ import annotations

import pytest

from vagus.features import (
    ActionFeature,
    ActionKind,
    Limits,
    grips,
    is_blind,
    lacking_bounds,
    resolved_feedback,
    told_bounds,
)


@pytest.mark.parametrize(
    "name",
    [
        *("gripper", "gripper.pos", "left_gripper.pos", "rightGripper", "robot0_gripper_qpos", "rgripper"),
        *("panda_finger_joint1", "rightFinger2", "thumb_cmc.pos", "jaw", "main_grippers", "kLeftHandIndex0"),
    ],
)
def test_a_name_says_that_it_grips(name: str) -> None:
    assert grips(ActionFeature(name, "rad"))


@pytest.mark.parametrize(
    "name",
    [
        *("gripper_x", "gripper.yaw", "gripper_rotate", "left_hand_wrist", "shoulder_pan.pos", "action.6"),
        *("string", "strike", "gripper_wrist_flex", "hand.z"),
    ],
)
def test_a_name_that_does_not_say_so_grips_nothing_unless_it_is_declared(name: str) -> None:
    assert not grips(ActionFeature(name, "rad"))
    assert grips(ActionFeature(name, "rad", is_gripper=True))


def test_what_is_declared_goes_before_the_name_and_only_a_position_grips() -> None:
    assert not grips(ActionFeature("gripper", "rad", is_gripper=False))
    assert not grips(ActionFeature("gripper", "rad/s", ActionKind.VELOCITY))


ALL = Limits(-1.0, 1.0, velocity=1.0)
SIDES = Limits(-1.0, 1.0)
SPEED = Limits(velocity=1.0)


@pytest.mark.parametrize(
    ("kind", "limits", "lacking"),
    [
        (ActionKind.POSITION, SIDES, ("velocity",)),
        (ActionKind.POSITION, SPEED, ()),
        (ActionKind.VELOCITY, Limits(lower=-1.0, acceleration=3.0), ("upper",)),
        (ActionKind.VELOCITY, SIDES, ()),
        (ActionKind.DELTA, SIDES, ()),
        (ActionKind.DELTA, SPEED, ()),
        (ActionKind.DELTA, Limits(), ("lower", "upper")),
        (ActionKind.EFFORT, SPEED, ("lower", "upper")),
        (ActionKind.EFFORT, ALL, ()),
        (ActionKind.BINARY, Limits(), ()),
    ],
)
def test_each_kind_has_bounds_without_which_it_may_jump(
    kind: ActionKind, limits: Limits, lacking: tuple[str, ...]
) -> None:
    feature = ActionFeature("a", "", kind, limits=limits)
    assert lacking_bounds(feature) == lacking
    if lacking:
        assert told_bounds(feature) == f"{' and '.join(lacking)} limit{'s' if len(lacking) > 1 else ''}"


def resolved(feature: ActionFeature) -> ActionFeature:
    return resolved_feedback((feature,), ("a", "b"))[0]


def test_a_state_feature_of_the_same_name_measures_an_action_unless_it_is_said_otherwise() -> None:
    assert resolved(ActionFeature("a", "rad")).feedback == "a"
    assert resolved(ActionFeature("a", "rad", feedback="b")).feedback == "b"
    assert resolved(ActionFeature("a", "rad", is_measured=False)).feedback is None
    assert is_blind(resolved(ActionFeature("c", "rad")))
    assert is_blind(resolved(ActionFeature("a", "rad", is_measured=False)))


def test_a_change_of_a_place_is_not_measured_by_the_place() -> None:
    assert not resolved(ActionFeature("a", "m", ActionKind.DELTA)).is_measured


def test_what_was_resolved_stays_so_under_other_names() -> None:
    once = resolved_feedback((ActionFeature("c", "rad"), ActionFeature("a", "rad")), ("a",))
    assert resolved_feedback(once, ("a", "c")) == once


def test_nobody_vouches_unless_it_is_said() -> None:
    feature = ActionFeature("a", "rad")
    assert not feature.vouch_unbounded
    assert not feature.vouch_unmeasured


def test_a_velocity_that_nothing_measures_is_driven_like_any_other() -> None:
    assert not is_blind(resolved(ActionFeature("v", "rad/s", ActionKind.VELOCITY, is_measured=False)))
    assert not is_blind(resolved(ActionFeature("v", "rad/s", ActionKind.VELOCITY)))
