"""What a gateway offers for a policy: the same from two processes, and nothing that no client could keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

import vagus
from vagus.errors import SpecError
from vagus.features import ActionKind
from vagus.gateways.profile import ActionReference, ColorOrder, ImageLayout, Profile, ResizeRule
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_zenoh.v1.contracts import APPEND, ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, InferenceMode
from vagus.integrations.lerobot_zenoh.v1.terms import (
    agreed_in,
    check_deployment,
    deployment_of,
    hold_rules_of,
    session_id_of,
)
from vagus.integrations.lerobot_zenoh.v1.values import read_map, write_map
from vagus.specs import RtcSpec

ARM = load_profile("so101", "lerobot_zenoh")
NAMES = tuple(name for span in ARM.actions for name in span.names)
UNITS = tuple(span.unit for span in ARM.actions for _ in span.names)
POLICY = vagus.PolicySpec(
    "act",
    actions=tuple(map(vagus.ActionFeature, NAMES, UNITS)),
    state=tuple(map(vagus.StateFeature, NAMES, UNITS)),
    cameras=(vagus.CameraSpec("front", 480, 640),),
    horizon=100,
    model_dim=32,
    rate_hz=30.0,
)
RTC = replace(POLICY, rtc=RtcSpec(prefix_horizon=200))


def offered(
    policy: vagus.PolicySpec = POLICY, profile: Profile = ARM, model: str = "ab12", **rename: str
) -> Deployment:
    return deployment_of("arm", profile, policy, model, rename)


def test_a_policy_is_offered_in_the_words_of_the_profile() -> None:
    told = offered()
    state, front, wrist = told.capabilities.features
    assert (told.name, told.semantics, told.is_ready) == ("arm", ARM.semantics, True)
    assert state.names == told.capabilities.action_feature.names == NAMES
    assert state.semantics == told.capabilities.action_feature.semantics
    assert state.semantics.startswith("shoulder_pan.pos deg, ")
    assert state.semantics.endswith(", gripper.pos lerobot_norm")
    assert [front.name, wrist.name] == ["observation.images.front", "observation.images.wrist"]
    assert (front.shape, front.kind, front.semantics) == ((480, 640, 3), FeatureKind.RGB, "rgb")
    assert told.capabilities.action_feature.name == "action"
    assert Deployment.from_wire(read_map(write_map(told.to_wire()))) == told


def test_both_generations_are_told_what_they_look_for() -> None:
    told = offered()
    assert set(told.contracts) == {"chunk_alignment_v1", "chunk_alignment_v2", "chunk_blending_v1"}
    assert told.blendable_components == NAMES
    assert told.capabilities.modes == (InferenceMode.CHUNK,)
    guided = offered(RTC)
    assert guided.capabilities.modes == (InferenceMode.CHUNK, InferenceMode.RTC_GUIDED)
    assert "rtc_model_space_v1" in guided.contracts
    assert guided.capabilities.rtc_horizon == guided.capabilities.prediction_steps == 50
    assert guided.capabilities.model_action_dim is None


@pytest.mark.parametrize(("profile", "policy", "steps"), [(50, 100, 50), (50, 8, 8), (500, 900, 120)])
def test_a_chunk_is_as_long_as_all_can_bear(profile: int, policy: int, steps: int) -> None:
    told = offered(replace(POLICY, horizon=policy), replace(ARM, horizon=profile))
    assert told.capabilities.execution_steps == told.capabilities.prediction_steps == steps


def test_two_processes_say_the_same_and_another_model_or_meaning_is_another_instance() -> None:
    told = offered()
    assert offered() == told
    assert told.artifact_identity.startswith("sha256:")
    others = [
        offered(model="cd34"),
        offered(profile=replace(ARM, horizon=40)),
        offered(front="cam_0"),
        deployment_of("other", ARM, POLICY, "ab12", {}),
    ]
    assert len({one.instance_id for one in [told, *others]}) == 5
    assert others[3].artifact_identity == told.artifact_identity


def test_stated_semantics_come_before_made_ones() -> None:
    joints, gripper = ARM.actions
    actions = tuple(replace(span, semantics="degrees") for span in (joints, gripper))
    assert offered(profile=replace(ARM, actions=actions)).capabilities.action_feature.semantics == "degrees"


def test_what_is_no_position_says_so() -> None:
    joints, gripper = ARM.actions
    moves = replace(joints, kind=ActionKind.DELTA)
    relative = replace(gripper, reference=ActionReference.RELATIVE)
    told = offered(profile=replace(ARM, actions=(moves, relative)))
    said = told.capabilities.action_feature.semantics
    assert "wrist_roll.pos deg delta" in said
    assert "gripper.pos lerobot_norm relative" in said


def test_a_range_that_stands_for_a_unit_is_said() -> None:
    joints, gripper = ARM.actions
    turned = replace(gripper, range=(0.0, 100.0), wire_range=(1.0, 0.0))
    told = offered(profile=replace(ARM, actions=(joints, turned))).capabilities.action_feature.semantics
    assert told.endswith("gripper.pos 1 to 0 for 0 to 100 lerobot_norm")


def test_a_policy_of_another_rate_is_refused() -> None:
    with pytest.raises(SpecError, match="wanted that of the policy, 10: a client executes one row"):
        offered(replace(POLICY, rate_hz=10.0))


@pytest.mark.parametrize(
    "change",
    [
        {"resize": ResizeRule.PAD},
        {"required": False},
        {"layout": ImageLayout.CHW},
        {"color": ColorOrder.BGR},
    ],
)
def test_pictures_that_no_client_would_send_are_refused(change: dict[str, object]) -> None:
    front, wrist = ARM.images
    changed = replace(front, **change)  # type: ignore[arg-type] # by name
    with pytest.raises(SpecError, match="wanted HWC, RGB, required, and resize: refuse"):
        check_deployment("arm", replace(ARM, images=(changed, wrist)))
    check_deployment("arm", ARM)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "-arm", "a" * 129])
def test_a_name_that_is_no_part_of_a_key_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="deployment: wanted a letter or digit"):
        check_deployment(name, ARM)


def test_a_robot_is_held_where_it_is_only_if_its_state_says_where_that_is() -> None:
    joints, gripper = ARM.actions
    assert hold_rules_of(ARM, 2.0).is_state_position
    assert hold_rules_of(ARM, 2.0).max_hold_ns == 2_000_000_000
    for actions in (
        (replace(joints, kind=ActionKind.DELTA), gripper),
        (joints, replace(gripper, reference=ActionReference.RELATIVE)),
        (replace(joints, wire_unit="rad"), gripper),
        (joints, replace(gripper, range=(0.0, 100.0), wire_range=(1.0, 0.0))),
    ):
        assert not hold_rules_of(replace(ARM, actions=actions), 2.0).is_state_position


def test_only_absolute_positions_are_held_and_only_absolute_actions_continued() -> None:
    joints, gripper = ARM.actions
    assert hold_rules_of(ARM, 2.0).is_holdable
    switch = replace(ARM, actions=(joints, replace(gripper, kind=ActionKind.BINARY)))
    assert hold_rules_of(switch, 2.0).is_holdable
    for kind in (ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT):
        moves = replace(ARM, actions=(joints, replace(gripper, kind=kind)))
        assert not hold_rules_of(moves, 2.0).is_holdable
        assert InferenceMode.RTC_GUIDED in offered(RTC, moves).capabilities.modes
    relative = replace(ARM, actions=(joints, replace(gripper, reference=ActionReference.RELATIVE)))
    assert not hold_rules_of(relative, 2.0).is_holdable
    told = offered(RTC, relative)
    assert told.capabilities.modes == (InferenceMode.CHUNK,)
    assert (told.capabilities.rtc_horizon, "rtc_model_space_v1" in told.contracts) == (0, False)


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        (InferenceMode.CHUNK, ChunkSettings(ChunkMerge.ALIGNED)),
        (InferenceMode.CHUNK, APPEND),
        (InferenceMode.RTC_GUIDED, APPEND),
    ],
)
def test_the_id_of_a_session_says_what_was_agreed(mode: InferenceMode, settings: ChunkSettings) -> None:
    told = offered(RTC)
    accepted = AcceptedSession(told, mode, settings)
    assert agreed_in(session_id_of("0123456789abcdef" * 2, accepted), told) == accepted


@pytest.mark.parametrize(
    "session_id",
    [
        "0123456789abcdef" * 2,
        f"{'0' * 32}-chunk-blended",
        f"{'0' * 32}-rtc_trained-append",
        f"{'0' * 32}-rtc_guided-aligned",
        f"{'0' * 31}-chunk-append",
        f"{'0' * 32}-chunk-append-x",
    ],
)
def test_no_other_id_is_one_of_a_gateway(session_id: str) -> None:
    assert agreed_in(session_id, offered(RTC)) is None
