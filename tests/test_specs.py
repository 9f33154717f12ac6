from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import SpecError
from vagus.specs import (
    ActionFeature,
    ActionKind,
    CameraSpec,
    DepthCameraSpec,
    Limits,
    PolicySpec,
    RobotSpec,
    RtcSpec,
    StateFeature,
    rename_robot_spec,
)

JOINT = ActionFeature("joint.pos", "rad", feedback="joint.pos")
GRIPPER = ActionFeature("gripper", "", ActionKind.BINARY)
ROBOT = RobotSpec(
    robot_type="sim",
    actions=(JOINT, GRIPPER),
    state=(StateFeature("joint.pos", "rad"), StateFeature("joint.vel", "rad/s")),
    cameras=(CameraSpec("front", 480, 640), CameraSpec("wrist", 240, 320, is_required=False)),
    rate_hz=100.0,
    depth_cameras=(DepthCameraSpec("front_depth", 480, 640, 10_000.0),),
)
POLICY = PolicySpec(
    policy_type="reach",
    actions=(JOINT, GRIPPER),
    state=(StateFeature("joint.pos", "rad"),),
    cameras=(CameraSpec("front", 480, 640),),
    horizon=50,
    model_dim=6,
    rate_hz=30.0,
    depth_cameras=(DepthCameraSpec("front_depth", 480, 640, 10_000.0),),
)
NOT_ABOVE_ZERO = [0.0, -1.0, math.nan, math.inf, -math.inf]


def changed(spec: RobotSpec | PolicySpec, fields: dict[str, object]) -> None:
    dataclasses.replace(spec, **fields)  # type: ignore[arg-type]  # names come from the test's parameters


# --- limits ---


def test_no_bound_is_the_default() -> None:
    assert dataclasses.astuple(Limits()) == (None,) * 5


@pytest.mark.parametrize("name", ["velocity", "acceleration", "jerk"])
def test_a_rate_limit_is_above_zero(name: str) -> None:
    whole = {"acceleration": 1.0, name: 0.1}
    Limits(**whole)
    for bound in NOT_ABOVE_ZERO:
        with pytest.raises(SpecError, match=f"limit {name}: wanted a number from 1e-12 to 1e"):
            Limits(**{**whole, name: bound})


@pytest.mark.parametrize("name", ["lower", "upper", "velocity", "acceleration", "jerk"])
@pytest.mark.parametrize("what", [True, "1", b"1", np.array([1.0]), np.bool_(1), 1.7e308, 1e13, 10**20, 1j])
def test_a_bound_is_a_plain_number_of_a_sensible_size(name: str, what: object) -> None:
    with pytest.raises(SpecError, match=f"limit {name}: wanted .* leave it out"):
        changed_limits(**{"acceleration": 1.0, name: what})


@pytest.mark.parametrize("name", ["velocity", "acceleration", "jerk"])
@pytest.mark.parametrize("tiny", [5e-324, 1e-300, 1e-160, 1e-13])
def test_a_rate_that_moves_nothing_is_refused(name: str, tiny: float) -> None:
    with pytest.raises(SpecError, match=f"limit {name}"):
        changed_limits(**{"acceleration": 1.0, name: tiny})


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_the_number_of_another_library_becomes_a_float(kind: type) -> None:
    limits = Limits(-kind(2), kind(2), velocity=kind(1))
    assert [type(bound) for bound in dataclasses.astuple(limits)[:3]] == [float] * 3


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        (1e6, 1e6 + 0.01),
        (1e6, 1e6 + 0.6),
        (-1e6 - 0.6, -1e6),
        (0.0, 1e-13),
        (-1e12, -1e12 + 1.0),
        (1.0, 1.0),
        (1.0, -1.0),
    ],
)
def test_a_range_too_narrow_for_the_numbers_that_travel_is_refused(lower: float, upper: float) -> None:
    with pytest.raises(SpecError, match="limits: wanted"):
        Limits(lower, upper)


def test_the_ends_of_what_is_admitted_are_admitted() -> None:
    Limits(-1e12, 1e12, 1e12, 1e12, 1e12)
    Limits(0.0, 1e-12, 1e-12, 1e-12, 1e-12)


def test_an_action_ends_somewhere_unless_it_says_otherwise() -> None:
    assert not ActionFeature("a", "rad").continuous


def test_a_bound_of_the_jerk_alone_cannot_be_kept() -> None:
    with pytest.raises(SpecError, match="acceleration wherever jerk"):
        Limits(jerk=1.0)


def changed_limits(**fields: object) -> None:
    dataclasses.replace(Limits(), **fields)  # type: ignore[arg-type]  # they are what is refused


@pytest.mark.parametrize("name", ["lower", "upper"])
def test_a_bound_is_finite(name: str) -> None:
    for bound in (-1.0, 0.0, 1.0):
        Limits(**{name: bound})
    for bound in (math.nan, math.inf, -math.inf):
        with pytest.raises(SpecError, match=f"limit {name}: wanted a number from -1e"):
            Limits(**{name: bound})


@given(st.integers(-10, 10), st.integers(-10, 10))
def test_lower_is_below_upper(lower: float, upper: float) -> None:
    if lower < upper:
        assert Limits(lower=lower, upper=upper).upper == upper
        return
    with pytest.raises(SpecError, match="limits: wanted lower below upper"):
        Limits(lower=lower, upper=upper)


# --- robot and policy ---


@pytest.mark.parametrize("spec", [ROBOT, POLICY], ids=["robot", "policy"])
@pytest.mark.parametrize(
    ("field", "what"),
    [("actions", "action"), ("state", "state"), ("cameras", "camera"), ("depth_cameras", "camera")],
)
def test_a_name_occurs_once_and_is_not_empty(spec: RobotSpec | PolicySpec, field: str, what: str) -> None:
    features = getattr(spec, field)
    with pytest.raises(SpecError, match=f"{what} names: wanted each name once, got '.*' twice"):
        changed(spec, {field: (*features, features[0])})
    nameless = dataclasses.replace(features[0], name="")
    with pytest.raises(SpecError, match=f"{what} name: wanted a name"):
        changed(spec, {field: (*features[1:], nameless)})


@pytest.mark.parametrize("spec", [ROBOT, POLICY], ids=["robot", "policy"])
def test_a_colour_camera_and_a_depth_camera_have_different_names(spec: RobotSpec | PolicySpec) -> None:
    with pytest.raises(SpecError, match="camera names: wanted each name once, got 'front' twice"):
        dataclasses.replace(spec, depth_cameras=(DepthCameraSpec("front", 480, 640),))


@pytest.mark.parametrize("spec", [ROBOT, POLICY], ids=["robot", "policy"])
def test_there_is_at_least_one_action(spec: RobotSpec | PolicySpec) -> None:
    with pytest.raises(SpecError, match="wanted at least one action feature, got none"):
        dataclasses.replace(spec, actions=())


@pytest.mark.parametrize("spec", [ROBOT, POLICY], ids=["robot", "policy"])
def test_a_rate_is_above_zero(spec: RobotSpec | PolicySpec) -> None:
    for rate_hz in NOT_ABOVE_ZERO:
        with pytest.raises(SpecError, match="rate_hz: wanted a finite number above 0"):
            dataclasses.replace(spec, rate_hz=rate_hz)


@pytest.mark.parametrize("field", ["horizon", "model_dim"])
def test_sizes_of_a_policy_are_above_zero(field: str) -> None:
    for size in (0, -1):
        with pytest.raises(SpecError, match=f"{field}: wanted a finite number above 0, got {size}"):
            changed(POLICY, {field: size})


def test_a_robot_without_state_or_cameras_is_a_robot() -> None:
    assert RobotSpec("valve", (GRIPPER,), (), (), 10.0).state == ()


def test_feedback_names_a_state_feature() -> None:
    lost = dataclasses.replace(JOINT, feedback="elbow.pos")
    with pytest.raises(
        SpecError, match=r"feedback of joint.pos: .*'joint.pos', 'joint.vel'.*got 'elbow.pos'"
    ):
        dataclasses.replace(ROBOT, actions=(lost,))


def test_an_effort_needs_a_safe_value() -> None:
    effort = ActionFeature("joint.torque", "Nm", ActionKind.EFFORT)
    with pytest.raises(SpecError, match=r"effort action joint\.torque: wanted a declared safe value"):
        dataclasses.replace(ROBOT, actions=(effort,))
    safe = dataclasses.replace(effort, safe=0.0)
    assert dataclasses.replace(ROBOT, actions=(safe,)).actions[0].safe == 0.0


def test_a_policy_is_not_asked_for_feedback_or_safe_values() -> None:
    effort = ActionFeature("joint.torque", "Nm", ActionKind.EFFORT, feedback="joint.torque")
    assert dataclasses.replace(POLICY, actions=(effort,)).action_dim == 1


def test_dimensions_are_counted_from_the_features() -> None:
    assert (POLICY.action_dim, POLICY.state_dim) == (2, 1)


def test_rtc_defaults_are_those_of_the_paper() -> None:
    assert RtcSpec(10) == RtcSpec(prefix_horizon=10, schedule="exp", max_guidance=5.0)


def test_specs_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROBOT.rate_hz = 1.0  # type: ignore[misc]


# --- renaming ---


def test_renaming_reaches_actions_state_feedback_and_cameras_and_nothing_else() -> None:
    renamed = rename_robot_spec(ROBOT, {"joint.pos": "shoulder", "front": "image", "front_depth": "depth"})
    assert [feature.name for feature in renamed.actions] == ["shoulder", "gripper"]
    assert [feature.feedback for feature in renamed.actions] == ["shoulder", None]
    assert [feature.name for feature in renamed.state] == ["shoulder", "joint.vel"]
    assert [camera.name for camera in renamed.cameras] == ["image", "wrist"]
    assert renamed.cameras[0].height == 480
    assert renamed.depth_cameras == (DepthCameraSpec("depth", 480, 640, 10_000.0),)
    assert renamed.rate_hz == ROBOT.rate_hz


def test_without_a_map_nothing_changes() -> None:
    assert rename_robot_spec(ROBOT, {}) == ROBOT


def test_two_names_may_be_swapped() -> None:
    swapped = rename_robot_spec(ROBOT, {"front": "wrist", "wrist": "front"})
    assert [camera.name for camera in swapped.cameras] == ["wrist", "front"]


def test_renaming_there_and_back_is_nothing() -> None:
    there = rename_robot_spec(ROBOT, {"joint.pos": "a", "front": "b"})
    assert rename_robot_spec(there, {"a": "joint.pos", "b": "front"}) == ROBOT


def test_a_name_the_robot_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(SpecError, match=r"names of the robot \(\['front', .*got \['elbow'\]"):
        rename_robot_spec(ROBOT, {"elbow": "x"})


def test_two_names_that_become_one_are_refused() -> None:
    with pytest.raises(SpecError, match="camera names: wanted each name once, got 'wrist' twice"):
        rename_robot_spec(ROBOT, {"front": "wrist"})
