"""The rules of the session open, each accepting and rejecting."""

from __future__ import annotations

import msgspec
import pytest

from vagus.errors import SessionRefusedError
from vagus.server.validate import Offer, Terms, check_open
from vagus.wire.schema import (
    Capabilities,
    OpenMessage,
    WireAction,
    WireCamera,
    WireDepthCamera,
    WireRtc,
    WireState,
)

SERVER = Capabilities(
    server="s",
    model="m",
    revision="r",
    model_hash="h" * 64,
    policy_type="reach",
    actions=(WireAction(name="a", unit="rad"), WireAction(name="b", unit="rad")),
    state=(WireState(name="a", unit="rad"),),
    cameras=(WireCamera(name="front", height=480, width=640),),
    horizon=50,
    model_dim=2,
    rate_hz=30.0,
    rtc=WireRtc(prefix_horizon=20),
    default_instruction="reach",
    host_id="here",
    max_image_pixels=1280 * 720,
)
CLIENT = OpenMessage(
    instance="i1",
    robot_type="sim",
    actions=SERVER.actions,
    state=SERVER.state,
    cameras=SERVER.cameras,
    rate_hz=30.0,
    wants_rtc=True,
    host_id="there",
    buffer_time_s=0.5,
    max_action_age_s=3.0,
)


def accepted(offer: Offer | None = None, /, **changes: object) -> Terms:
    return check_open(msgspec.structs.replace(CLIENT, **changes), offer or Offer(SERVER))


def refused(offer: Offer | None = None, /, **changes: object) -> SessionRefusedError:
    with pytest.raises(SessionRefusedError) as refusal:
        accepted(offer, **changes)
    return refusal.value


def offer(*, pin_task: bool = False, strict_rate: bool = False, **changes: object) -> Offer:
    capabilities = msgspec.structs.replace(SERVER, **changes)
    return Offer(capabilities, pin_task=pin_task, strict_rate=strict_rate)


def test_a_client_that_fits_is_accepted_without_a_warning() -> None:
    terms = accepted()
    assert terms == Terms(
        uses_rtc=True,
        image_codec="jpeg",
        max_pixels=480 * 640,
        instruction="",
        is_pinned=False,
        max_request_bytes=terms.max_request_bytes,
        rate_hz=30.0,
    )


def test_a_request_may_be_as_long_as_its_frames_have_reason_to_be() -> None:
    frames = len(SERVER.cameras) * 480 * 640 * 3
    assert frames < accepted().max_request_bytes < 3 * frames + (1 << 20)


def test_a_request_with_depth_may_be_longer_by_its_depth_frames() -> None:
    deep = (WireDepthCamera(name="deep", height=480, width=640, units_per_m=1000.0),)
    more = accepted(offer(depth_cameras=deep), depth_cameras=deep).max_request_bytes
    assert 2 * 480 * 640 <= more - accepted().max_request_bytes < 3 * 2 * 480 * 640
    assert accepted(depth_cameras=deep).max_request_bytes == accepted().max_request_bytes
    spared = (msgspec.structs.replace(deep[0], is_required=False),)
    assert accepted(offer(depth_cameras=spared)).max_request_bytes == accepted().max_request_bytes


def test_a_robot_without_the_depth_camera_of_the_policy_is_refused() -> None:
    deep = (WireDepthCamera(name="front", height=480, width=640, units_per_m=1000.0),)
    refusal = refused(offer(cameras=(), depth_cameras=deep))
    assert refusal.code == "spec_mismatch"
    assert "give colour, not depth" in str(refusal)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0, 5), (1, 9)])
def test_schema_ranges_that_overlap_are_accepted(low: int, high: int) -> None:
    assert accepted(schema_min=low, schema_max=high).warnings == ()


@pytest.mark.parametrize(("low", "high"), [(2, 3), (0, 0), (5, 1)])
def test_schema_ranges_that_do_not_overlap_are_refused(low: int, high: int) -> None:
    assert refused(schema_min=low, schema_max=high).code == "schema_mismatch"


@pytest.mark.parametrize("instance", ["", "a/b", "*", "a" * 65, "$x"])
def test_an_instance_that_is_no_key_segment_is_refused(instance: str) -> None:
    assert refused(instance=instance).code == "invalid_input"


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(rate_hz: float) -> None:
    assert refused(rate_hz=rate_hz).code == "invalid_input"


def test_a_client_that_asks_by_no_rule_waits_for_its_answers() -> None:
    assert accepted(buffer_time_s=0.0, execute_horizon=0).waits_for_answers
    assert not accepted(buffer_time_s=0.5).waits_for_answers
    assert not accepted(buffer_time_s=0.0, execute_horizon=8).waits_for_answers
    assert not accepted(buffer_time_s=0.0, observe_steps=2).waits_for_answers


@pytest.mark.parametrize("name", ["buffer_time_s", "max_action_age_s"])
def test_times_that_are_not_finite_are_refused(name: str) -> None:
    assert refused(**{name: float("nan")}).code == "invalid_input"


def test_another_order_name_kind_or_unit_of_an_action_is_refused() -> None:
    first, second = SERVER.actions
    for actions in (
        (second, first),
        (first,),
        (first, WireAction(name="c", unit="rad")),
        (first, WireAction(name="b", unit="deg")),
        (first, WireAction(name="b", unit="rad", kind="velocity")),
    ):
        assert refused(actions=actions).code == "spec_mismatch"
        assert refused(actions=actions, trust_units=True).code == "spec_mismatch"


def test_another_size_or_unit_of_the_state_is_refused() -> None:
    for state in ((), (WireState(name="a", unit="deg"),), (*SERVER.state, WireState(name="b", unit="rad"))):
        assert refused(state=state).code == "spec_mismatch"


def test_units_that_nobody_stated_are_refused_or_taken_on_trust() -> None:
    state = (WireState(name="a"),)
    assert refused(state=state).code == "unknown_units"
    assert "on trust" in accepted(state=state, trust_units=True).warnings[0]
    actions = (WireAction(name="a"), WireAction(name="b", unit="rad"))
    assert refused(actions=actions).code == "unknown_units"
    assert len(accepted(actions=actions, trust_units=True).warnings) == 1


def test_a_missing_camera_is_refused_with_a_rename_and_one_more_is_accepted() -> None:
    refusal = refused(cameras=(WireCamera(name="zed", height=480, width=640),))
    assert refusal.code == "spec_mismatch"
    assert "--rename zed front" in refusal.reason
    more = (*SERVER.cameras, WireCamera(name="top", height=4000, width=4000))
    assert accepted(cameras=more).max_pixels == 480 * 640


def test_another_aspect_ratio_is_warned_of() -> None:
    wide = (WireCamera(name="front", height=720, width=1280),)
    assert "aspect" in accepted(cameras=wide).warnings[0]


@pytest.mark.parametrize(("height", "width"), [(1081, 1440), (0, 640), (-480, -640)])
def test_frames_that_are_too_large_or_empty_are_refused(height: int, width: int) -> None:
    assert refused(cameras=(WireCamera(name="front", height=height, width=width),)).code == "spec_mismatch"


def test_a_pinned_task_is_accepted_alone() -> None:
    pinned = offer(pin_task=True)
    assert accepted(pinned, instruction="reach").instruction == "reach"
    assert accepted(pinned, instruction="").instruction == "reach"
    assert refused(pinned, instruction="dance").code == "instruction_pinned"
    assert accepted(instruction="dance").instruction == "dance"


def test_another_rate_is_warned_of_and_a_strict_server_refuses_it() -> None:
    assert "2 times as fast" in accepted(rate_hz=60.0).warnings[0]
    assert accepted(rate_hz=30.001).warnings == ()
    assert refused(offer(strict_rate=True), rate_hz=60.0).code == "rate_mismatch"
    assert accepted(offer(strict_rate=True)).warnings == ()


def test_a_chunk_longer_than_the_age_bound_is_warned_of() -> None:
    assert "max_action_age_s" in accepted(max_action_age_s=2.0).warnings[0]
    assert accepted(max_action_age_s=0.0).warnings == ()
    assert accepted(offer(horizon=75), buffer_time_s=0.5).warnings == ()


def test_real_time_chunking_is_used_where_both_have_it() -> None:
    assert not accepted(wants_rtc=False).uses_rtc
    plain = accepted(offer(rtc=None))
    assert not plain.uses_rtc
    assert "real-time chunking" in plain.warnings[0]
    assert accepted(offer(rtc=None), wants_rtc=False).warnings == ()


def test_another_model_or_policy_type_is_refused_and_the_same_accepted() -> None:
    assert accepted(model_hash=SERVER.model_hash, policy_type="reach").warnings == ()
    assert refused(model_hash="x").code == "model_changed"
    assert refused(policy_type="act").code == "spec_mismatch"


def test_frames_travel_raw_on_one_host_only() -> None:
    assert accepted(host_id="here").image_codec == "raw"
    assert accepted(offer(host_id=""), host_id="").image_codec == "jpeg"
