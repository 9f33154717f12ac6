"""Grippers and binaries go on from what they were told, as long as nobody has moved them."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.control.gripper_memory import GripperMemory
from vagus.features import ActionFeature, ActionKind, Limits

ARM = ActionFeature("arm", "rad", limits=Limits(-1.0, 1.0, velocity=1.0))
GRIPPER = ActionFeature("gripper", "", limits=Limits(0.0, 100.0, velocity=300.0))
OPEN_ENDED = ActionFeature("claw", "", limits=Limits(velocity=50.0))
UNBOUNDED = ActionFeature("claw", "")
SWITCH = ActionFeature("vacuum", "", ActionKind.BINARY)
NAN = float("nan")


def start_after(feature: ActionFeature, told: float, then: float, now: float) -> float:
    """Return where `feature` starts after a pause, its command and readings before and after given."""
    grip = GripperMemory([ARM, feature])
    grip.note(np.array([0.1, told]), np.array([0.2, then]))
    start = grip.start(np.array([0.3, now]), np.array([0.3, now]))
    assert start[0] == 0.3  # an arm starts from where it is
    return float(start[1])


@pytest.mark.parametrize(
    ("feature", "told", "then", "now", "start"),
    [
        (GRIPPER, 5.0, 35.0, 35.0, 5.0),
        (GRIPPER, 5.0, 35.0, 39.9, 5.0),
        (GRIPPER, 5.0, 35.0, 41.0, 41.0),
        (GRIPPER, 5.0, 35.0, 20.0, 20.0),
        (GRIPPER, 5.0, NAN, NAN, 5.0),
        (OPEN_ENDED, 5.0, 35.0, 39.9, 5.0),
        (OPEN_ENDED, 5.0, 35.0, 41.0, 41.0),
        (UNBOUNDED, 5.0, 35.0, 35.0, 5.0),
        (UNBOUNDED, 5.0, 35.0, 35.1, 35.1),
        (SWITCH, 1.0, 1.0, 1.0, 1.0),
        (SWITCH, 1.0, 0.37, 0.41, 1.0),
        (SWITCH, 1.0, 1.0, 0.2, 0.0),
        (SWITCH, 1.0, NAN, NAN, 1.0),
    ],
)
def test_what_was_told_stands_unless_somebody_has_moved_it(
    feature: ActionFeature, told: float, then: float, now: float, start: float
) -> None:
    assert start_after(feature, told, then, now) == start


def test_before_the_first_command_a_gripper_starts_where_it_is_and_a_binary_at_0_or_1() -> None:
    grip = GripperMemory([ARM, GRIPPER, SWITCH])
    measured = np.array([0.3, 35.0, 0.37])
    assert grip.start(measured, measured).tolist() == [0.3, 35.0, 0.0]


def test_an_arm_without_any_of_them_is_left_alone() -> None:
    grip = GripperMemory([ARM])
    grip.note(np.array([0.1]), np.array([0.2]))
    position = np.array([0.3])
    assert grip.start(position, position) is position
    assert not grip.is_kept.any()


@pytest.mark.parametrize(
    ("feature", "then", "now", "start"),
    [
        (GRIPPER, NAN, 35.0, 35.0),  # measured for the first time: nobody knows whether it was moved
        (ActionFeature("gripper", "", limits=Limits(-1.0, 1.0, velocity=1.0)), 0.0, 0.09, 5.0),
        (ActionFeature("gripper", "", limits=Limits(-1.0, 1.0, velocity=1.0)), 0.0, 0.11, 0.11),
        (ActionFeature("gripper", "", limits=Limits(lower=0.0, velocity=1.0)), 0.0, 0.09, 5.0),
        (ActionFeature("gripper", "", limits=Limits(upper=9.0, velocity=1.0)), 0.0, 0.11, 0.11),
    ],
)
def test_how_far_is_moved_follows_from_the_range_or_else_from_the_speed(
    feature: ActionFeature, then: float, now: float, start: float
) -> None:
    assert start_after(feature, 5.0, then, now) == start
