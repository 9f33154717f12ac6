"""What both sides compare before anything moves."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from vagus.errors import ProtocolError, SpecError
from vagus.specs import (
    ActionFeature,
    ActionKind,
    BinaryEncoding,
    CameraSpec,
    DepthCameraSpec,
    PolicySpec,
    RtcSpec,
    StateFeature,
)
from vagus.wire.contract import (
    check_actions,
    check_cameras,
    check_fit,
    check_states,
    policy_spec_from,
    to_wire_actions,
    to_wire_cameras,
    to_wire_depth_cameras,
    to_wire_rtc,
    to_wire_states,
)
from vagus.wire.schema import (
    Capabilities,
    OpenMessage,
    WireAction,
    WireCamera,
    WireDepthCamera,
    WireState,
)

SPEC = PolicySpec(
    policy_type="reach",
    actions=(ActionFeature("pan.pos", "rad"), ActionFeature("grip", "m/s", kind=ActionKind.VELOCITY)),
    state=(StateFeature("pan.pos", "rad"),),
    cameras=(CameraSpec("front", 480, 640), CameraSpec("wrist", 480, 640, is_required=False)),
    horizon=50,
    model_dim=4,
    rate_hz=30.0,
    rtc=RtcSpec(25, "linear", 3.0),
    default_instruction="reach",
    depth_cameras=(DepthCameraSpec("front_depth", 480, 640, 10_000.0, is_required=False),),
)


def capabilities_of(spec: PolicySpec) -> Capabilities:
    return Capabilities(
        server="s",
        model="m",
        revision="r",
        model_hash="h",
        policy_type=spec.policy_type,
        actions=to_wire_actions(spec.actions),
        state=to_wire_states(spec.state),
        cameras=to_wire_cameras(spec.cameras),
        depth_cameras=to_wire_depth_cameras(spec.depth_cameras),
        horizon=spec.horizon,
        model_dim=spec.model_dim,
        rate_hz=spec.rate_hz,
        rtc=to_wire_rtc(spec.rtc),
        default_instruction=spec.default_instruction,
    )


def actions(*names: str, unit: str = "rad", kind: str = "position") -> tuple[WireAction, ...]:
    return tuple(WireAction(name=name, unit=unit, kind=kind) for name in names)


def states(*names: str, unit: str = "rad") -> tuple[WireState, ...]:
    return tuple(WireState(name=name, unit=unit) for name in names)


def cameras(*names: str, height: int = 480, width: int = 640) -> tuple[WireCamera, ...]:
    return tuple(WireCamera(name=name, height=height, width=width) for name in names)


def test_a_policy_spec_survives_the_wire() -> None:
    assert policy_spec_from(capabilities_of(SPEC)) == SPEC


def test_encodings_of_binaries_survive_the_wire() -> None:
    said = BinaryEncoding.parse("signed inverted threshold=0.2")
    grip = ActionFeature("grip", "", ActionKind.BINARY, encoding=said)
    assert policy_spec_from(capabilities_of(replace(SPEC, actions=(grip,)))).actions == (grip,)


def test_an_encoding_of_a_newer_version_is_refused() -> None:
    newer = (WireAction(name="grip", kind="binary", encoding="ternary"),)
    with pytest.raises(SpecError, match=r"one of unit, signed, logit.*'ternary'"):
        policy_spec_from(msgspec.structs.replace(capabilities_of(SPEC), actions=newer))


@pytest.mark.parametrize(("ours", "theirs"), [("", ""), ("signed", ""), ("", "logit"), ("signed", "signed")])
def test_an_encoding_that_one_side_declares_is_enough(ours: str, theirs: str) -> None:
    sides = [(WireAction(name="grip", unit="bool", kind="binary", encoding=said),) for said in (ours, theirs)]
    assert check_actions(*sides) == []


def test_two_encodings_that_differ_are_refused() -> None:
    sides = [
        (WireAction(name="grip", unit="bool", kind="binary", encoding=said),) for said in ("signed", "logit")
    ]
    with pytest.raises(SpecError, match="encoding of action 'grip': wanted 'logit', got 'signed'"):
        check_actions(*sides)


def test_a_policy_without_real_time_chunking_survives_the_wire() -> None:
    capabilities = msgspec.structs.replace(capabilities_of(SPEC), rtc=None)
    assert policy_spec_from(capabilities).rtc is None


def test_an_action_kind_of_a_newer_version_is_refused() -> None:
    capabilities = msgspec.structs.replace(capabilities_of(SPEC), actions=actions("a", kind="impedance"))
    with pytest.raises(ProtocolError, match="impedance"):
        policy_spec_from(capabilities)


def test_a_spec_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(SpecError):
        policy_spec_from(msgspec.structs.replace(capabilities_of(SPEC), horizon=0))


def test_equal_actions_pass_without_a_warning() -> None:
    assert check_actions(actions("a", "b"), actions("a", "b")) == []


def test_another_order_of_actions_is_refused() -> None:
    with pytest.raises(SpecError, match="order"):
        check_actions(actions("b", "a"), actions("a", "b"))


def test_a_missing_action_is_refused() -> None:
    with pytest.raises(SpecError, match=r"lacks \['grip'\]"):
        check_actions(actions("a"), actions("a", "grip"))


def test_an_action_too_many_is_refused() -> None:
    with pytest.raises(SpecError, match=r"does not know \['grip'\]"):
        check_actions(actions("a", "grip"), actions("a"))


def test_an_action_of_another_name_is_refused_with_a_proposed_rename() -> None:
    with pytest.raises(SpecError, match=r"--rename shoulder_pan\.pos shoulder_pan"):
        check_actions(actions("shoulder_pan.pos"), actions("shoulder_pan"))


def test_another_kind_of_action_is_refused() -> None:
    with pytest.raises(SpecError, match="kind of action 'a'"):
        check_actions(actions("a", kind="velocity"), actions("a"))


def test_another_unit_of_an_action_is_refused_even_on_trust() -> None:
    with pytest.raises(SpecError, match="unit of action 'a'"):
        check_actions(actions("a", unit="deg"), actions("a"), trust_units=True)


@pytest.mark.parametrize(("ours", "theirs"), [("", "rad"), ("rad", ""), ("", "")])
def test_an_unstated_unit_is_refused_or_taken_on_trust(ours: str, theirs: str) -> None:
    with pytest.raises(SpecError, match="trust-units"):
        check_actions(actions("a", unit=ours), actions("a", unit=theirs))
    with pytest.raises(SpecError, match="trust-units"):
        check_states(states("a", unit=ours), states("a", unit=theirs))
    assert len(check_actions(actions("a", unit=ours), actions("a", unit=theirs), trust_units=True)) == 1
    assert len(check_states(states("a", unit=ours), states("a", unit=theirs), trust_units=True)) == 1


def test_equal_states_pass_and_other_sizes_or_units_do_not() -> None:
    assert check_states(states("a", "b"), states("a", "b")) == []
    with pytest.raises(SpecError, match="state names"):
        check_states(states("a"), states("a", "b"))
    with pytest.raises(SpecError, match="unit of state 'a'"):
        check_states(states("a", unit="deg"), states("a"))


def test_a_robot_may_have_more_cameras_than_the_policy_wants() -> None:
    assert check_cameras(cameras("front", "top"), cameras("front")) == []


def test_an_optional_camera_may_be_missing() -> None:
    optional = WireCamera(name="wrist", height=480, width=640, is_required=False)
    assert check_cameras(cameras("front"), (*cameras("front"), optional)) == []


def test_a_missing_camera_is_refused_with_a_proposed_rename() -> None:
    with pytest.raises(SpecError, match="--rename cam_front front"):
        check_cameras(cameras("cam_front", "zed"), cameras("front"))


def test_a_missing_camera_without_a_spare_one_says_what_is_lacking() -> None:
    with pytest.raises(SpecError, match=r"lacks \['front'\]"):
        check_cameras((), cameras("front"))


def test_another_aspect_ratio_is_warned_of_and_another_size_is_not() -> None:
    assert len(check_cameras(cameras("a", height=720, width=1280), cameras("a"))) == 1
    assert check_cameras(cameras("a", height=240, width=320), cameras("a")) == []


@pytest.mark.parametrize(
    ("height", "width", "warnings"),
    [
        (99, 100, 0),
        (100, 101, 0),
        (1000, 1011, 1),
        (10_000, 10_101, 0),
        (1000, 1015, 1),
        (1015, 1000, 1),
    ],
)
def test_an_aspect_ratio_may_differ_by_one_percent_of_the_larger_one(
    height: int, width: int, warnings: int
) -> None:
    square = cameras("a", height=100, width=100)
    assert len(check_cameras(cameras("a", height=height, width=width), square)) == warnings


def asked(**changes: object) -> OpenMessage:
    fields: dict[str, object] = {
        "actions": actions("a", "b"),
        "state": states("a"),
        "cameras": cameras("front"),
    }
    return OpenMessage(instance="i", robot_type="r", **{**fields, **changes})  # type: ignore[arg-type]


SERVER = msgspec.structs.replace(
    capabilities_of(SPEC),
    actions=actions("a", "b"),
    state=states("a"),
    cameras=cameras("front"),
    depth_cameras=(),
)


def test_what_fits_passes_with_every_warning() -> None:
    assert check_fit(asked(), SERVER) == []
    odd = asked(cameras=cameras("front", height=720, width=1280), state=states("a", unit=""))
    assert len(check_fit(odd, SERVER, trust_units=True)) == 2


def test_a_refusal_names_every_difference() -> None:
    wrong = asked(
        actions=(*actions("j0", unit="deg"), *actions("b", unit="deg", kind="delta")),
        state=states("a", unit="deg"),
        cameras=cameras("zed", "cam_front"),
    )
    with pytest.raises(SpecError, match="5 differences") as caught:
        check_fit(wrong, SERVER)
    text = str(caught.value)
    for part in (
        "(1) action names: wanted ['a', 'b'], got ['j0', 'b']; if they mean the same: --rename j0 a",
        "(2) kind of action 'b': wanted 'position', got 'delta'",
        "(3) unit of action 'b': wanted 'rad', got 'deg'",
        "(4) unit of state 'a'",
        "(5) cameras: wanted ['front'], got ['cam_front', 'zed']; if they mean the same: --rename cam_front",
    ):
        assert part in text


def test_all_units_that_differ_are_named_at_once() -> None:
    with pytest.raises(SpecError, match="unit of action 'a', 'b': wanted 'rad', got 'deg'"):
        check_fit(asked(actions=actions("a", "b", unit="deg")), SERVER)


def test_all_units_that_nobody_states_are_named_at_once() -> None:
    unsaid = asked(actions=actions("a", "b", unit=""), state=states("a", unit=""))
    with pytest.raises(SpecError, match=r"none for \['a', 'b'\].*none for \['a'\].*--trust-units") as caught:
        check_fit(unsaid, SERVER)
    assert caught.value.subject.endswith(" units")  # of which the server makes a code of its own


def test_names_that_nothing_is_like_are_still_told_how_to_be_renamed() -> None:
    with pytest.raises(SpecError, match=r"lacks \['front', 'top'\] and has \['zed', 'x9'\].*--rename zed"):
        check_cameras(cameras("zed", "x9"), cameras("front", "top"))


def test_a_rename_that_does_not_help_for_all_says_what_is_lacking() -> None:
    with pytest.raises(SpecError, match=r"--rename cam_front front; and it lacks \['wrist'\]"):
        check_cameras(cameras("cam_front"), cameras("front", "wrist"))


# --- depth cameras ---


def depth(name: str = "front_depth", /, **changes: object) -> WireDepthCamera:
    fields: dict[str, object] = {"height": 480, "width": 640, "units_per_m": 1000.0}
    return WireDepthCamera(name=name, **{**fields, **changes})  # type: ignore[arg-type]


DEEP = msgspec.structs.replace(SERVER, depth_cameras=(depth(),))


def test_a_robot_with_the_depth_camera_of_the_policy_fits_and_may_have_more() -> None:
    assert check_fit(asked(depth_cameras=(depth("spare", height=4), depth())), DEEP) == []
    assert check_fit(asked(depth_cameras=(depth(),)), SERVER) == []
    float32 = float(1 / np.float32(0.001))  # as a driver tells the metres of a unit
    assert float32 != 1000.0
    assert check_fit(asked(depth_cameras=(depth(units_per_m=float32),)), DEEP) == []


def test_a_robot_without_depth_is_refused_and_told_that_a_colour_camera_does_not_count() -> None:
    with pytest.raises(
        SpecError, match=r"depth cameras: wanted \['front_depth'\], got \[\]; this robot lacks"
    ):
        check_fit(asked(), DEEP)
    flat = asked(cameras=(*cameras("front"), *cameras("front_depth")))
    with pytest.raises(SpecError, match=r"cameras \['front_depth'\] give colour, not depth"):
        check_fit(flat, DEEP)
    with pytest.raises(SpecError, match="--rename zed_depth front_depth"):
        check_fit(asked(depth_cameras=(depth("zed_depth"),)), DEEP)


def test_a_depth_camera_that_the_policy_does_not_require_may_lack_but_not_differ() -> None:
    relaxed = msgspec.structs.replace(SERVER, depth_cameras=(depth(is_required=False),))
    assert check_fit(asked(), relaxed) == []
    with pytest.raises(SpecError, match="depth camera 'front_depth'"):
        check_fit(asked(depth_cameras=(depth(height=240),)), relaxed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": 240}, r"wanted 640×480, 1000 units to the metre, got 640×240, .* set this size"),
        ({"width": 320}, r"got 320×480, 1000 units to the metre; depth is never scaled .* set this size"),
        ({"units_per_m": 10_000.0}, r"got 640×480, 10000 units to the metre; .* set this unit"),
        ({"units_per_m": 1.0}, r"got 640×480, 1 units to the metre"),
        ({"units_per_m": 1000.0015}, r"got 640×480, 1000\.0015 units to the metre"),
    ],
)
def test_another_size_or_unit_of_depth_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        check_fit(asked(depth_cameras=(depth(**changes),)), DEEP)


def test_a_peer_that_knows_no_depth_is_refused_only_where_depth_is_needed() -> None:
    older = msgspec.msgpack.decode(msgspec.msgpack.encode(asked(depth_cameras=(depth(),))))
    del older["depth_cameras"]
    client = msgspec.msgpack.decode(msgspec.msgpack.encode(older), type=OpenMessage)
    assert check_fit(client, SERVER) == []
    with pytest.raises(SpecError, match="depth cameras"):
        check_fit(client, DEEP)
