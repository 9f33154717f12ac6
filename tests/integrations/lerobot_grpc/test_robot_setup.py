"""A robot is served only if it is the one of the profile, and if its model is one that may be served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from integrations.lerobot_grpc.rig import JOINTS, PROFILE, SETUP
from vagus.errors import SpecError
from vagus.gateways.profile import ResizeRule
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig, RobotFeature
from vagus.integrations.lerobot_grpc.robot_setup import check_setup

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
