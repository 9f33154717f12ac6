from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_pickles import golden
from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation
from vagus.integrations.lerobot_grpc.dialect import (
    decode_reply,
    decode_request,
    decode_setup,
    encode_reply,
    encode_request,
    encode_setup,
    images_of,
    state_of,
)
from vagus.integrations.lerobot_grpc.messages import HelpersModule, TimedAction
from vagus.integrations.lerobot_grpc.pickle_writer import write_actions
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part, encode_data

CONFIG = decode_setup(golden("policy_setup.grpcmsg.bin"))
ENVELOPE = Envelope("lerobot_grpc", version=HelpersModule.SINCE_0_4.value)
NAMES = CONFIG.lerobot_features["observation.state"].names
PICTURE = np.zeros((4, 6, 3), np.uint8)
BESIDE: dict[str, Value] = {"timestamp": 12.5, "timestep": 3, "must_go": True}
TIMES: dict[str | bytes, Value] = {"timestamp": 100.0, "timestep": 3, "step_s": 0.25}


def request_of(values: dict[str, Value], beside: dict[str, Value] = BESIDE) -> ForeignRequest:
    return ForeignRequest(
        Operation.INFER, ENVELOPE, {(key,): one for key, one in values.items()},
        {(key,): one for key, one in beside.items()},
    )  # fmt: skip


def test_a_setup_comes_back_byte_for_byte() -> None:
    assert encode_setup(CONFIG) == golden("policy_setup.grpcmsg.bin")


def test_the_request_of_a_real_client_both_ways() -> None:
    request = decode_request(golden("observation.pickle.bin"))
    assert request.envelope == ENVELOPE
    assert state_of(request, CONFIG).tolist() == [0, 1.5, 3, 4.5, 6, 7.5]
    images = images_of(request, CONFIG)
    assert list(images) == ["front", "wrist"]
    assert (images["wrist"] == 1).all()
    assert request.texts == {("task",): "pick"}
    assert request.beside == {("timestamp",): 1795191773.3918204, ("timestep",): 0, ("must_go",): True}
    assert encode_request(request) == [golden("observation.grpcmsg.bin")]


def test_the_reply_of_a_real_server_both_ways() -> None:
    reply = decode_reply(golden("actions.grpcmsg.bin"))
    assert reply.actions["actions"].tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert (reply.extra["timestep"], reply.extra["timestamp"]) == (0, 1795191773.3918204)
    assert reply.extra["step_s"] == pytest.approx(1 / 30, abs=1e-6)
    again = decode_reply(encode_reply(reply, ENVELOPE))
    np.testing.assert_array_equal(again.actions["actions"], reply.actions["actions"])
    assert again.extra == reply.extra


@given(
    st.dictionaries(st.text(max_size=30), st.floats(allow_nan=False) | st.text(max_size=50)),
    st.integers(0, 10**9),
    st.booleans(),
    st.sampled_from(HelpersModule),
)
def test_any_request_comes_back(
    values: dict[str, Value], step: int, must_go: bool, module: HelpersModule
) -> None:
    request = ForeignRequest(
        Operation.INFER,
        Envelope("lerobot_grpc", version=module.value),
        {(key,): value for key, value in values.items()},
        {("timestamp",): 12.5, ("timestep",): step, ("must_go",): must_go},
    )
    (message,) = encode_request(request)
    payload = ObservationParts(1 << 20).add(decode_part(message))
    assert payload is not None
    read = decode_request(payload)
    assert (read.operation, read.envelope) == (request.operation, request.envelope)
    assert (read.observation, read.beside) == (request.observation, request.beside)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_any_reply_comes_back(horizon: int, dim: int, step: int) -> None:
    actions = np.random.default_rng(horizon).random((horizon, dim), np.float32)
    read = decode_reply(
        encode_reply(ForeignReply({"actions": actions}, TIMES | {"timestep": step}), ENVELOPE)
    )
    np.testing.assert_array_equal(read.actions["actions"], actions)
    wanted = TIMES | {"timestep": step, "step_s": 0.25 if horizon > 1 else 0.0}
    assert read.extra == wanted


def test_an_error_and_no_actions_are_no_bytes() -> None:
    assert encode_reply(ForeignReply(error="out of memory"), ENVELOPE) == b""
    assert encode_reply(ForeignReply(), ENVELOPE) == b""
    assert decode_reply(b"").actions == {}


@pytest.mark.parametrize(
    ("actions", "times", "version", "named"),
    [
        (np.zeros((0, 6), np.float32), {}, None, "horizon, action_dim"),
        (np.zeros(6, np.float32), {}, None, "horizon, action_dim"),
        (np.zeros((2, 6)), {}, None, "float32"),
        (np.zeros((2, 6), np.float32), {"timestep": None}, None, "timestep: wanted a whole number"),
        (np.zeros((2, 6), np.float32), {"timestep": True}, None, "timestep: wanted a whole number"),
        (np.zeros((2, 6), np.float32), {"step_s": None}, None, "step_s: wanted seconds"),
        (np.zeros((2, 6), np.float32), {}, "os", "version: wanted lerobot.*got os"),
    ],
)
def test_a_reply_that_the_wire_cannot_carry_is_refused(
    actions: np.ndarray, times: dict[str | bytes, Value], version: str | None, named: str
) -> None:
    envelope = ENVELOPE if version is None else Envelope("lerobot_grpc", version=version)
    with pytest.raises(ProtocolError, match=named):
        encode_reply(ForeignReply({"actions": actions}, TIMES | times), envelope)


def test_a_request_that_the_wire_cannot_carry_is_refused() -> None:
    deep = ForeignRequest(Operation.INFER, ENVELOPE, {("a", "b"): 1.0}, {})
    for request, named in (
        (deep, "one text as key"),
        (request_of({"a": [1.0]}), "wanted a number, a text or an array"),
        (request_of({}, {}), "timestep"),
    ):
        with pytest.raises(ProtocolError, match=named):
            encode_request(request)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("gripper.pos", None, "gripper.pos.*wanted a number, got nothing"),
        ("gripper.pos", "half", "wanted a number, got str"),
        ("wrist", None, "camera wrist.*got NoneType"),
        ("wrist", 1.0, "camera wrist.*got float"),
        ("wrist", np.zeros((4, 6, 3)), "camera wrist.*got float64"),
        ("wrist", np.zeros((6, 4, 3), np.uint8), r"camera wrist.*got uint8 \(6, 4, 3\)"),
    ],
)
def test_what_the_features_promise_must_be_there(name: str, value: Value, named: str) -> None:
    values: dict[str, Value] = {**dict.fromkeys(NAMES, 0.5), "front": PICTURE, "wrist": PICTURE, name: value}
    request = request_of(values)
    with pytest.raises(ProtocolError, match=named):
        (images_of if name == "wrist" else state_of)(request, CONFIG)


@pytest.mark.parametrize(
    ("steps", "times", "named"),
    [((3, 3), (0.0, 0.1), "one after the other"), ((3, 4), (1.0, 0.5), "do not fall")],
)
def test_actions_out_of_order_are_refused(
    steps: tuple[int, ...], times: tuple[float, ...], named: str
) -> None:
    actions = [TimedAction(at, step, np.zeros(2, np.float32)) for at, step in zip(times, steps, strict=True)]
    with pytest.raises(ProtocolError, match=named):
        decode_reply(encode_data(write_actions(actions, HelpersModule.SINCE_0_4)))
