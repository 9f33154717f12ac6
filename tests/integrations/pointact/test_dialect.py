"""Frames captured between PointAct's original programs, both ways, and everything that may come instead."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.pointact.dialect import (
    PING_REPLY,
    WRONG_TOKEN,
    decode_reply,
    decode_request,
    encode_error,
    encode_reply,
    encode_request,
    unknown_endpoint,
)

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
ANSWERS = {
    "get_action_REQ": "get_action_REP",
    "ps_00_REQ": "ps_01_REP",
    "ps_02_REQ": "ps_03_REP",
    "ps_04_REQ": "ps_05_REP",
}
B = ArrayDialect.MSGPACK_NUMPY


def asked(**data: Value) -> bytes:
    return encode_message({"endpoint": "get_action", "data": dict[Key, Value](data.items())}, B)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_captured_request_is_written_with_the_same_bytes(name: str) -> None:
    assert encode_request(decode_request(GOLDEN[name])) == GOLDEN[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_captured_reply_is_written_with_the_same_bytes(name: str) -> None:
    answer = GOLDEN[ANSWERS[name]]
    assert encode_reply(decode_reply(answer, decode_request(GOLDEN[name]).operation)) == answer


def test_every_captured_frame_is_tested() -> None:
    assert {*ANSWERS, *ANSWERS.values()} == set(GOLDEN)


def test_the_request_of_a_robot() -> None:
    request = decode_request(GOLDEN["get_action_REQ"])
    assert (request.operation, request.token) == (Operation.INFER, None)
    assert request.envelope == Envelope("pointact", dialect=B, endpoint="get_action")
    assert request.beside == {("data", "options", "pred_rot_type"): None}
    assert request.texts == {("task",): ["put the cube"], ("repo_id",): ["user/pointact_model"]}
    arrays = {path[0]: value for path, value in request.extra.items()}
    shapes = {key: [(one.dtype.str, one.shape) for one in rows] for key, rows in arrays.items()}  # type: ignore[union-attr]
    assert shapes == {
        "observation.images.front_image": [("|u1", (2, 2, 3))],
        "observation.points": [("<f4", (1, 6))],
        "observation.state": [("<f4", (6,))],
    }


@pytest.mark.parametrize(
    ("name", "operation"),
    [("ps_00_REQ", Operation.PING), ("ps_02_REQ", Operation.INFER), ("ps_04_REQ", Operation.RESET)],
)
def test_endpoint_and_token(name: str, operation: Operation) -> None:
    request = decode_request(GOLDEN[name])
    assert (request.operation, request.token) == (operation, "tok")
    assert "tok" not in repr(request)


def test_a_reply_has_a_batch_or_not() -> None:
    assert decode_reply(GOLDEN["ps_03_REP"], Operation.INFER).actions["action"].shape == (2, 4, 8)
    assert decode_reply(GOLDEN["get_action_REP"], Operation.INFER).actions["action"].shape == (3, 6)


def test_the_answers_that_are_no_actions() -> None:
    assert encode_reply(PING_REPLY) == GOLDEN["ps_01_REP"]
    assert encode_reply(ForeignReply()) == b"\x80"
    assert len(encode_reply(WRONG_TOKEN)) == 39
    assert encode_error("'observation.state'") == bytes.fromhex("81a56572726f72b3") + b"'observation.state'"
    assert decode_reply(encode_error("no"), Operation.INFER).error == "no"
    assert decode_reply(encode_message({"error": 7}, B), Operation.INFER).error == "7"
    assert decode_reply(b"ERROR", Operation.INFER).error == "ERROR"
    assert decode_reply(b"\xc0", Operation.KILL).extra == {}
    assert unknown_endpoint("x\ny").error == "Unknown endpoint: x\\ny"
    assert decode_request(encode_message({"endpoint": "point"}, B)).operation is Operation.UNKNOWN
    assert decode_request(encode_message({"endpoint": "kill"}, B)).operation is Operation.KILL


def test_options_of_none_and_keys_of_a_newer_program_come_back() -> None:
    for frame in (
        asked(batch={"task": ["a"]}, options=None),
        asked(batch={"new": [{"x": [1]}]}, more={"y": 1.5}),
    ):
        assert encode_request(decode_request(frame)) == frame


floats = st.floats(-1e3, 1e3, width=32)


@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.lists(floats, min_size=1, max_size=9)), min_size=1, max_size=5
    ),
    st.dictionaries(
        st.text(max_size=9), st.none() | st.booleans() | st.text(max_size=9) | floats, max_size=4
    ),
    st.none() | st.text(max_size=9),
)
def test_any_request_comes_back(
    robots: list[tuple[str, list[float]]], options: dict[str, Value], token: str | None
) -> None:
    observation: dict[WirePath, Value] = {
        ("task",): [task for task, _ in robots],
        ("observation.state",): [np.array(state, np.float32) for _, state in robots],
    }
    envelope = Envelope("pointact", endpoint="get_action")
    beside: dict[WirePath, Value] = {("data", "options"): dict[Key, Value](options.items())}
    request = ForeignRequest(Operation.INFER, envelope, observation, beside, token)
    frame = encode_request(request)
    again = decode_request(frame)
    assert encode_request(again) == frame
    assert (again.token, again.observation[("task",)]) == (token, observation[("task",)])
    states = again.observation[("observation.state",)]
    assert isinstance(states, list)
    assert [one.tolist() for one in states if isinstance(one, np.ndarray)] == [
        np.array(state, np.float32).tolist() for _, state in robots
    ]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8), st.data())
def test_any_actions_come_back(batch: int, horizon: int, width: int, data: st.DataObject) -> None:
    count = batch * horizon * width
    numbers = data.draw(st.lists(floats, min_size=count, max_size=count))
    actions = np.array(numbers, np.float32).reshape(batch, horizon, width)
    reply = decode_reply(encode_reply(ForeignReply({"action": actions}, {"took_ms": 1.5})), Operation.INFER)
    assert reply.actions["action"].tobytes() == actions.tobytes()
    assert reply.extra == {"took_ms": 1.5}


def marked(**fields: Value) -> dict[Key, Value]:
    plain: dict[str, Value] = {"nd": True, "type": "<f4", "kind": b"", "shape": [2], "data": bytes(8)}
    return {key.encode(): value for key, value in {**plain, **fields}.items()}


BOMB = b"\x81\xa4data\x81\xa5batch\x81\xa1x\xdd" + struct.pack(">I", 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (b"", "wanted 1 more bytes"),
        (b"\x90", "request: wanted a map"),
        (encode_message({"endpoint": 7}, B), "wanted texts as endpoint"),
        (encode_message({"endpoint": "ping", "api_token": 7}, B), "wanted texts as endpoint"),
        (encode_message({"endpoint": "get_action"}, B), "data of get_action: wanted a map, got NoneType"),
        (asked(options=None), "batch of get_action: wanted a map, got NoneType"),
        (asked(batch=[1]), "batch of get_action: wanted a map, got list"),
        (asked(batch={"observation.state": np.zeros(6)}), "state: wanted a list with one value per"),
        (asked(batch={"task": "pick"}), "task: wanted a list with one value per robot, got str"),
        (asked(batch={"x": [marked(kind=b"O", type="|O")]}), "got objects or structures"),
        (asked(batch={"x": [marked(type="|O")]}), "wanted an element type"),
        (asked(batch={"x": [marked(shape=[3])]}), "wanted 12 bytes"),
        (asked(batch={"x": [marked(shape=[1 << 40, 0])]}), "wanted sizes that fit a message"),
        (asked(batch={"x": [marked(shape=[-2])]}), "wanted sizes that fit a message"),
        (BOMB, "wanted 4294967295 more items"),
        (b"\x81\xa4data" + b"\x91" * 40, "inside each other"),
        (b"\x81\xa4data\xdc\x10\x01" + bytes(4097), "at most 4096 keys and values"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused(frame: bytes, wanted: str) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        decode_request(frame)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_frame_cut_anywhere_is_refused(name: str) -> None:
    whole = GOLDEN[name]
    for end in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode_request(whole[:end]) if name.endswith("REQ") else decode_reply(
                whole[:end], Operation.INFER
            )


@pytest.mark.parametrize(
    "value",
    [None, [[1.0]], np.zeros(6), np.zeros((0, 6)), np.zeros((1, 1, 1, 1)), np.zeros((2, 6), np.int64),
     np.zeros((2, 6), np.float16), np.full((2, 6), np.nan), np.full((2, 6), np.inf, np.float32)],
)  # fmt: skip
def test_actions_that_are_none_are_refused_both_ways(value: Value) -> None:
    with pytest.raises(ProtocolError, match="action"):
        decode_reply(encode_message({"action": value}, B), Operation.INFER)
    if isinstance(value, np.ndarray):
        with pytest.raises(ProtocolError, match="action"):
            encode_reply(ForeignReply({"action": value}))


@pytest.mark.parametrize(
    "reply",
    [
        ForeignReply({"actions": np.zeros((1, 2))}),
        ForeignReply({"action": np.zeros((1, 2))}, {"action": 1}),
        ForeignReply(extra={"error": "none"}),
    ],
)
def test_a_reply_that_clients_would_misread_is_not_written(reply: ForeignReply) -> None:
    with pytest.raises(ProtocolError, match="reply: wanted"):
        encode_reply(reply)
