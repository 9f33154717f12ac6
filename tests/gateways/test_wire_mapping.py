"""What a foreign wire says comes into vagus's names and units, and back, without a number lost or guessed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from vagus.errors import PolicyError, ProtocolError, SpecError
from vagus.features import ActionKind
from vagus.gateways.msgpack import AnyArray, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.gateways.profile import (
    ActionReference,
    ColorOrder,
    FloatType,
    ImageLayout,
    Profile,
    WireImage,
    WireSpan,
)
from vagus.gateways.wire_mapping import WireMapping
from vagus.types import FloatArray
from vagus.wire.schema import MAX_INSTRUCTION

WORDS = st.text(max_size=5)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    WORDS,
    st.lists(st.floats(), max_size=3),
    st.dictionaries(WORDS, st.none(), max_size=2),
    arrays_of.arrays(
        st.sampled_from(["<f8", ">f4", "<f2", "<i8", "|u1", "|b1"]),
        arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
)
"""What may stand at a key."""
UNITS = [("rad", "deg"), ("deg", "rad"), ("m", "mm"), ("deg", ""), ("rad", "rev"), ("lerobot_norm", "")]
"""Unit here and on the wire."""
RATE_UNITS = [("rad/s", "deg/s"), ("rad/s", "rpm"), ("m/s", "mm/s"), ("droid_norm", "")]
RANGES = [None, ((0.0, 100.0), (1.0, 0.0)), ((-3.0, 3.0), (-1.0, 1.0)), ((0.0, 1.0), (0.0, 255.0))]


def request_of(values: dict[WirePath, Value]) -> ForeignRequest:
    return ForeignRequest(Operation.INFER, Envelope("openpi"), values)


@st.composite
def spans(draw: st.DrawFn, of: str, protocol: str) -> tuple[WireSpan, ...]:
    """Draw spans of one or more arrays; their names are of the state or of the actions."""
    found: list[WireSpan] = []
    has_one_array = of == "action" and protocol == "openpi"
    for array in range(1 if has_one_array else draw(st.integers(1, 3))):
        dtype = draw(st.sampled_from(FloatType))
        for _ in range(draw(st.integers(1, 3))):
            first = sum(len(span.names) for span in found)
            names = tuple(f"{of}_{first + at}" for at in range(draw(st.integers(1, 4))))
            kind = None if of == "state" else draw(st.sampled_from([None, ActionKind.VELOCITY]))
            ends = draw(st.sampled_from(RANGES))
            unit, wire_unit = draw(st.sampled_from(UNITS if kind is None else RATE_UNITS))
            found.append(
                WireSpan(
                    key=("actions",) if has_one_array else (of, f"{of}_{array}"),
                    names=names,
                    unit=unit,
                    wire_unit="" if ends else wire_unit,
                    range=ends and ends[0],
                    wire_range=ends and ends[1],
                    kind=kind,
                    dtype=dtype,
                )
            )
    return tuple(found)


@st.composite
def relative(draw: st.DrawFn, actions: tuple[WireSpan, ...], state: tuple[WireSpan, ...]) -> WireSpan:
    """Draw a span of relative actions, counted from state features of its unit."""
    base = draw(st.sampled_from(state))
    return WireSpan(
        key=actions[-1].key,
        names=tuple(f"relative_{at}" for at in range(len(base.names))),
        unit=base.unit,
        wire_unit=base.wire_unit,
        range=base.range,
        wire_range=base.wire_range,
        reference=ActionReference.RELATIVE,
        relative_to=base.names,
        dtype=actions[-1].dtype,
    )


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    protocol = draw(st.sampled_from(["openpi", "gr00t"]))
    state, actions = draw(spans("state", protocol)), draw(spans("action", protocol))
    if draw(st.booleans()):
        actions = (*actions, draw(relative(actions, state)))
    images = tuple(
        WireImage(
            key=("video", f"camera_{at}"),
            name=f"camera_{at}",
            height=draw(st.integers(1, 5)),
            width=draw(st.integers(1, 5)),
            layout=draw(st.sampled_from(ImageLayout)),
            color=draw(st.sampled_from(ColorOrder)),
        )
        for at in range(draw(st.integers(0, 3)))
    )
    return Profile(
        name="drawn",
        protocol=protocol,
        robot_type="drawn",
        rate_hz=20,
        horizon=8,
        state=state,
        actions=actions,
        images=images,
        instruction=("language", "task"),
    )


def numbers(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(-100, 100, shape).astype(np.float32)


def assert_equal(got: AnyArray, wanted: AnyArray) -> None:
    """Equal up to float32, which the wire may round to on the way."""
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)


@given(profiles(), st.integers(0, 1000))
def test_an_observation_that_is_sent_comes_back(profile: Profile, seed: int) -> None:
    mapping = WireMapping(profile)
    state = numbers(seed, len(mapping.robot_spec.state))
    rng = np.random.default_rng(seed)
    images = {
        camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
        for camera in mapping.robot_spec.cameras
    }
    sent = mapping.observation_to(state, images, "pick")
    back = mapping.observation_from(request_of(sent))
    assert_equal(back.state, state)
    assert back.instruction == "pick"
    assert list(back.images) == list(images)
    for name, picture in images.items():
        np.testing.assert_array_equal(back.images[name], picture)
    for image in profile.images:
        picture = sent[image.key]
        assert isinstance(picture, np.ndarray)
        assert picture.shape == image.shape
        assert picture.flags.c_contiguous
    again = mapping.observation_to(back.state, back.images, back.instruction)
    assert list(again) == list(sent)


@given(profiles(), st.integers(0, 1000), st.integers(1, 8))
def test_actions_that_are_sent_come_back(profile: Profile, seed: int, horizon: int) -> None:
    mapping = WireMapping(profile)
    spec = mapping.policy_spec(policy_type="x")
    state = numbers(seed, spec.state_dim)
    actions = numbers(seed + 1, horizon, spec.action_dim)
    sent = mapping.actions_to(actions, state)
    assert {name: array.dtype for name, array in sent.items()} == {
        span.key[-1]: span.dtype.value for span in profile.actions
    }
    back = mapping.actions_from(ForeignReply(sent), state)
    assert back.dtype == np.float32
    assert_equal(back, actions)


def test_specs_say_names_units_kinds_and_cameras_in_the_order_of_the_profile() -> None:
    mapping = WireMapping(ARM)
    robot, policy = mapping.robot_spec, mapping.policy_spec(policy_type="pi05")
    assert [(f.name, f.unit) for f in robot.state] == [("a", "deg"), ("b", "deg"), ("grip", "lerobot_norm")]
    assert [(f.name, f.unit, f.kind, f.feedback) for f in robot.actions] == [
        ("a", "deg", ActionKind.POSITION, "a"),
        ("b", "deg", ActionKind.POSITION, "b"),
        ("grip", "lerobot_norm", ActionKind.POSITION, "grip"),
    ]
    assert [(c.name, c.height, c.width, c.is_required) for c in robot.cameras] == [("front", 2, 4, True)]
    assert (robot.robot_type, robot.rate_hz) == ("arm", 20)
    assert (policy.policy_type, policy.horizon, policy.model_dim, policy.rate_hz) == ("pi05", 4, 3, 20)
    assert [f.name for f in policy.actions] == [f.name for f in robot.actions]
    assert (policy.state, policy.cameras) == (robot.state, robot.cameras)


ARM = Profile(
    name="arm",
    protocol="openpi",
    robot_type="arm",
    rate_hz=20,
    horizon=4,
    state=(
        WireSpan(key=("joints",), names=("a", "b"), unit="deg", wire_unit="rad", dtype=FloatType.FLOAT64),
        WireSpan(key=("grip",), names=("grip",), unit="lerobot_norm", range=(0, 100), wire_range=(1, 0)),
    ),
    actions=(
        WireSpan(key=("actions",), names=("a", "b"), unit="deg", wire_unit="rad"),
        WireSpan(key=("actions",), names=("grip",), unit="lerobot_norm", range=(0, 100), wire_range=(1, 0)),
    ),
    images=(WireImage(key=("images", "front"), name="front", height=2, width=4),),
    instruction=("prompt",),
)
"""A gripper that is 0 closed to 100 open here, and 0 open to 1 closed on the wire."""
PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GOOD: dict[WirePath, Value] = {
    ("joints",): np.array([np.pi, -np.pi / 2]),
    ("grip",): np.array([0.25]),
    ("images", "front"): PICTURE,
    ("prompt",): "pick",
    ("session_id",): "kept by others",
}


def test_the_numbers_of_a_request_are_those_of_the_profile() -> None:
    observation = WireMapping(ARM).observation_from(request_of(GOOD))
    np.testing.assert_allclose(observation.state, [180, -90, 75], rtol=1e-6)
    assert observation.state.dtype == np.float32
    assert observation.instruction == "pick"
    (picture,) = observation.images.values()
    np.testing.assert_array_equal(picture, PICTURE)
    picture[:] = 0  # a copy, which may be written to
    assert PICTURE.any()


def test_the_numbers_of_a_reply_are_those_of_the_profile() -> None:
    mapping = WireMapping(ARM)
    sent = mapping.actions_to(np.array([[180, -90, 75]], np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(sent["actions"], [[np.pi, -np.pi / 2, 0.25]], rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("joints",), None, r"joints: wanted numbers \(2,\), got NoneType"),
        (("joints",), [1.0, 2.0], r"joints: wanted numbers \(2,\), got list"),
        (("joints",), np.zeros(3), r"joints: wanted numbers \(2,\), got \(3,\) of float64"),
        (("joints",), np.zeros((1, 2)), r"joints: wanted numbers \(2,\), got \(1, 2\)"),
        (("joints",), np.zeros(2, np.bool_), r"joints: wanted numbers \(2,\), got \(2,\) of bool"),
        (("joints",), np.array([0, np.nan]), "state: wanted finite numbers, got nan for 'b'"),
        (("joints",), np.array([np.inf, 0]), "state: wanted finite numbers, got inf for 'a'"),
        (("joints",), np.array([1e300, 0]), "state: wanted finite numbers, got .* for 'a'"),
        (("grip",), np.float32(0.5), r"grip: wanted numbers \(1,\), got float32"),
        (("images", "front"), "x", r"camera 'front' at \[images, front\]: wanted uint8 .*got str"),
        (("images", "front"), PICTURE.astype(np.float32), r"wanted uint8 \(height, width, 3\), got float32"),
        (("images", "front"), PICTURE.transpose(2, 0, 1), r"wanted uint8 \(height, width, 3\), got uint8"),
        (("images", "front"), PICTURE[:, :, :1], r"wanted uint8 \(height, width, 3\), got uint8 \(2, 4, 1\)"),
        (("images", "front"), np.zeros((4, 6, 3), np.uint8), "wanted 2×4 pixels.*got 4×6; .*resize: pad"),
        (("images", "front"), np.zeros((0, 6, 3), np.uint8), "wanted sides of 1 to .*got 0×6"),
        (("prompt",), ["pick"], "prompt: wanted a text, got list"),
        (("prompt",), "x" * (MAX_INSTRUCTION + 1), f"prompt: wanted at most {MAX_INSTRUCTION} characters"),
        (("prompt",), "pick \ud800", r"characters that UTF-8 can carry, got 6: pick \\ud800"),
    ],
)
def test_a_value_that_the_profile_does_not_mean_is_refused(path: WirePath, value: Value, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        WireMapping(ARM).observation_from(request_of({**GOOD, path: value}))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, VALUES)))
def test_whatever_comes_is_an_observation_or_refused(values: dict[WirePath, Value]) -> None:
    try:
        observation = WireMapping(ARM).observation_from(request_of({**GOOD, **values}))
    except ProtocolError:
        return
    assert np.isfinite(observation.state).all()
    assert observation.state.shape == (3,)
    assert observation.images["front"].shape == (2, 4, 3)


@given(VALUES)
def test_whatever_a_server_answers_is_a_chunk_or_refused(value: Value) -> None:
    if not isinstance(value, np.ndarray):
        return
    try:
        chunk = WireMapping(ARM).actions_from(ForeignReply({"actions": value}), np.zeros(3, np.float32))
    except PolicyError:
        return
    assert np.isfinite(chunk).all()
    assert chunk.shape[1] == 3


@pytest.mark.parametrize("path", [("joints",), ("grip",), ("images", "front")])
def test_a_key_that_is_missing_is_named_with_those_that_came(path: WirePath) -> None:
    rest = {key: value for key, value in GOOD.items() if key != path}
    with pytest.raises(ProtocolError, match=r"observation: wanted .*, as its profile says, got .*prompt"):
        WireMapping(ARM).observation_from(request_of(rest))
    with pytest.raises(ProtocolError, match="got nothing"):
        WireMapping(ARM).observation_from(request_of({}))


def test_a_request_without_an_instruction_has_none() -> None:
    rest = {key: value for key, value in GOOD.items() if key != ("prompt",)}
    assert WireMapping(ARM).observation_from(request_of(rest)).instruction is None
    mapping = WireMapping(replace(ARM, instruction=None))
    assert mapping.observation_from(request_of(GOOD)).instruction is None
    sent = WireMapping(ARM).observation_to(np.zeros(3, np.float32), {"front": PICTURE}, None)
    assert ("prompt",) not in sent


def test_a_camera_that_is_not_required_may_be_missing() -> None:
    mapping = WireMapping(replace(ARM, images=(replace(ARM.images[0], required=False),)))
    rest = {key: value for key, value in GOOD.items() if key != ("images", "front")}
    assert mapping.observation_from(request_of(rest)).images == {}
    assert list(mapping.observation_from(request_of(GOOD)).images) == ["front"]
    assert ("images", "front") not in mapping.observation_to(np.zeros(3, np.float32), {}, "pick")
    assert [camera.is_required for camera in mapping.robot_spec.cameras] == [False]


@pytest.mark.parametrize(
    ("state", "images", "named"),
    [
        (np.zeros(2), {"front": PICTURE}, r"state: wanted \(3,\), got \(2,\)"),
        (np.array([0, np.nan, 0]), {"front": PICTURE}, "state: wanted finite numbers"),
        (np.array([np.inf, 0, 0]), {"front": PICTURE}, "state: wanted finite numbers"),
        (np.zeros(3), {"side": PICTURE}, r"images: wanted front, got \['side'\]"),
    ],
)
def test_an_observation_of_ours_that_is_wrong_is_not_sent(
    state: NDArray[np.float64], images: dict[str, NDArray[np.uint8]], named: str
) -> None:
    with pytest.raises(SpecError, match=named):
        WireMapping(ARM).observation_to(state.astype(np.float32), images, "pick")


CHUNK = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("actions", "named"),
    [
        ({}, r"actions: wanted \['actions'\], got \[\]"),
        ({"actions": CHUNK, "base": CHUNK}, r"actions: wanted \['actions'\], got \['actions', 'base'\]"),
        ({"actions": CHUNK[:, :2]}, r"wanted floats \(horizon, 3\), got \(4, 2\) of float32"),
        ({"actions": CHUNK[0]}, r"wanted floats \(horizon, 3\), got \(3,\) of float32"),
        ({"actions": CHUNK[None]}, r"wanted floats \(horizon, 3\), got \(1, 4, 3\)"),
        ({"actions": CHUNK[:0]}, r"wanted floats \(horizon, 3\), got \(0, 3\)"),
        ({"actions": CHUNK.astype(np.int64)}, r"wanted floats \(horizon, 3\), got \(4, 3\) of int64"),
        ({"actions": np.full((4, 3), np.nan)}, "actions: wanted finite numbers, got nan for 'a'"),
        ({"actions": np.full((4, 3), 1e300)}, "actions: wanted finite numbers"),
    ],
)
def test_a_reply_that_the_profile_does_not_mean_is_refused(actions: dict[str, AnyArray], named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        WireMapping(ARM).actions_from(ForeignReply(actions), np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("actions", "named"),
    [
        (CHUNK[:, :2], r"actions: wanted \(horizon, 3\), got \(4, 2\)"),
        (CHUNK[0], r"actions: wanted \(horizon, 3\), got \(3,\)"),
        (CHUNK[:0], r"actions: wanted \(horizon, 3\), got \(0, 3\)"),
        (np.full((1, 3), np.inf, np.float32), "actions: wanted finite numbers, got inf for 'a'"),
    ],
)
def test_actions_of_ours_that_are_wrong_are_not_sent(actions: FloatArray, named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        WireMapping(ARM).actions_to(actions, np.zeros(3, np.float32))


def test_a_number_that_is_too_large_for_the_wire_is_not_sent() -> None:
    """1e38 m are 1e41 mm, which float32 does not hold."""
    lift = WireSpan(key=("actions",), names=("lift",), unit="m", wire_unit="mm")
    mapping = WireMapping(replace(ARM, actions=(lift,)))
    with pytest.raises(PolicyError, match="actions: wanted finite numbers"):
        mapping.actions_to(np.full((1, 1), 1e38, np.float32), np.zeros(3, np.float32))


def test_a_state_that_is_too_large_for_the_wire_is_not_sent() -> None:
    lift = WireSpan(key=("lift",), names=("lift",), unit="m", wire_unit="mm")
    mapping = WireMapping(replace(ARM, state=(lift,)))
    with pytest.raises(SpecError, match="state: wanted finite numbers, here and on the wire"):
        mapping.observation_to(np.full(1, 1e38, np.float32), {"front": PICTURE}, None)


def test_a_longer_chunk_is_cut_to_the_horizon_of_the_profile() -> None:
    chunk = np.arange(27, dtype=np.float32).reshape(9, 3)
    got = WireMapping(ARM).actions_from(ForeignReply({"actions": chunk}), np.zeros(3, np.float32))
    assert got.shape == (4, 3)
    np.testing.assert_allclose(got[:, 0], np.degrees(chunk[:4, 0]), rtol=1e-6)
    sent = WireMapping(ARM).actions_to(got.repeat(2, axis=0), np.zeros(3, np.float32))
    assert sent["actions"].shape == (4, 3)


GROOT = Profile(
    name="arm",
    protocol="gr00t",
    robot_type="arm",
    rate_hz=30,
    horizon=16,
    state=(WireSpan(key=("state", "arm"), names=("a", "b"), unit="deg", wire_unit="rad"),),
    actions=(
        WireSpan(
            key=("action", "arm"),
            names=("a", "b"),
            unit="deg",
            wire_unit="rad",
            reference=ActionReference.RELATIVE,
        ),
        WireSpan(key=("action", "grip"), names=("grip",), unit="lerobot_norm"),
    ),
)


def test_relative_actions_are_counted_from_the_state_of_their_observation() -> None:
    mapping = WireMapping(GROOT)
    state = np.array([10, 20], np.float32)
    reply = ForeignReply({"arm": np.array([[0, np.pi / 2]]), "grip": np.array([5.0])})
    np.testing.assert_allclose(mapping.actions_from(reply, state), [[10, 110, 5]], rtol=1e-6)
    sent = mapping.actions_to(np.array([[10, 110, 5]], np.float32), state)
    np.testing.assert_allclose(sent["arm"], [[0, np.pi / 2]], rtol=1e-6)
    assert sent["grip"].tolist() == [[5]]
    for unknown in (np.array([np.nan, 0], np.float32), np.array([np.inf, 0], np.float32)):
        with pytest.raises(PolicyError, match="actions: wanted finite numbers"):
            mapping.actions_from(reply, unknown)
        with pytest.raises(PolicyError, match="actions: wanted finite numbers"):
            mapping.actions_to(np.zeros((1, 3), np.float32), unknown)
    with pytest.raises(PolicyError, match=r"relative actions: wanted a state \(2,\), got \(3,\)"):
        mapping.actions_from(reply, np.zeros(3, np.float32))


def test_a_difference_on_the_wire_has_no_zero_to_move() -> None:
    """A gripper that is 0 to 100 here and 1 to 0 on the wire: 0.25 further there is 25 less here."""
    grip = replace(ARM.actions[1], key=("actions",), reference=ActionReference.RELATIVE)
    mapping = WireMapping(replace(ARM, actions=(grip,)))
    state = np.array([0, 0, 60], np.float32)
    reply = ForeignReply({"actions": np.array([[0.0], [0.25]])})
    np.testing.assert_allclose(mapping.actions_from(reply, state), [[60], [35]], rtol=1e-6)
    sent = mapping.actions_to(np.array([[60], [35]], np.float32), state)
    np.testing.assert_allclose(sent["actions"], np.array([[0.0], [0.25]]), atol=1e-7)


def test_numbers_of_another_byte_order_are_the_same_numbers() -> None:
    values: dict[WirePath, Value] = {**GOOD, ("joints",): np.array([np.pi, 0], ">f4")}
    observation = WireMapping(ARM).observation_from(request_of(values))
    np.testing.assert_allclose(observation.state, [180, 0, 75], rtol=1e-6)
    chunk = np.array([[np.pi, 0, 0]], ">f8")
    actions = WireMapping(ARM).actions_from(ForeignReply({"actions": chunk}), observation.state)
    np.testing.assert_allclose(actions, [[180, 0, 100]], rtol=1e-6)


def test_an_effort_is_an_action_too() -> None:
    squeeze = WireSpan(
        key=("actions",), names=("squeeze",), unit="Nm", wire_unit="mNm", kind=ActionKind.EFFORT
    )
    mapping = WireMapping(replace(ARM, actions=(squeeze,)))
    assert [f.kind for f in mapping.robot_spec.actions] == [ActionKind.EFFORT]
    sent = mapping.actions_to(np.ones((1, 1), np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(sent["actions"], [[1000]])


def test_arrays_of_one_reply_have_one_horizon() -> None:
    reply = ForeignReply({"arm": np.zeros((2, 2)), "grip": np.zeros((3, 1))})
    with pytest.raises(PolicyError, match=r"wanted one horizon for all, got \{'arm': 2, 'grip': 3\}"):
        WireMapping(GROOT).actions_from(reply, np.zeros(2, np.float32))


def test_relative_actions_are_counted_from_a_state_of_their_unit() -> None:
    state = (replace(GROOT.state[0], unit="rad", wire_unit=""),)
    with pytest.raises(SpecError, match="relative action a: wanted a state in 'deg', got 'a' in 'rad'"):
        WireMapping(replace(GROOT, state=state))


def test_a_prefix_is_converted_as_actions_are() -> None:
    mapping = WireMapping(ARM)
    prefix = mapping.prefix_from(np.array([[np.pi, 0, 0.25], [0, 0, 1]]))
    np.testing.assert_allclose(prefix, [[180, 0, 75], [0, 0, 0]], rtol=1e-6)
    assert mapping.prefix_from(np.zeros((0, 0))).shape == (0, 3)


@pytest.mark.parametrize(
    ("profile", "prefix", "named"),
    [
        (ARM, np.zeros((2, 4)), r"prefix: wanted \(steps, 3\), got \(2, 4\)"),
        (ARM, np.zeros((3, 0)), r"prefix: wanted \(steps, 3\), got \(3, 0\)"),
        (ARM, np.zeros(3), r"prefix: wanted \(steps, 3\), got \(3,\)"),
        (ARM, np.full((1, 3), np.nan), "prefix: wanted finite numbers"),
        (GROOT, np.zeros((2, 3)), "prefix: wanted absolute actions"),
    ],
)
def test_a_prefix_that_means_nothing_is_refused(
    profile: Profile, prefix: NDArray[np.float64], named: str
) -> None:
    with pytest.raises(ProtocolError, match=named):
        WireMapping(profile).prefix_from(prefix)
