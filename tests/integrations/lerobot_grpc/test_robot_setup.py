"""A robot is served only if it is the one of the profile, and if its model is one that may be served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from integrations.lerobot_grpc.rig import JOINTS, MODEL, PROFILE, SETUP
from vagus.errors import SpecError
from vagus.gateways.profile import ResizeRule
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig, RobotFeature
from vagus.integrations.lerobot_grpc.robot_setup import check_model, check_setup, listed_model
from vagus.wire.schema import Capabilities

STATE = "observation.state"
FRONT = "observation.images.front"
PICTURE = SETUP.lerobot_features[FRONT]


def features(**changes: RobotFeature | None) -> Callable[[RemotePolicyConfig], RemotePolicyConfig]:
    """Return what changes some features; None takes one away."""

    def change(config: RemotePolicyConfig) -> RemotePolicyConfig:
        given = {**config.lerobot_features, **{key.replace("__", "."): one for key, one in changes.items()}}
        return replace(config, lerobot_features={key: one for key, one in given.items() if one is not None})

    return change


def joints(*names: str) -> RobotFeature:
    return RobotFeature("float32", (len(names),), names)


TURNED = replace(PICTURE, shape=(6, 4, 3))
SWAPPED = (JOINTS[1], JOINTS[0], *JOINTS[2:])


def test_the_robot_of_the_profile_is_taken() -> None:
    check_setup(SETUP, PROFILE)
    check_setup(replace(SETUP, actions_per_chunk=1000, rename_map=None), PROFILE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (features(observation__state=joints(*JOINTS[:5])), ["gripper.pos", "got shoulder_pan"]),
        (features(observation__state=joints(*SWAPPED)), ["in this order", "got shoulder_lift.pos"]),
        (features(observation__state=None), ["got no state"]),
        (features(observation__state=RobotFeature("float32", (7,), JOINTS)), ["(6,)", "(7,)"]),
        (features(observation__images__front=None), ["wanted front, wrist", "got wrist"]),
        (features(observation__images__top=PICTURE), ["wanted front, wrist", "got front, wrist, top"]),
        (features(observation__images__front=TURNED), ["camera front", "(4, 6, 3)", "(6, 4, 3)"]),
        (features(observation__touch=joints("a")), ["observation.images.<camera>", "observation.touch"]),
        (lambda config: replace(config, actions_per_chunk=0), ["actions_per_chunk", "at least 1"]),
        (lambda config: replace(config, rename_map={"front": "top"}), ["rename_map", "profile"]),
    ],
)  # fmt: skip
def test_another_robot_is_refused_with_what_was_wanted(
    change: Callable[[RemotePolicyConfig], RemotePolicyConfig], told: list[str]
) -> None:
    with pytest.raises(SpecError) as refusal:
        check_setup(change(SETUP), PROFILE)
    assert [part for part in told if part not in str(refusal.value)] == []


def test_a_camera_that_may_be_missing_may_be_missing_and_one_that_is_resized_may_have_any_size() -> None:
    images = tuple(replace(image, required=False, resize=ResizeRule.PAD) for image in PROFILE.images)
    profile = replace(PROFILE, images=images)
    check_setup(features(observation__images__front=None)(SETUP), profile)
    check_setup(features(observation__images__front=replace(PICTURE, shape=(480, 640, 3)))(SETUP), profile)
    for shape in ((480, 640, 1), (480, 640)):
        with pytest.raises(SpecError, match=r"\(any, any, 3\)"):
            check_setup(features(observation__images__front=replace(PICTURE, shape=shape))(SETUP), profile)
    with pytest.raises(SpecError, match=r"wanted front \(may be missing\)"):
        check_setup(features(observation__images__top=PICTURE)(SETUP), profile)


def test_a_robot_without_a_state_is_one_of_a_profile_without_a_state() -> None:
    check_setup(features(observation__state=None)(SETUP), replace(PROFILE, state=()))
    with pytest.raises(SpecError, match="wanted no state"):
        check_setup(SETUP, replace(PROFILE, state=()))


@pytest.mark.parametrize(
    ("asked", "models", "entry"),
    [
        (MODEL, {}, ""),
        (MODEL, {MODEL: "act", "*": "pi0"}, MODEL),
        ("another", {MODEL: "act", "*": "pi0"}, "*"),
    ],
)
def test_a_model_is_looked_up_in_the_table(asked: str, models: Mapping[str, str], entry: str) -> None:
    assert listed_model(asked, models) == entry


def test_a_model_that_is_not_in_the_table_is_refused_with_the_table() -> None:
    with pytest.raises(SpecError, match="wanted a, b, got user/model; name one of these"):
        listed_model(MODEL, {"b": "", "a": ""})


def capabilities(model: str, revision: str = "main", name: str = "default") -> Capabilities:
    return Capabilities(
        server="s", model=model, revision=revision, service_name=name, model_hash="h", policy_type="act",
        actions=(), state=(), horizon=1, model_dim=1, rate_hz=30.0, schema_min=1, schema_max=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "asked", [MODEL, "user/model/main", "user/model/main/default", "user_model-f3949f1a/main/default"]
)
def test_the_served_model_may_be_named_as_it_is(asked: str) -> None:
    check_model(asked, capabilities(MODEL))


@pytest.mark.parametrize("asked", ["user/mode", "model", "/", "", "user/model/v2", "/".join("a" * 500)])
def test_another_model_is_refused_with_the_one_that_is_served(asked: str) -> None:
    with pytest.raises(SpecError, match=r"wanted user/model \(service user_model-f3949f1a/main/default\)"):
        check_model(asked, capabilities(MODEL))
