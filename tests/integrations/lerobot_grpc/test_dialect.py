from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_pickles import golden
from vagus.errors import ProtocolError, SpecError
from vagus.integrations.lerobot_grpc.dialect import (
    LerobotReply,
    LerobotRequest,
    decode_reply,
    decode_request,
    decode_setup,
    encode_reply,
    encode_request,
    encode_setup,
)
from vagus.integrations.lerobot_grpc.messages import HelpersModule, TimedAction, TimedObservation
from vagus.integrations.lerobot_grpc.pickle_writer import write_actions, write_observation
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part, encode_data

CONFIG = decode_setup(golden("policy_setup.grpcmsg.bin"))
PICTURE = np.zeros((4, 6, 3), np.uint8)
NAMES = CONFIG.lerobot_features["observation.state"].names
WHOLE: dict[str, float | str | np.ndarray] = {
    **dict.fromkeys(NAMES, 0.5), "front": PICTURE, "wrist": PICTURE, "task": "pick"
}  # fmt: skip


def sent(request: LerobotRequest) -> LerobotRequest:
    parts = ObservationParts(32 << 20)
    (payload,) = [parts.add(decode_part(message)) for message in encode_request(request, CONFIG)][-1:]
    assert payload is not None
    return decode_request(payload, CONFIG)


def test_a_setup_comes_back_byte_for_byte() -> None:
    assert encode_setup(CONFIG) == golden("policy_setup.grpcmsg.bin")


def test_the_request_of_a_real_client_both_ways() -> None:
    request = decode_request(golden("observation.pickle.bin"), CONFIG)
    assert request.state.tolist() == [0, 1.5, 3, 4.5, 6, 7.5]
    assert list(request.images) == ["front", "wrist"]
    assert (request.images["wrist"] == 1).all()
    assert (request.instruction, request.timestep, request.must_go, request.extra) == ("pick", 0, True, {})
    assert encode_request(request, CONFIG) == [golden("observation.grpcmsg.bin")]


def test_the_reply_of_a_real_server_both_ways() -> None:
    reply = decode_reply(golden("actions.grpcmsg.bin"))
    assert reply is not None
    assert reply.actions.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert (reply.timestep, reply.timestamp_s) == (0, 1795191773.3918204)
    assert reply.step_s == pytest.approx(1 / 30, abs=1e-6)
    again = decode_reply(encode_reply(reply, CONFIG))
    assert again is not None
    np.testing.assert_array_equal(again.actions, reply.actions)


@given(
    st.lists(st.floats(allow_nan=False), min_size=6, max_size=6),
    st.none() | st.text(max_size=50),
    st.integers(0, 10**9),
    st.booleans(),
    st.dictionaries(st.sampled_from(("force", "note")), st.floats(allow_nan=False) | st.text(max_size=9)),
)
def test_any_request_comes_back(
    state: list[float], instruction: str | None, step: int, must_go: bool, extra: dict[str, float | str]
) -> None:
    images = {"front": PICTURE + 7, "wrist": PICTURE}
    request = LerobotRequest(np.array(state), images, instruction, step, 12.5, must_go, extra)
    read = sent(request)
    assert read.state.tolist() == state
    assert all((read.images[name] == images[name]).all() for name in images)
    assert (read.instruction, read.timestep, read.timestamp_s) == (instruction, step, 12.5)
    assert (read.must_go, read.extra) == (must_go, extra)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_any_reply_comes_back(horizon: int, dim: int, step: int) -> None:
    actions = np.random.default_rng(horizon).random((horizon, dim), np.float32)
    read = decode_reply(encode_reply(LerobotReply(actions, step, 100.0, 0.25), CONFIG))
    assert read is not None
    np.testing.assert_array_equal(read.actions, actions)
    assert (read.timestep, read.timestamp_s, read.step_s) == (step, 100.0, 0.25 if horizon > 1 else 0.0)


def test_no_answer_is_no_bytes() -> None:
    assert encode_reply(None, CONFIG) == b""
    assert decode_reply(b"") is None


def test_an_empty_reply_and_a_state_of_another_length_are_not_written() -> None:
    with pytest.raises(SpecError, match="actions"):
        encode_reply(LerobotReply(np.zeros((0, 6), np.float32), 0, 0.0, 0.1), CONFIG)
    with pytest.raises(SpecError, match=r"wanted shape \(6,\), got \(5,\)"):
        encode_request(LerobotRequest(np.zeros(5), {}, None, 0, 0.0, must_go=True), CONFIG)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("gripper.pos", None, "gripper.pos.*wanted a number, got nothing"),
        ("gripper.pos", "half", "wanted a number, got str"),
        ("wrist", None, "camera wrist.*got NoneType"),
        ("wrist", 1.0, "camera wrist.*got float"),
        ("wrist", np.zeros((4, 6, 3)), "camera wrist.*got float64"),
        ("wrist", np.zeros((6, 4, 3), np.uint8), r"camera wrist.*got uint8 \(6, 4, 3\)"),
        ("task", 1, "task: wanted a text, got int"),
    ],
)
def test_what_the_features_promise_must_be_there(name: str, value: object, named: str) -> None:
    values = {**WHOLE, name: value}
    if value is None:
        del values[name]
    payload = write_observation(TimedObservation(0.0, 0, values, must_go=True))  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=named):
        decode_request(payload, CONFIG)


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
