"""Observations become neutral requests, and replies become answers with their status in them, both ways."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.astribot.dialect import (
    action_from,
    chunk_from,
    observation_from,
    reply_of,
    request_of,
)
from vagus.integrations.astribot.messages import AstribotImage, AstribotObservation, Method, StatusCode
from vagus.integrations.astribot.motion_codec import (
    decode_chunk,
    decode_observation,
    encode_chunk,
    encode_observation,
)
from vagus.wire.images import encode_image

STATE = (np.arange(25) / 10).astype(np.float32)
FRAME = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def picture(encoding: str, *, name: str = "head", width: int = 16, height: int = 12) -> AstribotImage:
    return AstribotImage(name, encode_image(FRAME, encoding).data, width, height, encoding)


def asked(*images: AstribotImage, **fields: str) -> ForeignRequest:
    observation = replace(AstribotObservation(STATE, images, "", 1.5, 3, 7, "{}"), **fields)  # type: ignore[arg-type]
    return request_of(observation, Method.PREDICT_CHUNK, prompt="of the session", max_pixels=400)


def test_an_observation_is_a_request() -> None:
    request = asked(picture("png"), picture("raw", name="wrist_left"))
    assert (request.operation, request.envelope) == (
        Operation.INFER,
        Envelope("astribot", endpoint="PredictChunk"),
    )
    assert request.observation[("state",)] is STATE
    for name in ("head", "wrist_left"):
        np.testing.assert_array_equal(request.arrays[("images", name)], FRAME)
    assert request.texts == {("prompt",): "of the session"}
    assert dict(request.beside) == {
        ("timestamp",): 1.5, ("episode_id",): 3, ("frame_index",): 7, ("extra_state",): "{}",
    }  # fmt: skip


def test_the_prompt_of_an_observation_counts_before_that_of_the_session() -> None:
    assert asked(prompt="pick").texts == {("prompt",): "pick"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_any_png_of_a_robot_is_read(mode: str) -> None:
    written = io.BytesIO()
    source = PIL.Image.fromarray(FRAME).convert(mode)
    source.save(written, "PNG", optimize=True)  # with filters that vagus' own reader does not take
    request = asked(AstribotImage("head", written.getvalue(), 16, 12, "PNG"))
    np.testing.assert_array_equal(request.arrays[("images", "head")], np.array(source.convert("RGB")))


def test_a_png_of_16_bits_is_refused() -> None:
    written = io.BytesIO()
    PIL.Image.fromarray(np.zeros((12, 16), np.uint16)).save(written, "PNG")
    with pytest.raises(ProtocolError, match="wanted a PNG of 12×16 with 8 bits a channel, got 12×16 of I;16"):
        asked(AstribotImage("head", written.getvalue(), 16, 12, "png"))


def test_the_other_word_for_jpeg_is_known() -> None:
    request = asked(replace(picture("jpeg"), encoding="JPG"))
    assert request.arrays[("images", "head")].shape == (12, 16, 3)


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
def test_a_size_that_is_not_told_is_that_of_the_file(encoding: str) -> None:
    request = asked(picture(encoding, width=0, height=0))
    assert request.arrays[("images", "head")].shape == (12, 16, 3)


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_a_request_is_an_observation_for_a_server(encoding: str) -> None:
    request = asked(picture("raw"), prompt="pick")
    sent = observation_from(request, encoding=encoding)
    assert sent.images[0].encoding == encoding
    again = decode_observation(encode_observation(sent))
    back = request_of(again, Method.PREDICT_CHUNK, prompt="", max_pixels=192)
    assert back.envelope == request.envelope
    assert dict(back.beside) == dict(request.beside)
    assert back.arrays[("state",)].tobytes() == STATE.tobytes()
    if encoding != "jpeg":
        assert back.arrays[("images", "head")].tobytes() == FRAME.tobytes()


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (picture("png", name=""), "a camera name of its own"),
        (picture("png", name="x" * 65), "a camera name of its own"),
        (picture("png", width=8), "camera head: .*12×8"),
        (picture("png", height=-12), "camera head: .*sides of 1"),
        (picture("raw", width=0, height=0), "camera head: wanted width and height"),
        (picture("raw", width=15), "camera head: .*540 bytes"),
        (replace(picture("png"), encoding="webp"), "camera head: .*webp"),
        (replace(picture("png"), encoding="jpeg"), "camera head: .*JPEG"),
        (replace(picture("png", width=0, height=0), encoding="jpeg"), "JPEG"),
        (replace(picture("jpeg", width=0, height=0), data=b"\xff\xd8"), "JPEG"),
        (replace(picture("png", width=0, height=0), data=b"\x89PNG"), "camera head: wanted width and height"),
        (replace(picture("png"), data=memoryview(picture("png").data)[:-90]), "camera head: .*PNG"),
        (AstribotImage("head", b"", 1 << 13, 1 << 13, "raw"), "at most 400 pixels"),
    ],
)
def test_a_picture_that_is_none_is_refused(image: AstribotImage, wanted: str) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        asked(image)


def test_a_bomb_is_refused_by_its_header() -> None:
    header = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d49484452") + (8000).to_bytes(4, "big") * 2
    with pytest.raises(ProtocolError, match="at most 400 pixels"):
        asked(AstribotImage("head", header + bytes(60), 0, 0, "png"))


def test_many_small_bombs_are_one() -> None:
    assert len(asked(picture("png"), picture("png", name="b")).arrays) == 3
    with pytest.raises(ProtocolError, match=r"camera c: .*at most 16 pixels"):
        asked(*(picture("png", name=name) for name in "abc"))


def test_two_pictures_of_a_name_and_a_robot_without_state_are_refused() -> None:
    with pytest.raises(ProtocolError, match="a camera name of its own"):
        asked(picture("png"), picture("raw"))
    with pytest.raises(ProtocolError, match="state: wanted the robot's numbers"):
        request_of(AstribotObservation(STATE[:0]), Method.PREDICT, prompt="", max_pixels=192)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({("state",): "x"}, "state: wanted floats"),
        ({("state",): np.zeros((1, 25))}, "state: wanted floats"),
        ({("state",): np.zeros(0)}, "state: wanted floats"),
        ({("prompt",): 3}, "prompt: wanted a text"),
        ({("depth",): FRAME}, "wanted pictures at images/<camera>"),
        ({("images", "a", "b"): FRAME}, "wanted pictures at images/<camera>"),
        ({("images", "a"): "x"}, "wanted pictures at images/<camera>"),
        ({("images", "a"): np.zeros((2, 2))}, "camera a: .*uint8 RGB"),
    ],
)
def test_a_request_that_the_wire_cannot_carry_is_refused(changes: dict[WirePath, Value], wanted: str) -> None:
    request = asked()
    with pytest.raises(ProtocolError, match=wanted):
        observation_from(replace(request, observation={**request.observation, **changes}))


def test_beside_of_another_type_is_left_out() -> None:
    beside: dict[WirePath, Value] = {
        (key,): [] for key in ("timestamp", "episode_id", "frame_index", "extra_state")
    }
    sent = observation_from(replace(asked(), beside=beside))
    assert (sent.timestamp_s, sent.episode_id, sent.frame_index, sent.extra_state) == (0.0, 0, 0, "")


def test_actions_are_a_chunk_or_the_first_of_them() -> None:
    actions = np.arange(50.0).reshape(2, 25)
    chunk = chunk_from(ForeignReply({"actions": actions}), frame=4)
    assert (chunk.status, chunk.server_frame_index, chunk.actions.dtype.str) == (StatusCode.OK, 4, "<f4")
    reply = reply_of(decode_chunk(encode_chunk(chunk)))
    assert reply.error is None
    assert reply.actions["actions"].tolist() == actions.tolist()
    assert reply.extra == {"is_terminal": False, "server_frame_index": 4}
    action = action_from(ForeignReply({"actions": actions}), frame=4)
    assert action.values.tolist() == actions[0].tolist()
    assert reply_of(action).actions["actions"].shape == (1, 25)


def test_a_failure_is_in_the_answer() -> None:
    failed = ForeignReply(error="the policy failed")
    for answer in (chunk_from(failed, frame=4), action_from(failed, frame=4)):
        assert (answer.status, answer.error_message, answer.server_frame_index) == (
            StatusCode.ERROR, "the policy failed", 4,
        )  # fmt: skip
        assert reply_of(answer).error == "ERROR: the policy failed"
    over = chunk_from(ForeignReply(error=""), frame=0, status=StatusCode.EPISODE_END)
    assert reply_of(over).error == "EPISODE_END: no message"


@pytest.mark.parametrize(
    "actions", [None, np.zeros(25), np.zeros((1, 2, 25)), np.zeros((0, 25)), np.zeros((1, 2), int)]
)
def test_actions_of_another_form_are_refused(actions: np.ndarray | None) -> None:
    reply = ForeignReply({} if actions is None else {"actions": actions})
    for make in (chunk_from, action_from):
        with pytest.raises(ProtocolError, match="actions: wanted"):
            make(reply, frame=0)


def test_what_float32_cannot_hold_is_never_sent() -> None:
    with pytest.raises(ProtocolError, match="actions: wanted finite numbers"):
        encode_chunk(chunk_from(ForeignReply({"actions": np.full((1, 2), 1e39)}), frame=0))
