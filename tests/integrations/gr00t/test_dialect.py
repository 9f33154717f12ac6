"""Frames captured between the original programs, both ways, and everything that may come instead.

`golden/` holds frames of N1.5 and N1.6; those of N1.7 come from a transcription of its serializer.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.gr00t.dialect import (
    N1_5,
    N1_6,
    N1_7,
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
REQUESTS = sorted(name for name in GOLDEN if name.endswith("REQ"))
TASK = "annotation.human.task_description"
ARM = np.arange(10, dtype=np.float32).reshape(1, 2, 5)


def answered(name: str) -> tuple[ForeignRequest, str]:
    """Return the request of this golden frame, and the name of the frame that answers it."""
    head, number, _ = name.rsplit("_", 2)
    return decode_request(GOLDEN[name]), f"{head}_{int(number) + 1:02}_REP"


@pytest.mark.parametrize("name", REQUESTS)
def test_a_captured_request_is_written_with_the_same_bytes(name: str) -> None:
    assert encode_request(decode_request(GOLDEN[name])) == GOLDEN[name]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_captured_reply_is_written_with_the_same_bytes(name: str) -> None:
    request, answer = answered(name)
    reply = decode_reply(GOLDEN[answer], request.operation)
    if GOLDEN[answer] == b"\xc0":  # kill, which is refused
        assert (request.operation, reply.error, reply.extra) == (Operation.KILL, None, {})
        return
    assert encode_reply(reply, request, version=name.split("_")[0].replace("n1", "n1.")) == GOLDEN[answer]


@pytest.mark.parametrize(
    ("name", "operation", "endpoint"),
    [
        ("n15_00_REQ", Operation.PING, "ping"),
        ("n15_02_REQ", Operation.INFER, "get_action"),
        ("n15_04_REQ", Operation.DESCRIBE, "get_modality_config"),
        ("n15_06_REQ", Operation.UNKNOWN, "nope"),
        ("n15_08_REQ", Operation.KILL, "kill"),
        ("n16_04_REQ", Operation.RESET, "reset"),
        ("n17_02_REQ", Operation.INFER, "get_action"),
    ],
)
def test_the_endpoint_is_the_operation(name: str, operation: Operation, endpoint: str) -> None:
    request = decode_request(GOLDEN[name])
    assert (request.operation, request.envelope.endpoint) == (operation, endpoint)


def test_a_token_comes_with_every_request_of_a_client_that_has_one() -> None:
    given, none = decode_request(GOLDEN["n15_00_REQ"]), decode_request(GOLDEN["n16_00_REQ"])
    assert [given.token, none.token] == ["tok", None]


def shapes(request: ForeignRequest) -> dict[WirePath, tuple[str, tuple[int, ...]]]:
    return {path: (array.dtype.str, array.shape) for path, array in request.arrays.items()}


def test_a_request_of_n1_5() -> None:
    request = decode_request(GOLDEN["n15_02_REQ"])
    assert request.envelope == Envelope("gr00t", N1_5, ArrayDialect.NPY, "flat", "get_action")
    assert shapes(request) == {
        ("video.front",): ("|u1", (1, 2, 2, 3)),
        ("state.single_arm",): ("<f8", (1, 5)),
        ("state.gripper",): ("<f8", (1, 1)),
    }
    assert request.texts == {(TASK,): ["pick"]}
    assert (request.extra, request.beside) == ({}, {})


@pytest.mark.parametrize(
    ("name", "version", "dialect"),
    [("n16_02_REQ", N1_6, ArrayDialect.NPY), ("n17_02_REQ", N1_7, ArrayDialect.MSGPACK_NUMPY)],
)
def test_a_request_of_n1_6_and_n1_7(name: str, version: str, dialect: ArrayDialect) -> None:
    request = decode_request(GOLDEN[name])
    assert request.envelope == Envelope("gr00t", version, dialect, "nested", "get_action")
    assert shapes(request) == {
        ("video", "front"): ("|u1", (1, 1, 2, 2, 3)),
        ("video", "wrist"): ("|u1", (1, 1, 2, 2, 3)),
        ("state", "single_arm"): ("<f4", (1, 1, 5)),
        ("state", "gripper"): ("<f4", (1, 1, 1)),
    }
    assert request.texts == {("language", TASK): [["pick"]]}
    assert request.beside == {("data", "options"): None}


def test_the_wrapper_for_simulators_sends_flat_keys_with_a_batch() -> None:
    observation: Value = {"video.front": np.zeros((2, 1, 2, 2, 3), np.uint8), TASK: ["pick", "place"]}
    frame = encode_message(
        {"endpoint": "get_action", "data": {"observation": observation, "options": {"a": 1}}},
        ArrayDialect.NPY,
    )
    request = decode_request(frame)
    assert (request.envelope.version, request.envelope.form) == (N1_6, "flat")
    assert request.beside == {("data", "options", "a"): 1}
    assert encode_request(request) == frame


def test_a_message_without_an_endpoint_asks_for_actions() -> None:
    request = decode_request(encode_message({"data": {"state.arm": np.zeros((1, 5))}}, ArrayDialect.NPY))
    assert (request.operation, request.envelope.endpoint) == (Operation.INFER, "get_action")


@pytest.mark.parametrize(
    ("name", "names", "shape"),
    [
        ("n15_03_REP", ["action.single_arm", "action.gripper"], (2, 5)),
        ("n16_03_REP", ["single_arm", "gripper"], (1, 2, 5)),
        ("n17_03_REP", ["single_arm", "gripper"], (1, 2, 5)),
    ],
)
def test_actions_of_each_version(name: str, names: list[str], shape: tuple[int, ...]) -> None:
    reply = decode_reply(GOLDEN[name], Operation.INFER)
    assert list(reply.actions) == names
    assert reply.actions[names[0]].shape[-1] == 5
    assert reply.actions[names[0]].ndim == len(shape)
    assert (reply.extra, reply.error) == ({}, None)


def test_the_standing_answers_have_the_bytes_of_the_original() -> None:
    ping, nope = decode_request(GOLDEN["n15_00_REQ"]), decode_request(GOLDEN["n16_08_REQ"])
    assert encode_reply(PING_REPLY, ping) == GOLDEN["n15_01_REP"]
    assert encode_reply(WRONG_TOKEN, ping) == GOLDEN["n15_badtoken_01_REP"]
    assert encode_reply(unknown_endpoint("nope"), nope) == GOLDEN["n16_09_REP"]
    assert encode_error("Unknown endpoint: nope") == GOLDEN["n16_09_REP"]


@pytest.mark.parametrize("frame", [b"ERROR", encode_error("ERROR")])
def test_an_error_in_each_form(frame: bytes) -> None:
    for operation in Operation:
        assert decode_reply(frame, operation).error == "ERROR"


def test_an_error_that_is_no_text_is_shown_as_one() -> None:
    assert decode_reply(b"\x81\xa5error\x07", Operation.INFER).error == "7"


CONFIG: Value = {"delta_indices": [0], "modality_keys": ["front"]}


def test_a_description_is_the_same_in_every_version() -> None:
    ask = decode_request(GOLDEN["n16_06_REQ"])
    for version in (N1_5, N1_6, N1_7, ""):
        frame = encode_reply(ForeignReply(extra={"video": CONFIG}), ask, version=version)
        assert decode_reply(frame, Operation.DESCRIBE).extra == {"video": CONFIG}


def test_a_description_for_a_version_unknown_is_marked_for_both() -> None:
    ask = decode_request(GOLDEN["n16_06_REQ"])
    frame = encode_reply(ForeignReply(extra={"video": CONFIG}), ask)
    assert b"__ModalityConfig_class__" in frame
    assert b"__ModalityConfig__" in frame
    newest = encode_reply(ForeignReply(extra={"video": CONFIG}), ask, version=N1_7)
    assert b"__ModalityConfig_class__" not in newest


@pytest.mark.parametrize(
    "said", [7, "{", "[1]", "[" * 60_000, '"' + "x" * 70_000 + '"', None], ids=lambda said: str(said)[:8]
)
def test_a_description_that_is_none_is_refused(said: Value) -> None:
    frame = encode_message({"video": {"__ModalityConfig__": True, "as_json": said}}, ArrayDialect.NPY)
    with pytest.raises(ProtocolError, match="as_json"):
        decode_reply(frame, Operation.DESCRIBE)


@pytest.mark.parametrize(
    "message",
    [
        [],
        None,
        {"endpoint": 1},
        {"endpoint": "ping", "api_token": 1},
        {"endpoint": "get_action"},
        {"endpoint": "get_action", "data": None},
        {"endpoint": "get_action", "data": [1]},
        {"endpoint": "get_action", "data": {"observation": 1}},
    ],
)
def test_a_request_of_another_shape_is_refused(message: Value) -> None:
    with pytest.raises(ProtocolError, match="wanted"):
        decode_request(encode_message(message, ArrayDialect.NPY))


@pytest.mark.parametrize(
    "message",
    [
        None,
        7,
        [],
        [{}, {}, {}],
        [[], {}],
        [{}, []],
        [{"arm": [1.0]}, {}],
        [{b"arm": np.zeros((2, 5))}, {}],
        [{"arm": np.zeros((2, 5), np.int64)}, {}],
        [{"arm": np.zeros((0, 5))}, {}],
        [{"arm": np.array(1.0)}, {}],
        [{"arm": np.zeros((1, 1, 2, 5))}, {}],
        {"action.arm": np.zeros((2, 5), np.float16)},
    ],
)
def test_actions_of_another_shape_are_refused(message: Value) -> None:
    with pytest.raises(ProtocolError, match="wanted"):
        decode_reply(encode_message(message, ArrayDialect.MSGPACK_NUMPY), Operation.INFER)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ForeignReply({"action.arm": ARM}, {"error": "none"}), "no key 'error'"),
        (ForeignReply({"error": ARM}), "no key 'error'"),
        (ForeignReply({"action.arm": ARM}, {"action.arm": 1}), "each key once"),
        (ForeignReply({"action.arm": ARM.astype(np.int64)}), "float32 or float64"),
    ],
)
def test_a_reply_that_clients_would_misread_is_not_sent(reply: ForeignReply, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        encode_reply(reply, decode_request(GOLDEN["n15_02_REQ"]))


@pytest.mark.parametrize("name", [name for name in GOLDEN if GOLDEN[name] != b"\xc0"])
def test_a_frame_cut_anywhere_is_refused(name: str) -> None:
    frame = GOLDEN[name]
    decode = decode_request if name.endswith("REQ") else partial(decode_reply, operation=Operation.INFER)
    for end in range(len(frame)):
        with pytest.raises(ProtocolError):
            decode(frame[:end])


groups = st.dictionaries(
    st.sampled_from(["video", "state", "language"]), st.sampled_from(["a", "b"]), min_size=1
)
values = st.sampled_from([np.zeros((1, 1, 2), np.float32), np.ones((1, 2, 3), np.uint8)])


@given(
    names=groups,
    array=values,
    version=st.sampled_from([N1_5, N1_6, N1_7]),
    token=st.none() | st.text(max_size=4),
    options=st.none() | st.integers(0, 9) | st.lists(st.text(max_size=2), max_size=2),
)
def test_a_request_is_itself_after_the_wire(
    names: dict[str, str], array: np.ndarray, version: str, token: str | None, options: Value
) -> None:
    dialect = ArrayDialect.MSGPACK_NUMPY if version == N1_7 else ArrayDialect.NPY
    is_flat = version == N1_5
    observation: dict[WirePath, Value] = {
        (f"{group}.{name}",) if is_flat else (group, name): array for group, name in names.items()
    }
    envelope = Envelope("gr00t", version, dialect, "flat" if is_flat else "nested", "get_action")
    beside: dict[WirePath, Value] = {} if is_flat else {("data", "options"): options}
    again = decode_request(
        encode_request(ForeignRequest(Operation.INFER, envelope, observation, beside | {("more",): 1}, token))
    )
    assert again.envelope == envelope
    assert (again.token, again.beside) == (token, beside | {("more",): 1})
    assert list(again.observation) == list(observation)
    for found in again.arrays.values():
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_a_request_of_many_small_values_is_refused_before_it_is_read() -> None:
    frame = encode_message(
        {"endpoint": "ping", "data": {str(key): {} for key in range(4096)}}, ArrayDialect.NPY
    )
    with pytest.raises(ProtocolError, match="at most 4096 keys and values"):
        decode_request(frame)
