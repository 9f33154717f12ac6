"""Messages captured between the Astribot S1's original programs, both ways, and what may come instead."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotCommand,
    AstribotImage,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
    Method,
    StatusCode,
)
from vagus.integrations.astribot.motion_codec import (
    decode_action,
    decode_chunk,
    decode_observation,
    encode_action,
    encode_chunk,
    encode_observation,
)
from vagus.integrations.astribot.session_codec import (
    decode_command,
    decode_policy_config,
    decode_status,
    encode_command,
    encode_policy_config,
    encode_status,
)
from vagus.integrations.astribot.variants import OPENPI

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}


def again(name: str, message: bytes) -> bytes:
    """Return a captured message, read and written by the codec of its kind."""
    if name == "Configure_0_c2s":
        return encode_policy_config(decode_policy_config(message))
    if name.endswith("c2s"):
        return encode_observation(decode_observation(message))
    if name.startswith("PredictChunk"):
        return encode_chunk(decode_chunk(message))
    return (
        encode_action(decode_action(message))
        if name.startswith("Predict")
        else encode_status(decode_status(message))
    )


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_captured_message_is_written_with_the_same_bytes(name: str) -> None:
    assert again(name, GOLDEN[name]) == GOLDEN[name]


def test_the_captured_messages() -> None:
    assert decode_policy_config(GOLDEN["Configure_0_c2s"]) == AstribotPolicyConfig(
        "pi05_astribot_lora", "/ckpt/79999", "clear up the desktop", "cuda"
    )
    ready = AstribotStatus(
        is_ready=True,
        model_name="pi05_astribot_lora",
        action_horizon=2,
        action_dim=25,
        message="已加载模型: pi05_astribot_lora",
        current_prompt="clear up the desktop",
        metadata_json='{"k": 1}',
    )
    assert decode_status(GOLDEN["Configure_0_s2c"]) == ready
    later = replace(ready, message="", current_episode=3, current_prompt="x")
    assert decode_status(GOLDEN["GetStatus_0_s2c"]) == later
    assert decode_status(GOLDEN["Reset_0_s2c"]) == replace(later, message="已重置")
    assert decode_observation(GOLDEN["Predict_0_c2s"]).state.tolist() == [0.5] * 25
    action = decode_action(GOLDEN["Predict_0_s2c"])
    assert (action.status, action.server_frame_index) == (StatusCode.OK, 2)
    np.testing.assert_allclose(action.values, np.arange(25) / 10, rtol=1e-6)
    refused = decode_chunk(GOLDEN["PredictChunk_0_s2c"])
    assert (refused.status, refused.actions.shape) == (StatusCode.NOT_READY, (0, 0))
    assert refused.error_message == "服务未就绪，请先调用 Configure"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (
            AstribotCommand(CommandType.SET_PROMPT, {"prompt": "x"}),
            b"\x08\x02\x12\x0b\x0a\x06prompt\x12\x01x",
        ),
        (
            AstribotCommand(CommandType.SET_EPISODE, {"episode": "3"}),
            b"\x08\x01\x12\x0c\x0a\x07episode\x12\x013",
        ),
        (AstribotCommand(CommandType.RESET), b""),
    ],
)
def test_the_commands_as_they_were_seen(command: AstribotCommand, wanted: bytes) -> None:
    assert encode_command(command) == wanted
    assert decode_command(wanted) == command


def test_a_picture_stands_where_it_was_seen() -> None:
    seen = bytes.fromhex(
        "12 8a 05 0a 04 68 65 61 64 12 f7 04"
    )  # 650 bytes: a name, 631 bytes of JPEG, its size
    image = AstribotImage("head", bytes(631), 64, 48, "jpeg")
    message = encode_observation(AstribotObservation(np.zeros(25, np.float32), (image,)))
    assert message[102 : 102 + len(seen)] == seen
    found = decode_observation(message).images[0]
    assert (found.camera_name, found.width, found.height, found.encoding) == ("head", 64, 48, "jpeg")
    assert found.data == image.data


def test_the_paths_of_the_calls() -> None:
    assert OPENPI.path(Method.PREDICT_CHUNK) == "/openpi.OpenPiInferenceService/PredictChunk"


floats = st.floats(-1e3, 1e3, width=32)
whole = st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.integers(1, 4), st.integers(1, 25), st.booleans(), whole, st.data())
def test_any_chunk_comes_back(size: int, width: int, end: bool, frame: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(floats, min_size=size * width, max_size=size * width))
    actions = np.array(numbers, np.float32).reshape(size, width)
    chunk = decode_chunk(encode_chunk(AstribotChunk(actions, is_terminal=end, server_frame_index=frame)))
    assert chunk.actions.tobytes() == actions.tobytes()
    assert (chunk.is_terminal, chunk.server_frame_index, chunk.status) == (end, frame, StatusCode.OK)
    action = decode_action(encode_action(AstribotAction(actions[0], is_terminal=end, confidence=0.5)))
    assert action.values.tobytes() == actions[0].tobytes()
    assert (action.is_terminal, action.confidence) == (end, 0.5)


@given(st.lists(floats, max_size=25), st.text(max_size=9), st.floats(0, 2e9), whole, st.binary(max_size=9))
def test_any_observation_comes_back(
    state: list[float], text: str, time_s: float, number: int, data: bytes
) -> None:
    image = AstribotImage(text, memoryview(data), number, number, text)
    sent = AstribotObservation(
        np.array(state, np.float32), (image, image), text, time_s, number, number, text
    )
    found = decode_observation(encode_observation(sent))
    assert found.state.tobytes() == sent.state.tobytes()
    assert replace(found, state=sent.state).images == sent.images
    assert (found.prompt, found.timestamp_s, found.episode_id, found.frame_index, found.extra_state) == (
        text, time_s, number, number, text,
    )  # fmt: skip


texts = st.text(max_size=9)


@given(
    st.dictionaries(texts, texts, max_size=4),
    st.sampled_from(CommandType),
    st.lists(texts, min_size=4, max_size=4),
)
def test_any_session_message_comes_back(params: dict[str, str], kind: CommandType, four: list[str]) -> None:
    command, config = AstribotCommand(kind, params), AstribotPolicyConfig(four[0], four[1], four[2], four[3])
    assert decode_command(encode_command(command)) == command
    assert decode_policy_config(encode_policy_config(config)) == config
    status = AstribotStatus(model_name=four[0], current_frame=-1, message=four[1], metadata_json=four[2])
    assert decode_status(encode_status(status)) == status


def test_of_a_failure_only_the_reason_is_read() -> None:
    nan = np.full(2, np.nan, "<f4").tobytes()
    chunk = decode_chunk(b"\x0a\x0a\x0a\x08" + nan + b"\x10\x05\x28\x01\x32\x02no")
    assert (chunk.status, chunk.error_message, chunk.actions.size) == (StatusCode.ERROR, "no", 0)
    action = decode_action(b"\x0a\x08" + nan + b"\x20\x05\x2a\x02no")
    assert (action.status, action.error_message, action.values.size) == (StatusCode.INVALID_INPUT, "no", 0)


BAD_FLOATS = b"\x0a\x04" + np.float32(np.inf).tobytes()
STEP = b"\x0a\x06\x0a\x04" + bytes(4)


@pytest.mark.parametrize(
    ("decode", "message", "wanted"),
    [
        (decode_observation, BAD_FLOATS, "state: wanted finite numbers"),
        (decode_observation, b"\x0a\x03abc", "floats of 4 bytes"),
        (decode_observation, b"\x0a\x84\x08" + bytes(1028), "observation: wanted at most 256 floats"),
        (decode_observation, b"\x12\x00" * 17, "at most 16 messages"),
        (decode_observation, b"\x12\x02\x08\x01", "picture: wanted wire type BYTES as field 1"),
        (decode_observation, b"\x21" + np.float64(np.nan).tobytes(), "timestamp: wanted a finite number"),
        (decode_observation, b"\x1a\x81\x20" + bytes(4097), "a text of at most 4096 bytes"),
        (decode_observation, bytes((32 << 20) + 1), "observation: wanted at most"),
        (decode_observation, b"\x40\x00" * 2049, "at most 2048 fields"),
        (decode_action, b"", "wanted actions with the status OK, got none"),
        (decode_action, BAD_FLOATS, "action: wanted finite numbers"),
        (decode_action, b"\x0a\x04" + bytes(4) + b"\x1d\x00\x00\xc0\x7f", "confidence: wanted a finite"),
        (decode_action, b"\x20\x06", "answer: wanted a status from 0 to 5, got 6"),
        (decode_chunk, b"", "wanted actions with the status OK, got none"),
        (decode_chunk, b"\x0a\x00\x10\x01", "wanted actions with the status OK, got none"),
        (decode_chunk, STEP + b"\x10\x02\x18\x01", "wanted 2 actions of 1 numbers, got 1 of"),
        (decode_chunk, STEP + b"\x10\x01\x18\x02", "wanted 1 actions of 2 numbers, got 1 of"),
        (decode_chunk, STEP + b"\x0a\x00\x10\x02\x18\x01", "wanted 2 actions of 1 numbers, got 2 of"),
        (decode_chunk, b"\x0a\x06" + BAD_FLOATS + b"\x10\x01\x18\x01", "actions: wanted finite numbers"),
        (decode_chunk, b"\x0a\x00" * 1025, "at most 1024 messages"),
        (decode_chunk, b"\x0a\x82\x01" + b"\x40\x00" * 65 + b"\x10\x01", "at most 64 fields"),
        (decode_command, b"\x08\x03", "command: wanted a type from 0 to 2, got 3"),
        (decode_command, b"\x12\x00" * 17, "at most 16 messages"),
        (decode_policy_config, b"\x0a\x01\xff", "configuration: wanted a text in UTF-8"),
        (decode_status, b"\x0a\x01x", "status: wanted wire type VARINT"),
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_refused(
    decode: Callable[[bytes], object], message: bytes, wanted: str
) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        decode(message)


ONES = np.ones(2, np.float32)
MANY_PARAMS = {str(at): "" for at in range(17)}
MANY_IMAGES = (AstribotImage("a", b"", 0, 0, "raw"),) * 17


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda: encode_observation(AstribotObservation(np.full(2, np.nan, np.float32))), "finite"),
        (lambda: encode_observation(AstribotObservation(np.ones(257, np.float32))), "at most 256 numbers"),
        (lambda: encode_observation(AstribotObservation(ONES, MANY_IMAGES)), "at most 16 pictures"),
        (lambda: encode_observation(AstribotObservation(ONES, prompt="x" * 4097)), "at most 4096 bytes"),
        (lambda: encode_observation(AstribotObservation(ONES, timestamp_s=np.inf)), "finite"),
        (lambda: encode_action(AstribotAction(ONES[:0])), "wanted actions with the status OK"),
        (lambda: encode_action(AstribotAction(np.full(2, np.inf, np.float32))), "finite"),
        (lambda: encode_chunk(AstribotChunk(np.zeros((0, 0), np.float32))), "wanted actions with the"),
        (lambda: encode_chunk(AstribotChunk(ONES)), r"wanted \(horizon, width\)"),
        (lambda: encode_chunk(AstribotChunk(np.ones((1025, 1), np.float32))), r"wanted \(horizon, width\)"),
        (lambda: encode_chunk(AstribotChunk(np.full((1, 1), np.nan, np.float32))), "finite"),
        (lambda: encode_command(AstribotCommand(CommandType.RESET, MANY_PARAMS)), "at most 16 parameters"),
    ],
)  # fmt: skip
def test_what_would_be_refused_is_not_written(write: Callable[[], bytes], wanted: str) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        write()


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_message_cut_anywhere_is_another_one_or_refused(name: str) -> None:
    for end in range(len(GOLDEN[name])):
        cut = GOLDEN[name][:end]
        with contextlib.suppress(ProtocolError):
            assert again(name, cut) == cut  # between two fields
