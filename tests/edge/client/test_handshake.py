from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from edge.rig import ACTIONS, POLICY, ROBOT, STATES, capabilities
from vagus.edge.client.handshake import (
    TRANSIENT_REFUSALS,
    Contract,
    Identity,
    check_ack,
    check_replica,
    least_executed,
    open_message,
)
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.errors import ProtocolError, SessionRefusedError, SpecError
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec, RobotSpec, StateFeature
from vagus.wire.contract import policy_spec_from, to_wire_depth_cameras
from vagus.wire.schema import Ack, Capabilities, LatencyRow, OpenMessage, WireAction, WireState

CONFIG = EdgeConfig()
IDENTITY = Identity("arm-1", "1f3a", "host", {"lab": "one"})
CAPABLE = capabilities()


def asked(
    config: EdgeConfig = CONFIG,
    *,
    contract: Contract | None = None,
    robot: RobotSpec = ROBOT,
    wanted: Capabilities = CAPABLE,
) -> OpenMessage:
    return open_message(robot, wanted, config, IDENTITY, instruction="reach", contract=contract)


def yes(capable: Capabilities | None = CAPABLE, *, epoch: int = 5, codec: str = "jpeg") -> Ack:
    return Ack(accepted=True, epoch=epoch, image_codec=codec, capabilities=capable, warnings=("odd", "odd"))


def agreed(config: EdgeConfig = CONFIG, policy: PolicySpec = POLICY) -> Contract:
    capable = capabilities(policy=policy)
    return check_ack(yes(capable), asked(config, wanted=capable), config, None)


CONTRACT = agreed()
DEEP = DepthCameraSpec("deep", 480, 640)


def changed(**fields: object) -> Capabilities:
    return msgspec.structs.replace(CAPABLE, **fields)


def test_what_somebody_vouches_for_is_said_to_the_server_as_far_as_it_fits() -> None:
    assert asked().vouched == ()
    free = [replace(feature, vouch_unbounded=True) for feature in ROBOT.actions]
    assert asked(robot=replace(ROBOT, actions=tuple(free))).vouched == (
        "a.pos: no velocity limit",
        "b.pos: no velocity limit",
    )
    many = tuple(replace(free[0], name=f"j{at}", feedback=f"j{at}") for at in range(70))
    state = tuple(StateFeature(f"j{at}", "rad") for at in range(70))
    told = asked(robot=replace(ROBOT, actions=many, state=state)).vouched
    assert (len(told), told[-1]) == (64, "and 7 more")
    told = asked(robot=replace(ROBOT, actions=many[:64], state=state)).vouched
    assert (len(told), told[-1]) == (64, "j63: no velocity limit")


def test_the_first_open_says_who_we_are_and_what_we_want() -> None:
    message = asked()
    assert (message.instance, message.robot_type, message.host_id) == ("1f3a", "sim", "host")
    assert (message.instruction, message.tags) == ("reach", {"lab": "one"})
    assert (message.rate_hz, message.wants_rtc) == (30.0, True)
    assert (message.buffer_time_s, message.max_action_age_s) == (0.5, 3.0)
    assert message.model_hash is None
    assert message.policy_type is None


def test_a_rate_of_our_own_is_asked_for() -> None:
    assert asked(EdgeConfig(rate_hz=15.0)).rate_hz == 15.0


def test_features_are_named_in_the_policys_order() -> None:
    robot = replace(ROBOT, actions=ACTIONS[::-1], state=STATES[::-1])
    message = asked(robot=robot)
    assert [a.name for a in message.actions] == ["a.pos", "b.pos"]
    assert [s.name for s in message.state] == ["a.pos", "b.pos"]


def test_state_that_the_policy_does_not_want_is_not_sent() -> None:
    robot = replace(ROBOT, state=(StateFeature("current", "A"), *STATES[::-1]))
    assert [s.name for s in asked(robot=robot).state] == ["a.pos", "b.pos"]
    lacking = replace(ROBOT, state=(*STATES[:1], StateFeature("b.vel", "rad/s")), actions=(ACTIONS[0],))
    assert [s.name for s in asked(robot=lacking).state] == ["a.pos", "b.vel"]


def test_features_that_do_not_match_are_sent_as_they_are() -> None:
    robot = replace(ROBOT, actions=(replace(ACTIONS[0], name="z"),))
    assert [a.name for a in asked(robot=robot).actions] == ["z"]


def test_a_later_open_insists_on_the_contract() -> None:
    message = asked(contract=CONTRACT)
    assert (message.model_hash, message.policy_type, message.wants_rtc) == ("aa", "reach", True)
    without_rtc = agreed(EdgeConfig(rtc=False))
    assert not asked(contract=without_rtc).wants_rtc


def test_a_good_ack_gives_the_contract() -> None:
    assert CONTRACT.policy == policy_spec_from(CAPABLE)
    assert (CONTRACT.model_hash, CONTRACT.step_rate_hz) == ("aa", 30.0)
    assert (CONTRACT.uses_rtc, CONTRACT.prefix_horizon) == (True, 10)
    assert CONTRACT.image_codec == "jpeg"
    assert CONTRACT.warnings == ("odd",)


def test_the_prefix_horizon_is_ours_if_given_and_at_most_the_chunk() -> None:
    assert agreed(EdgeConfig(prefix_horizon=20)).prefix_horizon == 20
    assert agreed(EdgeConfig(prefix_horizon=500)).prefix_horizon == POLICY.horizon


def test_without_rtc_on_either_side_there_is_no_prefix() -> None:
    for contract in (agreed(EdgeConfig(rtc=False)), agreed(policy=replace(POLICY, rtc=None))):
        assert not contract.uses_rtc
        assert contract.prefix_horizon == 0


def test_the_image_codec_is_the_servers_unless_pinned() -> None:
    assert check_ack(yes(codec="raw"), asked(), CONFIG, None).image_codec == "raw"
    pinned = EdgeConfig(image_codec=ImageCodec.PNG)
    assert check_ack(yes(codec="webp"), asked(), pinned, None).image_codec == "png"
    with pytest.raises(ProtocolError, match="webp"):
        check_ack(yes(codec="webp"), asked(), CONFIG, None)


def test_a_no_carries_its_code() -> None:
    with pytest.raises(SessionRefusedError, match="full") as caught:
        check_ack(Ack(accepted=False, code="sessions_full", error="full"), asked(), CONFIG, None)
    assert caught.value.code == "sessions_full"
    with pytest.raises(SessionRefusedError, match="no reason"):
        check_ack(Ack(accepted=False), asked(), CONFIG, None)


@pytest.mark.parametrize("ack", [yes(None), yes(epoch=0), yes(epoch=-1), yes(epoch=1 << 32)])
def test_an_ack_without_epoch_or_capabilities_is_refused(ack: Ack) -> None:
    with pytest.raises(ProtocolError, match="without an epoch"):
        check_ack(ack, asked(), CONFIG, None)


@pytest.mark.parametrize(
    ("capable", "message"),
    [
        (changed(schema_min=2, schema_max=3), "wire schema"),
        (changed(actions=CAPABLE.actions[::-1]), "action names"),
        (changed(actions=CAPABLE.actions[:1]), "action names"),
        (changed(actions=(WireAction(name="a.pos", unit="deg"), CAPABLE.actions[1])), "unit of action"),
        (changed(actions=(WireAction(name="a.pos"), CAPABLE.actions[1])), "trust-units"),
        (
            changed(actions=(WireAction(name="a.pos", unit="rad", kind="delta"), CAPABLE.actions[1])),
            "kind of action",
        ),
        (changed(state=CAPABLE.state[::-1]), "state names"),
        (changed(state=(WireState(name="a.pos", unit="deg"), CAPABLE.state[1])), "unit of state"),
        (changed(cameras=(*CAPABLE.cameras, msgspec.structs.replace(CAPABLE.cameras[0], name="top"))), "top"),
        (changed(horizon=0), "horizon"),
    ],
)
def test_a_yes_to_what_must_not_drive_the_robot_is_refused(capable: Capabilities, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_ack(yes(capable), asked(), CONFIG, None)


def test_a_kind_of_action_from_the_future_is_refused() -> None:
    capable = changed(actions=(WireAction(name="a.pos", unit="rad", kind="warp"), CAPABLE.actions[1]))
    with pytest.raises(ProtocolError):
        check_ack(yes(capable), asked(), CONFIG, None)


def test_units_on_trust_are_warned_of() -> None:
    capable = changed(actions=(WireAction(name="a.pos"), CAPABLE.actions[1]))
    config = EdgeConfig(trust_units=True)
    assert any("on trust" in text for text in check_ack(yes(capable), asked(config), config, None).warnings)


def test_a_later_session_keeps_the_contract_but_for_codec_and_capabilities() -> None:
    capable = changed(server="two")
    later = check_ack(yes(capable, codec="raw"), asked(contract=CONTRACT), CONFIG, CONTRACT)
    assert later == replace(CONTRACT, image_codec="raw", capabilities=capable)


@pytest.mark.parametrize(
    ("capable", "message"),
    [
        (changed(model_hash="bb"), "model_hash"),
        (changed(actions=CAPABLE.actions[::-1]), "actions of"),
        (changed(state=CAPABLE.state[::-1]), "state of"),
        (changed(horizon=49), "horizon"),
        (changed(model_dim=4), "model_dim"),
        (changed(rate_hz=15.0), "rate_hz"),
        (changed(depth_cameras=to_wire_depth_cameras([DEEP])), "depth_cameras of"),
        (changed(rtc=None), "real-time chunking"),
        (
            changed(rtc=msgspec.structs.replace(CAPABLE.rtc, schedule="ones") if CAPABLE.rtc else None),
            "real-time",
        ),
    ],
)
def test_a_replica_that_contradicts_the_contract_is_refused(capable: Capabilities, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_replica(capable, CONTRACT)


def test_an_equal_replica_may_take_over() -> None:
    check_replica(changed(server="two"), CONTRACT)


def test_a_replica_without_rtc_is_good_enough_where_none_is_used() -> None:
    check_replica(changed(rtc=None), agreed(EdgeConfig(rtc=False)))


SLOW = changed(latency=(LatencyRow(batch_size=1, p50_ms=3500.0, max_ms=3600.0),))


def test_a_policy_slower_than_the_age_bound_is_refused() -> None:
    with pytest.raises(SessionRefusedError, match=r"3.5 s per chunk.*max_action_age_s 3 ") as caught:
        check_ack(yes(SLOW), asked(wanted=SLOW), CONFIG, None)
    assert caught.value.code in TRANSIENT_REFUSALS  # a faster replica may be there


def test_a_replica_slower_than_the_age_bound_is_refused_too() -> None:
    with pytest.raises(SessionRefusedError, match="too_slow"):
        check_ack(yes(SLOW), asked(contract=CONTRACT), CONFIG, CONTRACT)


def test_what_the_pace_means_is_among_the_warnings() -> None:
    halting = changed(latency=(LatencyRow(batch_size=1, p50_ms=1800.0, max_ms=1800.0),))
    assert any("stop and go" in w for w in check_ack(yes(halting), asked(), CONFIG, None).warnings)


def large(height: int, width: int) -> RobotSpec:
    return replace(ROBOT, cameras=(CameraSpec("front", height, width), CameraSpec("spare", 9999, 9999)))


def test_frames_too_large_to_travel_raw_travel_as_jpeg() -> None:
    raw = asked(robot=large(4000, 3000))
    assert check_ack(yes(codec="raw"), raw, CONFIG, None).image_codec == "jpeg"
    fitting = asked(robot=large(2000, 3000))
    assert check_ack(yes(codec="raw"), fitting, CONFIG, None).image_codec == "raw"


def test_requests_larger_than_a_message_are_refused_with_the_sizes() -> None:
    pinned = EdgeConfig(image_codec=ImageCodec.RAW)
    with pytest.raises(
        SpecError, match=r"at most 33\.5 MB, got about 36\.1 MB \(front 3000×4000\)"
    ) as caught:
        check_ack(yes(), asked(pinned, robot=large(4000, 3000)), pinned, None)
    assert "--image-codec jpeg" in str(caught.value)


def test_depth_cameras_are_told_to_the_server_and_are_in_the_contract() -> None:
    policy = replace(POLICY, depth_cameras=(DEEP,))
    capable = capabilities(policy=policy)
    message = asked(robot=replace(ROBOT, depth_cameras=(DEEP,)), wanted=capable)
    assert message.depth_cameras == to_wire_depth_cameras([DEEP])
    assert check_ack(yes(capable), message, CONFIG, None).policy.depth_cameras == (DEEP,)
    with pytest.raises(SpecError, match=r"depth cameras: wanted \['deep'\], got \[\]"):
        check_ack(yes(capable), asked(wanted=capable), CONFIG, None)


def test_depth_too_large_for_a_message_is_refused_with_the_sizes() -> None:
    deep = DepthCameraSpec("deep", 8000, 8000)
    policy = replace(POLICY, depth_cameras=(deep,))
    robot = replace(ROBOT, depth_cameras=(deep,))
    capable = capabilities(policy=policy)
    with pytest.raises(SpecError, match=r"got about 64\.1 MB \(front 6×4, deep 8000×8000\)"):
        check_ack(yes(capable, codec="raw"), asked(robot=robot, wanted=capable), CONFIG, None)


@pytest.mark.parametrize("epoch", [1, (1 << 32) - 1])
def test_every_epoch_that_a_header_can_carry_is_taken(epoch: int) -> None:
    assert check_ack(yes(epoch=epoch), asked(), CONFIG, None) == CONTRACT


@pytest.mark.parametrize("is_first", [True, False])
def test_a_model_that_is_not_the_pinned_one_never_drives_the_robot(is_first: bool) -> None:
    capable = changed(model_hash="0123456789abcdef")
    agreed_on = check_ack(yes(capable), asked(), CONFIG, None)
    contract = None if is_first else agreed_on
    right, wrong = EdgeConfig(pin_model="01234567"), EdgeConfig(pin_model="11234567")
    assert check_ack(yes(capable), asked(), right, contract) == agreed_on
    with pytest.raises(SessionRefusedError, match=r"--pin-model wants 11234567.*0123456789ab") as caught:
        check_ack(yes(capable), asked(), wrong, contract)
    assert caught.value.code == "model_changed"


def test_a_later_session_with_another_model_is_refused() -> None:
    with pytest.raises(SpecError, match="model_hash of the replica"):
        check_ack(yes(changed(model_hash="bb")), asked(contract=CONTRACT), CONFIG, CONTRACT)


def test_the_server_learns_after_how_many_actions_the_robot_asks_again() -> None:
    assert asked().execute_horizon == 0
    assert asked(EdgeConfig(execute_horizon=8)).execute_horizon == 8
    assert asked(EdgeConfig(execute_horizon=np.int64(8))).execute_horizon == 8


@pytest.mark.parametrize(("rtc", "part"), [(True, 8), (False, 4)])
def test_the_server_learns_how_soon_an_automatic_robot_would_like_to_ask(*, rtc: bool, part: int) -> None:
    said = asked(EdgeConfig(execute_horizon="auto", rtc=rtc))
    assert (said.execute_horizon, said.observe_steps) == (0, math.ceil(POLICY.horizon / part))
    assert asked(EdgeConfig(execute_horizon=8)).observe_steps == 0


@pytest.mark.parametrize(("said", "taken"), [(0, 0), (5, 5), (10**12, POLICY.horizon), (-3, 0)])
def test_a_server_can_ask_for_no_more_than_a_whole_chunk(said: int, taken: int) -> None:
    ack = msgspec.structs.replace(yes(), execute_horizon=said)
    assert least_executed(ack, CONTRACT) == taken
