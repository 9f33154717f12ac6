"""Frames captured between the original programs, both ways, and everything that may come instead.

`golden/` holds payloads of openpi's client and server, and of RoboArena's client.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.msgpack import Value, ValueMap
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, ReplyTiming, WirePath
from vagus.integrations.openpi.dialect import (
    RESET_DONE,
    decode_metadata,
    decode_reply,
    decode_request,
    encode_metadata,
    encode_reply,
    encode_request,
    rtc_of,
    timing_of,
    timing_values,
)

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
DROID, ALOHA = GOLDEN["conn1_c2s_frame0_op2"], GOLDEN["conn1_c2s_frame1_op2"]
FIRST, SECOND = GOLDEN["conn1_s2c_frame1_op2"], GOLDEN["conn1_s2c_frame2_op2"]
OPENPI = Envelope("openpi", dialect=ArrayDialect.OPENPI)
ACTIONS = np.arange(6, dtype=np.float32).reshape(2, 3)


def same(one: Value, other: Value) -> bool:
    """Return whether two values are equal with their types, NaN included."""
    return encode_message([one], ArrayDialect.OPENPI) == encode_message([other], ArrayDialect.OPENPI)


def test_the_first_frame_of_a_server_is_its_metadata() -> None:
    metadata: ValueMap = {"reset_pose": [0.0, -0.5], "env": "droid"}
    frame = GOLDEN["conn1_s2c_frame0_op2"]
    assert decode_metadata(frame) == metadata
    assert encode_metadata(metadata) == frame
    assert encode_metadata({}) == b"\x80"


def test_an_observation_of_droid() -> None:
    request = decode_request(DROID)
    assert request.operation is Operation.INFER
    assert request.envelope == OPENPI
    assert {path: (array.dtype.str, array.shape) for path, array in request.arrays.items()} == {
        ("observation/exterior_image_1_left",): ("|u1", (2, 2, 3)),
        ("observation/wrist_image_left",): ("|u1", (2, 2, 3)),
        ("observation/joint_position",): ("<f8", (7,)),
        ("observation/gripper_position",): ("<f8", (1,)),
    }
    assert request.texts == {("prompt",): "do something"}
    assert request.extra == {}
    joints = request.arrays["observation/joint_position",]
    np.testing.assert_allclose(joints, np.arange(7) / 10, atol=1e-15)


def test_an_observation_with_nested_cameras_and_numbers() -> None:
    request = decode_request(ALOHA)
    assert list(request.arrays) == [("state",), ("images", "cam_high")]
    assert request.texts == {("prompt",): "x"}
    assert request.extra == {("scalar",): 1.5, ("i",): 3, ("b",): True}
    assert [type(number) for number in request.extra.values()] == [np.float32, np.int64, np.bool_]


@pytest.mark.parametrize("name", [name for name in GOLDEN if "_c2s_" in name or "_C_" in name])
def test_a_captured_request_is_written_with_the_same_bytes(name: str) -> None:
    assert encode_request(decode_request(GOLDEN[name])) == GOLDEN[name]


@pytest.mark.parametrize("name", ["conn1_s2c_frame1_op2", "conn1_s2c_frame2_op2", "conn1_s2c_frame3_op2"])
def test_a_captured_reply_is_written_with_the_same_bytes(name: str) -> None:
    reply = decode_reply(GOLDEN[name])
    assert reply.error is None
    actions = reply.actions["actions"]
    assert (actions.dtype.str, actions.shape) == ("<f4", (2, 8))
    assert encode_reply(reply, OPENPI) == GOLDEN[name]


def test_the_timing_of_a_reply() -> None:
    first, second = timing_of(decode_reply(FIRST)), timing_of(decode_reply(SECOND))
    assert (first.policy_ms, first.previous_total_ms) == (12.5, None)
    assert (second.policy_ms, second.previous_total_ms) == (12.5, 0.7630840000274475)
    for frame, timing in ((FIRST, first), (SECOND, second)):
        reply = decode_reply(frame)
        assert timing_values(timing) == reply.extra
        assert encode_reply(ForeignReply(reply.actions, timing_values(timing)), OPENPI) == frame
    assert timing_values(ReplyTiming()) == {}


@pytest.mark.parametrize("said", [None, "1", True, float("nan"), [1.0], {"infer_ms": True}])
def test_a_timing_that_is_no_number_is_none(said: Value) -> None:
    reply = ForeignReply(extra={"server_timing": said, "policy_timing": {"infer_ms": said}})
    assert timing_of(reply) == ReplyTiming()


def test_a_reset_of_roboarena() -> None:
    request = decode_request(GOLDEN["roboarena_0_C_1_op2"])
    assert request.operation is Operation.RESET
    assert request.envelope.endpoint == "reset"
    assert request.texts == {("session_id",): "38DSA3hd3"}


def test_an_endpoint_that_nobody_knows_is_not_inference() -> None:
    assert decode_request(b"\x81\xa8endpoint\xa4nope").operation is Operation.UNKNOWN
    assert decode_request(b"\x81\xa8endpoint\xa5infer").operation is Operation.INFER
    with pytest.raises(ProtocolError, match="endpoint: wanted a text"):
        decode_request(b"\x81\xa8endpoint\x01")


@pytest.mark.parametrize("dialect", ArrayDialect)
def test_an_answer_has_the_dialect_of_its_question(dialect: ArrayDialect) -> None:
    request = decode_request(encode_message({"observation/state": np.zeros(6)}, dialect))
    answer = encode_reply(ForeignReply({"actions": ACTIONS}), request.envelope)
    assert answer == encode_message({"actions": ACTIONS}, dialect)


def test_without_a_question_s_array_the_answer_is_openpi_s_own() -> None:
    answer = encode_reply(ForeignReply({"actions": ACTIONS}), decode_request(b"\x80").envelope)
    assert answer == encode_message({"actions": ACTIONS}, ArrayDialect.OPENPI)


def test_an_error_is_a_text_frame() -> None:
    assert encode_reply(ForeignReply(error="Traceback"), OPENPI) == "Traceback"
    assert decode_reply("Traceback").error == "Traceback"


def test_an_error_in_a_map_is_one_too() -> None:
    frame = encode_message({"type": "error", "message": "no model"}, ArrayDialect.OPENPI)
    assert decode_reply(frame).error == "no model"


def test_a_text_that_says_a_reset_is_done_is_no_error() -> None:
    reply = decode_reply(RESET_DONE)
    assert (reply.error, reply.extra) == (None, {"status": RESET_DONE})
    frame = encode_reply(reply, OPENPI)
    assert decode_reply(frame).extra == reply.extra


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8"])
def test_actions_keep_their_element_type(dtype: str) -> None:
    frame = encode_reply(ForeignReply({"actions": ACTIONS.astype(dtype)}), OPENPI)
    assert decode_reply(frame).actions["actions"].dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "actions",
    [
        np.zeros(8, np.float32),
        np.zeros((1, 2, 3), np.float32),
        np.zeros((0, 8), np.float32),
        np.zeros((8, 0), np.float32),
        np.zeros((2, 8), np.int64),
        np.zeros((2, 8), np.float16),
        np.array(0.0),
        [[0.0]],
        None,
        "zeros",
    ],
)
def test_other_actions_are_refused_both_ways(actions: Value) -> None:
    with pytest.raises(ProtocolError, match="actions: wanted"):
        decode_reply(encode_message({"actions": actions}, ArrayDialect.OPENPI))
    if isinstance(actions, np.ndarray):
        with pytest.raises(ProtocolError, match="actions: wanted"):
            encode_reply(ForeignReply({"actions": actions}), OPENPI)


def test_actions_have_one_name() -> None:
    for reply in (ForeignReply({"arm": ACTIONS}), ForeignReply({"actions": ACTIONS}, {"actions": 1})):
        with pytest.raises(ProtocolError, match="one name 'actions'"):
            encode_reply(reply, OPENPI)


def test_a_client_can_cut_every_array_of_a_reply() -> None:
    extra: dict[str | bytes, Value] = {
        "load": np.array(0.5),
        "deep": [{"x": np.array(3)}],
        "long": np.zeros((2, 5)),
    }
    frame = encode_reply(ForeignReply({"actions": ACTIONS}, extra), OPENPI)
    found = decode_reply(frame).extra
    assert (found["load"], found["deep"]) == (0.5, [{"x": 3}])
    assert isinstance(found["long"], np.ndarray)
    with pytest.raises(ProtocolError, match="at least 2 long"):
        encode_reply(ForeignReply({"actions": ACTIONS}, {"short": np.zeros(1)}), OPENPI)


RTC: ValueMap = {
    "prev_action_chunk": [[0.0, 1.0, 2.0], [3, 4.0, 5.0]],
    "inference_delay": 3,
    "execute_horizon": 8,
    "enable_rtc": True,
    "mask_prefix_delay": False,
    "max_guidance_weight": 5.0,
}


def asked(**changed: Value) -> ForeignRequest:
    said: ValueMap = {**RTC, "prompt": "go"}
    said.update(changed)
    return decode_request(encode_message(said, ArrayDialect.OPENPI))


def test_what_is_said_for_real_time_chunking_is_read_and_kept() -> None:
    request = asked()
    rtc = rtc_of(request)
    assert rtc is not None
    assert rtc.prefix is not None
    np.testing.assert_array_equal(rtc.prefix, np.arange(6.0).reshape(2, 3))
    assert (rtc.inference_delay, rtc.execute_horizon) == (3, 8)
    assert (rtc.is_enabled, rtc.max_guidance_weight) == (True, 5.0)
    assert request.extra == {(key,): value for key, value in RTC.items()}


def test_a_request_that_says_nothing_of_it_has_none() -> None:
    assert rtc_of(decode_request(DROID)) is None
    assert rtc_of(asked(**dict.fromkeys(map(str, RTC)))) is None


def test_a_prefix_may_be_an_array_and_may_be_empty() -> None:
    rtc = rtc_of(asked(prev_action_chunk=ACTIONS))
    assert rtc is not None
    np.testing.assert_array_equal(rtc.prefix, ACTIONS)
    empty = rtc_of(asked(prev_action_chunk=[]))
    assert empty is not None
    assert empty.prefix is not None
    assert empty.prefix.shape == (0, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prev_action_chunk", [[1.0], [1.0, 2.0]]),
        ("prev_action_chunk", [[1.0, "2"]]),
        ("prev_action_chunk", [[True]]),
        ("prev_action_chunk", [1.0, 2.0]),
        ("prev_action_chunk", [[[1.0]]]),
        ("prev_action_chunk", [[float("nan")]]),
        ("prev_action_chunk", [[float("inf")]]),
        ("prev_action_chunk", "zeros"),
        ("prev_action_chunk", np.zeros(3)),
        ("prev_action_chunk", np.array(3.0)),
        ("inference_delay", -1),
        ("inference_delay", 2.5),
        ("inference_delay", True),
        ("inference_delay", 2**60),
        ("execute_horizon", "8"),
        ("enable_rtc", 1),
        ("max_guidance_weight", float("nan")),
        ("max_guidance_weight", "5"),
    ],
)
def test_what_is_said_wrongly_is_refused(key: str, value: Value) -> None:
    with pytest.raises(ProtocolError, match=f"{key}: wanted"):
        rtc_of(asked(**{key: value}))


texts = st.text(max_size=5)
numpy_arrays = arrays_of.arrays(
    st.sampled_from(["|u1", "<f4", "<f8", "|b1"]), arrays_of.array_shapes(max_dims=4, max_side=3)
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**63)
    | st.floats()
    | texts
    | st.binary(max_size=4)
    | numpy_arrays
)
names = texts.filter(lambda key: key not in ("endpoint", "nd"))


@st.composite
def observations(draw: st.DrawFn) -> dict[WirePath, Value]:
    """Return values by paths of which none goes through another one's value."""
    found: dict[WirePath, Value] = {}
    for first in draw(st.lists(names, max_size=4, unique=True)):
        inner = draw(st.lists(names, max_size=3, unique=True))
        below: list[WirePath] = [(first, last) for last in inner]
        for path in below or [(first,)]:
            found[path] = draw(leaves)
    return found


@given(
    observation=observations(),
    dialect=st.sampled_from(ArrayDialect),
    endpoint=st.sampled_from(["", "infer", "reset"]),
)
def test_a_request_is_itself_after_the_wire(
    observation: dict[WirePath, Value], dialect: ArrayDialect, endpoint: str
) -> None:
    envelope = Envelope("openpi", dialect=dialect, endpoint=endpoint)
    operation = Operation.RESET if endpoint == "reset" else Operation.INFER
    again = decode_request(encode_request(ForeignRequest(operation, envelope, observation)))
    assert list(again.observation) == list(observation)
    assert all(same(again.observation[path], value) for path, value in observation.items())
    assert (again.operation, again.envelope.endpoint) == (operation, endpoint)
    has_arrays = any(isinstance(value, np.ndarray) for value in observation.values())
    assert again.envelope.dialect is (dialect if has_arrays else None)


@pytest.mark.parametrize("frame", [DROID, ALOHA])
def test_a_request_cut_anywhere_is_refused(frame: bytes) -> None:
    for end in range(len(frame)):
        with pytest.raises(ProtocolError):
            decode_request(frame[:end])


def test_a_reply_cut_anywhere_is_refused() -> None:
    for end in range(len(SECOND)):
        with pytest.raises(ProtocolError):
            decode_reply(SECOND[:end])


@pytest.mark.parametrize("frame", [b"\xc0", b"\x90", b"\x01", b"\xa1x"])
def test_a_frame_that_is_no_map_is_refused(frame: bytes) -> None:
    for decode in (decode_request, decode_reply, decode_metadata):
        with pytest.raises(ProtocolError, match="wanted a map"):
            decode(frame)
