"""A fallback that could keep a robot moving is refused before anything is connected."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vagus.control.fallback import (
    FallbackMode,
    Fallbacks,
    WayBack,
    check_fallbacks,
    fallback_of,
    keeps_moving,
    rest_value,
    returns_to_start,
    shortest_s,
    smooth,
)
from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind, Limits, RobotSpec, StateFeature
from vagus.types import ActionArray

LARGE = 1e3
ALLOWED = {
    ActionKind.POSITION: {"auto", "hold", "repeat_last"},
    ActionKind.VELOCITY: {"auto", "zero"},
    ActionKind.DELTA: {"auto", "zero"},
    ActionKind.EFFORT: {"auto", "safe", "zero"},
    ActionKind.BINARY: {"auto", "hold", "repeat_last"},
}


@pytest.mark.parametrize("kind", ActionKind)
@pytest.mark.parametrize("mode", FallbackMode)
def test_each_kind_allows_only_what_brings_it_to_a_stand(kind: ActionKind, mode: FallbackMode) -> None:
    action = ActionFeature("a", "u", kind, safe=0.0 if kind is ActionKind.EFFORT else None)
    spec = RobotSpec("r", (action,), (), (), 100.0)
    fallbacks = Fallbacks(**{kind.value: mode})  # type: ignore[arg-type] # mypy takes it for `features`
    if mode.value in ALLOWED[kind]:
        check_fallbacks(spec, fallbacks)
    else:
        with pytest.raises(SpecError, match=f"{kind.value}.*got {mode.value}"):
            check_fallbacks(spec, fallbacks)


def test_a_choice_for_a_kind_that_the_robot_does_not_have_is_no_matter() -> None:
    spec = RobotSpec("r", (ActionFeature("a", "u"),), (), (), 100.0)
    check_fallbacks(spec, Fallbacks(velocity=FallbackMode.REPEAT_LAST))


ARM = ActionFeature("arm", "rad")
GRIPPER = ActionFeature("gripper.pos", "lerobot_norm")


@pytest.mark.parametrize(
    ("feature", "said", "mode"),
    [
        (ARM, Fallbacks(), "hold"),
        (GRIPPER, Fallbacks(), "repeat_last"),
        (replace(ARM, is_gripper=True), Fallbacks(), "repeat_last"),
        (replace(GRIPPER, is_gripper=False), Fallbacks(), "hold"),
        (ARM, Fallbacks(position=FallbackMode.REPEAT_LAST), "repeat_last"),
        (GRIPPER, Fallbacks(position=FallbackMode.HOLD), "hold"),
        (replace(GRIPPER, fallback=FallbackMode.HOLD), Fallbacks(), "hold"),
        (replace(GRIPPER, fallback=FallbackMode.HOLD), Fallbacks(position=FallbackMode.REPEAT_LAST), "hold"),
        (
            replace(ARM, fallback=FallbackMode.HOLD),
            Fallbacks(features={"arm": FallbackMode.REPEAT_LAST}),
            "repeat_last",
        ),
        (GRIPPER, Fallbacks(features={"gripper.pos": FallbackMode.AUTO}), "repeat_last"),
    ],
)
def test_what_is_said_of_one_action_goes_before_its_kind_and_that_before_what_is_usual(
    feature: ActionFeature, said: Fallbacks, mode: str
) -> None:
    assert fallback_of(feature, said).value == mode


def test_each_kind_has_a_usual_fallback_that_brings_it_to_a_stand() -> None:
    for kind in ActionKind:
        feature = ActionFeature("a", "", kind, safe=1.0 if kind is ActionKind.EFFORT else None)
        assert fallback_of(feature, Fallbacks()).value in ALLOWED[kind] - {"auto"}


def test_a_fallback_of_one_action_is_checked_like_those_of_kinds() -> None:
    spec = RobotSpec("r", (replace(ARM, fallback=FallbackMode.ZERO),), (), (), 100.0)
    with pytest.raises(SpecError, match=r"fallback of arm \(position\)"):
        check_fallbacks(spec, Fallbacks())
    with pytest.raises(SpecError, match=r"fallback.features: wanted names of actions \(\['arm'\]\)"):
        check_fallbacks(spec, Fallbacks(features={"elbow": FallbackMode.HOLD}))


def test_fallbacks_of_single_actions_follow_a_rename() -> None:
    said = Fallbacks(features={"gripper.pos": FallbackMode.HOLD, "arm": FallbackMode.REPEAT_LAST})
    assert said.renamed({"gripper.pos": "action.6"}).features == {
        "action.6": FallbackMode.HOLD,
        "arm": FallbackMode.REPEAT_LAST,
    }


def test_what_goes_on_moving_after_the_last_command_is_known_by_its_kind() -> None:
    moving = {kind for kind in ActionKind if keeps_moving(ActionFeature("a", "", kind))}
    assert moving == {ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT}


PUSH = ActionFeature("push", "N", ActionKind.EFFORT, safe=2.5)


@pytest.mark.parametrize(
    ("feature", "said", "value"),
    [
        (PUSH, Fallbacks(), 2.5),
        (PUSH, Fallbacks(effort=FallbackMode.SAFE), 2.5),
        (PUSH, Fallbacks(effort=FallbackMode.ZERO), 0.0),
        (replace(PUSH, safe=None), Fallbacks(), 0.0),
        (ActionFeature("wheel", "m/s", ActionKind.VELOCITY), Fallbacks(), 0.0),
        (ActionFeature("d", "m", ActionKind.DELTA), Fallbacks(), 0.0),
    ],
)
def test_what_goes_on_moving_rests_at_zero_or_where_it_is_safe(
    feature: ActionFeature, said: Fallbacks, value: float
) -> None:
    assert rest_value(feature, said) == value


def line(start: ActionArray, stop: ActionArray, share: float) -> ActionArray:
    return start + share * (stop - start)


def shares(ticks: int) -> list[float]:
    way = WayBack(np.zeros(1), np.ones(1), ticks=ticks, between=line)
    passed = []
    while not way.is_over:
        passed.append(float(way.advance()[0]))
    return passed


def test_the_way_back_is_as_long_as_asked_symmetric_and_slow_at_both_ends() -> None:
    assert shares(4) == pytest.approx([0.103515625, 0.5, 0.896484375, 1.0])
    passed = shares(50)
    assert len(passed) == 50
    assert passed[-1] == 1.0
    assert passed[:-1] == pytest.approx([1.0 - share for share in reversed(passed[:-1])])
    steps = [later - sooner for sooner, later in pairwise([0.0, *passed])]
    assert min(steps) > 0.0
    assert steps[:25] == sorted(steps[:25])
    assert shares(1) == shares(0) == [1.0]


def test_the_way_back_stays_at_its_end_and_where_there_is_no_goal() -> None:
    way = WayBack(np.array([0.0, 3.0]), np.array([1.0, np.nan]), ticks=2, between=line)
    assert [way.advance().tolist() for _ in range(3)] == [[0.5, 3.0], [1.0, 3.0], [1.0, 3.0]]


BACK = FallbackMode.RETURN_TO_START
POSE = [f"r{i}" for i in range(3)]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (replace(ARM, is_measured=False), "wanted a position that a state feature measures"),
        (replace(ARM, is_gripper=True), "wanted repeat_last or hold, because a gripper could drop"),
    ],
)
def test_a_way_back_wants_a_position_that_is_measured_and_holds_nothing(
    action: ActionFeature, words: str
) -> None:
    state = (StateFeature("arm", "rad"),)
    check_fallbacks(RobotSpec("r", (ARM,), state, (), 100.0), Fallbacks(position=BACK))
    spec = RobotSpec("r", (replace(action, fallback=BACK),), state, (), 100.0)
    with pytest.raises(SpecError, match=rf"fallback of arm \(position\): {words}.*got return_to_start"):
        check_fallbacks(spec, Fallbacks())


def test_a_rotation_goes_back_whole_or_not_at_all() -> None:
    actions = tuple(ActionFeature(name, "rad", rotation="wrist:rotvec") for name in POSE)
    spec = RobotSpec("r", actions, tuple(StateFeature(name, "rad") for name in POSE), (), 100.0)
    check_fallbacks(spec, Fallbacks(position=BACK))
    for mixed in ({"r1": FallbackMode.HOLD}, {"r1": FallbackMode.HOLD, "r2": FallbackMode.HOLD}):
        with pytest.raises(SpecError, match="all numbers of a rotation, or none"):
            check_fallbacks(spec, Fallbacks(position=BACK, features=dict(mixed)))
    free = ActionFeature("lift", "m")
    spec = replace(spec, actions=(*actions, free), state=(*spec.state, StateFeature("lift", "m")))
    check_fallbacks(spec, Fallbacks(features={"lift": BACK}))


def test_a_way_back_is_known_from_the_settings() -> None:
    assert not returns_to_start(Fallbacks())
    assert returns_to_start(Fallbacks(position=BACK))
    assert returns_to_start(Fallbacks(features={"arm": BACK}))


@pytest.mark.parametrize(
    ("limits", "order"),
    [
        (Limits(velocity=0.25), 1),
        (Limits(velocity=LARGE, acceleration=0.25), 2),
        (Limits(velocity=LARGE, acceleration=LARGE, jerk=0.25), 3),
    ],
)
def test_the_shortest_way_just_keeps_its_limit(limits: Limits, order: int) -> None:
    way, ticks = 2.0, 4000
    time_s = shortest_s(np.array([way]), (replace(ARM, limits=limits),))
    path = [way * smooth(tick / ticks) for tick in range(ticks + 1)]
    peak = np.abs(np.diff(path, n=order)).max() / (time_s / ticks) ** order
    assert peak == pytest.approx(0.25, rel=1e-2)


def test_the_slowest_action_says_how_long_a_way_takes() -> None:
    slow, fast = Limits(velocity=0.5), Limits(velocity=5.0)
    actions = tuple(replace(ARM, limits=limits) for limits in (fast, slow, Limits(), slow))
    assert shortest_s(np.array([1.0, 1.0, 9.0, float("inf")]), actions) == pytest.approx(3.75)
    assert shortest_s(np.zeros(4), actions) == 0.0
