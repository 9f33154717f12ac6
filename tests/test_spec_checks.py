"""A spec is checked against itself, when it is written."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vagus.control.fallback import Fallbacks, fallback_of
from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind, FallbackMode, Limits, StateFeature, lacking_bounds
from vagus.specs import (
    BinaryEncoding,
    CameraSpec,
    DepthCameraSpec,
    PolicySpec,
    RobotSpec,
    rename_robot_spec,
)

VELOCITY, DELTA, EFFORT, BINARY = (
    ActionKind.VELOCITY,
    ActionKind.DELTA,
    ActionKind.EFFORT,
    ActionKind.BINARY,
)


def robot(*actions: ActionFeature, state: dict[str, str] | None = None, rate_hz: float = 50.0) -> RobotSpec:
    features = tuple(StateFeature(name, unit) for name, unit in (state or {}).items())
    return RobotSpec("arm", actions, features, (), rate_hz)


def policy(*actions: ActionFeature) -> PolicySpec:
    return PolicySpec("p", actions, (), (), horizon=1, model_dim=1, rate_hz=30.0)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        *((ActionKind.POSITION, unit) for unit in ("rad/s", "m/s²", "Nm", "A", "bool")),
        *((VELOCITY, unit) for unit in ("rad", "deg", "m", "lerobot_norm", "rad/s2", "N")),
        *((DELTA, unit) for unit in ("m/s", "N")),
        *((EFFORT, unit) for unit in ("rad", "m/s")),
        *((BINARY, unit) for unit in ("rad", "mm", "lerobot_norm", "m/s", "N")),
    ],
)
def test_a_unit_of_another_kind_is_refused_on_both_sides(kind: ActionKind, unit: str) -> None:
    feature = ActionFeature("a", unit, kind, safe=0.0 if kind is EFFORT else None)
    for make in (robot, policy):
        with pytest.raises(SpecError, match=r"unit of a \(.*\): wanted a unit of .*, got"):
            make(feature)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        *((kind, unit) for kind in ActionKind for unit in ("", "1", "%", "env", "u")),
        *((ActionKind.POSITION, "px"), (VELOCITY, "rpm"), (DELTA, "cm"), (EFFORT, "N·m"), (BINARY, "bool")),
    ],
)
def test_a_unit_that_fits_or_says_nothing_passes(kind: ActionKind, unit: str) -> None:
    feature = ActionFeature("a", unit, kind, safe=0.0 if kind is EFFORT else None)
    assert robot(feature).actions[0].unit == unit
    assert policy(feature).actions[0].unit == unit


@pytest.mark.parametrize(
    ("kind", "limits", "ignored"),
    [
        (VELOCITY, Limits(velocity=0.5), "velocity=0.5"),
        (DELTA, Limits(-1.0, 1.0, acceleration=2.0), "acceleration=2"),
        (EFFORT, Limits(-1.0, 1.0, jerk=2.0, acceleration=1.0), "acceleration=1, jerk=2"),
        (BINARY, Limits(-1.0, 1.0), "lower=-1, upper=1"),
        (BINARY, Limits(velocity=1.0), "velocity=1"),
    ],
)
def test_a_limit_that_nothing_would_keep_is_refused(kind: ActionKind, limits: Limits, ignored: str) -> None:
    feature = ActionFeature("a", "", kind, limits=limits, safe=0.0 if kind is EFFORT else None)
    with pytest.raises(SpecError, match=rf"limits of a .*got {ignored}"):
        robot(feature)


def test_a_binary_may_say_that_it_is_0_or_1() -> None:
    robot(ActionFeature("a", "", BINARY, limits=Limits(0.0, 1.0)))


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (ActionFeature("a", "rad", safe=0.0), "safe value of a: wanted none"),
        (ActionFeature("a", "", BINARY, safe=0.5), "safe value of a: wanted 0 or 1"),
        (ActionFeature("a", "N", EFFORT, safe=float("nan")), "safe value of a: wanted a finite number"),
        (
            ActionFeature("a", "rad", encoding=BinaryEncoding()),
            "encoding of a: wanted an action of kind binary",
        ),
        (ActionFeature("a", "", BINARY, is_gripper=True), "gripper a: wanted an action of kind position"),
        (ActionFeature("a", "m", continuous=True), "continuous a: wanted a position in rad or deg or rev"),
        (ActionFeature("a", "rad/s", VELOCITY, continuous=True), "continuous a: .*of kind velocity"),
        (
            ActionFeature("a", "rad", continuous=True, limits=Limits(lower=-3.0)),
            "continuous a: .*ends at -3.0",
        ),
        (ActionFeature("a", "rad", continuous=True, rotation="w:rotvec"), "continuous a: .*rotation group"),
        (ActionFeature("a", "deg", rotation="w:rotvec"), "unit of a in 'w:rotvec': wanted rad"),
        (ActionFeature("a", "rad", feedback="a", is_measured=False), "feedback of a: .*is_measured=False"),
    ],
)
def test_what_contradicts_itself_is_refused(feature: ActionFeature, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        robot(feature, state={"a": feature.unit})


def test_what_turns_on_and_on_in_a_known_unit_passes() -> None:
    robot(ActionFeature("a", "degrees", continuous=True, limits=Limits(velocity=90.0)))


# --- feedback ---


def test_the_state_feature_of_the_same_name_is_feedback() -> None:
    spec = robot(ActionFeature("a", "rad"), ActionFeature("b", "rad"), state={"a": "rad"})
    assert [(f.feedback, f.is_measured) for f in spec.actions] == [("a", True), (None, False)]


def test_renaming_connects_nothing_that_was_not_connected() -> None:
    spec = robot(ActionFeature("cmd", "rad"), state={"seen": "rad"})
    renamed = rename_robot_spec(spec, {"cmd": "grip", "seen": "grip"})
    assert (renamed.actions[0].name, renamed.actions[0].feedback) == ("grip", None)


def test_a_gripper_stays_one_under_a_name_that_does_not_say_so() -> None:
    spec = robot(ActionFeature("gripper.pos", "lerobot_norm"), ActionFeature("j", "rad"))
    renamed = rename_robot_spec(spec, {"gripper.pos": "action.6", "j": "action.0"})
    assert [feature.is_gripper for feature in renamed.actions] == [True, None]


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        (ActionFeature("a", "rad"), "deg"),
        (ActionFeature("a", "deg"), "lerobot_norm"),
        (ActionFeature("a", "m/s", VELOCITY), "m"),
        (ActionFeature("a", "rad/s", VELOCITY), "deg/s"),
        (ActionFeature("a", "Nm", EFFORT, safe=0.0), "rad"),
        (ActionFeature("a", "bool", BINARY), "m"),
    ],
)
def test_feedback_in_another_unit_is_refused_with_what_to_write(feature: ActionFeature, unit: str) -> None:
    with pytest.raises(SpecError, match=r"feedback of a: .*feedback=, or say is_measured=False"):
        robot(feature, state={"a": unit})


@pytest.mark.parametrize(
    ("ours", "theirs"), [("rad", "radians"), ("m/s", "m s^-1"), ("rad", ""), ("env", "m")]
)
def test_feedback_in_the_same_unit_or_one_that_nobody_states_passes(ours: str, theirs: str) -> None:
    kind = VELOCITY if "/" in ours else ActionKind.POSITION
    robot(ActionFeature("a", ours, kind), state={"a": theirs})


def test_two_positions_are_not_measured_by_one_number() -> None:
    left, right = ActionFeature("left", "m", feedback="a"), ActionFeature("right", "m", feedback="a")
    with pytest.raises(SpecError, match="feedback of right: wanted a state feature of its own, got 'a'"):
        robot(left, right, state={"a": "m"})


def test_half_an_orientation_is_not_measured() -> None:
    wrist = [ActionFeature(f"w{i}", "rad", rotation="w:rotvec") for i in range(3)]
    with pytest.raises(SpecError, match=r"rotation group 'w:rotvec': .*none for \['w2'\]"):
        robot(*wrist, state={"w0": "rad", "w1": "rad"})


# --- rates and frames ---


@pytest.mark.parametrize("rate_hz", [1e-3, 1e6])
def test_a_rate_at_which_nothing_is_driven_is_refused(rate_hz: float) -> None:
    with pytest.raises(SpecError, match=r"rate_hz: wanted 0\.01 to 10000 per second"):
        robot(ActionFeature("a", "rad"), rate_hz=rate_hz)


@pytest.mark.parametrize(("height", "width"), [(0, 640), (480, -1), (480, 100_000)])
def test_a_frame_has_a_size(height: int, width: int) -> None:
    with pytest.raises(SpecError, match="camera front: wanted 1 to 16384 pixels a side"):
        CameraSpec("front", height, width)
    with pytest.raises(SpecError, match="camera front: wanted 1 to 16384 pixels a side"):
        DepthCameraSpec("front", height, width)


@pytest.mark.parametrize(
    ("units_per_m", "got"),
    [
        (0.001, r"got 0\.001; a driver's depth scale is metres per unit: give 1 / scale"),
        (0.0, r"got 0\.0$"),
        (-1000.0, r"got -1000\.0$"),
        (math.nan, r"got nan$"),
        (math.inf, r"got inf$"),
    ],
)
def test_a_unit_of_depth_is_units_to_the_metre(units_per_m: float, got: str) -> None:
    with pytest.raises(SpecError, match=r"units_per_m of depth camera front: wanted 1 to 1e\+06, .*" + got):
        DepthCameraSpec("front", 480, 640, units_per_m)


STAYS = ActionFeature("neck", "rad", is_held=True)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (
            replace(STAYS, kind=ActionKind.BINARY, unit=""),
            "held action neck: wanted a position .* kind binary",
        ),
        (
            replace(STAYS, limits=Limits(upper=1.0)),
            "held action neck: .* would move it where it stands outside",
        ),
        (replace(STAYS, fallback=FallbackMode.HOLD), "held action neck: .* fallback hold"),
        (replace(STAYS, name="other"), "held action other: wanted a state feature that measures"),
        (ActionFeature("neck", "rad", averaged_ticks=0), "averaged_ticks of neck: wanted 1, .* got 0"),
        (ActionFeature("neck", "rad", averaged_ticks=101), "got 101"),
        (ActionFeature("neck", "", ActionKind.BINARY, averaged_ticks=2), "got 2 for a binary"),
        (ActionFeature("neck", "rad", continuous=True, averaged_ticks=2), "got 2 for an angle without ends"),
        (replace(STAYS, ready=0.0), "ready of neck: wanted a place .* got a held action"),
        (ActionFeature("neck", "", ActionKind.BINARY, ready=1.0), "ready of neck: .* of kind binary"),
        (ActionFeature("gripper", "rad", ready=1.0), "ready of gripper: .* could drop what it holds"),
        (
            ActionFeature("neck", "rad", limits=Limits(-1, 1), ready=1.5),
            "ready of neck: .* 1.5 outside of -1.0 to 1.0",
        ),
        (ActionFeature("neck", "rad", ready=float("nan")), "ready of neck: .* nan outside of -inf"),
    ],
)
def test_what_cannot_be_held_or_averaged_is_refused(feature: ActionFeature, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        robot(feature, state={"neck": "rad"})


def test_what_is_held_needs_no_bound_and_goes_nowhere_as_a_fallback() -> None:
    assert lacking_bounds(STAYS) == ()
    assert fallback_of(STAYS, Fallbacks(position=FallbackMode.RETURN_TO_START)) is FallbackMode.REPEAT_LAST
    robot(STAYS, state={"neck": "rad"})


HAND = [
    ActionFeature(f"hand_{axis}", "rad", rotation="hand:rotvec", feedback=f"hand_{axis}") for axis in "xyz"
]


@pytest.mark.parametrize("what", ["held", "ready"])
def test_a_rotation_is_held_or_ready_as_a_whole(what: str) -> None:
    state = {feature.name: "rad" for feature in HAND}
    whole = [
        replace(feature, is_held=True) if what == "held" else replace(feature, ready=0.5) for feature in HAND
    ]
    robot(*whole, state=state)
    with pytest.raises(SpecError, match=rf"'hand:rotvec': wanted {what} for all of its 3 .* {what} for 1"):
        robot(whole[0], *HAND[1:], state=state)
