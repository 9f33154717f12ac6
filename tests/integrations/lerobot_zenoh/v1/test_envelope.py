"""Messages captured from the original programs (`golden/`), and messages that they refuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value, ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import ControlAck, ControlRequest, RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
    is_segment,
)
from vagus.integrations.lerobot_zenoh.v1.language import LanguageRequest, LanguageResult
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, picture_in, sendable, write_map

FOLDER = Path(__file__).parent / "golden"
GOLDEN = {file.stem: file.read_bytes() for file in sorted(FOLDER.glob("*.bin"))}
TOLD = (FOLDER / "MANIFEST.json").read_text(encoding="utf-8")
OF_A_JPEG = ("channel_means", "pixel_0_0")
"""Compared with tolerance, in a test of their own."""
MANIFEST = json.loads(
    TOLD, object_hook=lambda entries: {key: entries[key] for key in entries if key not in OF_A_JPEG}
)
GOOD = [name for name in GOLDEN if not name.startswith("bad_")]
BAD = [name for name in GOLDEN if name.startswith("bad_")]

Body = Callable[[ValueMap], RemoteMap]
BODIES: dict[MessageType, Body] = {
    MessageType.DESCRIBE: lambda body: {str(key): sendable(value) for key, value in body.items()},
    MessageType.DESCRIPTOR: lambda body: Deployment.from_wire(body).to_wire(),
    MessageType.OPEN: lambda body: OpenRequest.from_wire(body).to_wire(),
    MessageType.ACCEPTED: lambda body: AcceptedSession.from_wire(body).to_wire(),
    MessageType.CONTROL: lambda body: ControlRequest.from_wire(body).to_wire(),
    MessageType.ACK: lambda body: ControlAck.from_wire(body).to_wire(),
    MessageType.OBSERVATION: lambda body: RemoteObservation.from_wire(body).to_wire(),
    MessageType.ACTION: lambda body: RemoteActions.from_wire(body).to_wire(),
    MessageType.LANGUAGE_REQUEST: lambda body: LanguageRequest.from_wire(body).to_wire(),
    MessageType.LANGUAGE_RESULT: lambda body: LanguageResult.from_wire(body).to_wire(),
    MessageType.ERROR: lambda body: RemoteFault.from_wire(body).to_wire(),
}


def told(value: Value) -> object:
    """Return a decoded value as the manifest writes it."""
    if picture := picture_in(value):
        return told_picture(picture)
    if isinstance(value, np.ndarray):
        if value.size > 64:
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            return {"tensor": value.dtype.name, "shape": list(value.shape), "sha256": digest}
        return {"tensor": value.dtype.name, "shape": list(value.shape), "values": value.tolist()}
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items()}
    return [told(inner) for inner in value] if isinstance(value, list) else value


def told_picture(picture: RemotePicture) -> dict[str, object]:
    pixels = picture.pixels()
    said: dict[str, object] = {"rgb": picture.encoding.value, "shape": list(picture.shape)}
    if picture.encoding is PictureEncoding.RAW:
        return {**said, "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
    return {**said, "jpeg_sha256": hashlib.sha256(picture.data).hexdigest()}


@pytest.mark.parametrize("name", GOOD)
def test_a_captured_message_says_what_its_manifest_says(name: str) -> None:
    head, body = decode_message(GOLDEN[name])
    wanted = MANIFEST[name]["decoded"]
    assert {
        "version": 1,
        "message_type": head.kind.value,
        "instance_id": head.instance_id,
        "session_id": head.session_id,
        "generation": head.generation,
        "request_id": head.request_id,
        "body": told(body),
    } == wanted


@pytest.mark.parametrize("name", [name for name in GOOD if name != "48_obs_minimal_c2s"])
def test_a_captured_message_is_written_with_the_same_bytes(name: str) -> None:
    head, body = decode_message(GOLDEN[name])
    if name == "12_control_unknown_op_c2s":
        with pytest.raises(RemoteMessageError, match="operation: wanted one of reset, invalidate") as refused:
            BODIES[head.kind](body)
        assert refused.value.code is ErrorCode.MALFORMED
        return
    assert encode_message(head, BODIES[head.kind](body)) == GOLDEN[name]


def test_the_smallest_observation_means_what_its_defaults_say() -> None:
    head, body = decode_message(GOLDEN["48_obs_minimal_c2s"])
    observation = RemoteObservation.from_wire(body)
    assert (observation.cursor, observation.observation_cursor, observation.delay) == (0, None, 0)
    assert observation.model_continuation is None
    assert observation.canonical_continuation is None
    again = decode_message(encode_message(head, observation.to_wire()))[1]
    assert told({**body, **again}) == told(again)


def test_the_jpeg_of_a_captured_message_has_the_pixels_that_pillow_wrote() -> None:
    picture = picture_in(feature("49_obs_jpeg_aligned_c2s", "observation.images.wrist"))
    assert picture is not None
    pixels = picture.pixels()
    wanted = json.loads(TOLD)["49_obs_jpeg_aligned_c2s"]["decoded"]["body"]
    said = wanted["features"]["observation.images.wrist"]
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), said["channel_means"], atol=2.0)
    np.testing.assert_allclose(pixels[0, 0], said["pixel_0_0"], atol=8)


def feature(name: str, key: str) -> Value:
    features = decode_message(GOLDEN[name])[1]["features"]
    assert isinstance(features, dict)
    return features[key]


@pytest.mark.parametrize("name", BAD)
def test_what_the_original_decoder_refuses_is_refused_with_its_code(name: str) -> None:
    wanted = "protocol" if "(protocol)" in MANIFEST[name]["meaning"] else "malformed"
    with pytest.raises(RemoteMessageError) as refused:
        decode_message(GOLDEN[name])
    assert refused.value.code.value == wanted


def test_all_golden_files_are_here() -> None:
    assert set(MANIFEST) == set(GOLDEN)
    assert (len(GOOD), len(BAD)) == (55, 17)


def message(**changed: object) -> bytes:
    whole: dict[str, object] = {
        "version": 1, "message_type": "ack", "instance_id": "i", "session_id": "s", "generation": 0,
        "request_id": "r", "body": {},
    }  # fmt: skip
    entries = {key: value for key, value in {**whole, **changed}.items() if value is not ...}
    return write_map(entries)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"version": 2}, "protocol"),
        ({"version": 0}, "protocol"),
        ({"version": True}, "protocol"),
        ({"version": 1.0}, "protocol"),
        ({"version": None}, "protocol"),
        ({"version": "1"}, "protocol"),
        ({"version": ...}, "malformed"),
        ({"message_type": ...}, "malformed"),
        ({"message_type": 3}, "malformed"),
        ({"generation": 1 << 63}, "malformed"),
        ({"generation": True}, "malformed"),
        ({"generation": 1.0}, "malformed"),
        ({"body": [1]}, "malformed"),
        ({"body": np.zeros(1, np.float32)}, "malformed"),
        ({"session_id": ""}, "malformed"),
        ({"instance_id": ""}, "malformed"),
        ({"request_id": ""}, "malformed"),
        ({"request_id": "a/b"}, "malformed"),
        ({"request_id": "a\n"}, "malformed"),
        ({"request_id": "-a"}, "malformed"),
        ({"request_id": "a" * 129}, "malformed"),
        ({"session_id": "*"}, "malformed"),
    ],
)
def test_an_envelope_that_breaks_a_rule_is_refused(changed: dict[str, object], code: str) -> None:
    with pytest.raises(RemoteMessageError) as refused:
        decode_message(message(**changed))
    assert refused.value.code.value == code


def test_a_key_that_is_not_known_is_ignored() -> None:
    head, _ = decode_message(message(later="x"))
    assert head == MessageHead(MessageType.ACK, "i", "s", 0, "r")


@pytest.mark.parametrize("kind", MessageType)
def test_only_five_types_may_lack_their_ids(kind: MessageType) -> None:
    may = kind.value in ("describe", "descriptor", "open", "accepted", "error")
    if may:
        assert decode_message(encode_message(MessageHead(kind), {})) == (MessageHead(kind), {})
        return
    with pytest.raises(ProtocolError, match="instance_id: wanted up to 128"):
        encode_message(MessageHead(kind), {})


def test_an_answer_repeats_the_ids_of_its_question() -> None:
    asked = MessageHead(MessageType.CONTROL, "i", "s", 3, "r")
    assert asked.answered(MessageType.ACK) == MessageHead(MessageType.ACK, "i", "s", 3, "r")


@given(st.text(max_size=140))
def test_a_segment_is_one_in_every_key(text: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
    wanted = 0 < len(text) <= 128 and set(text) <= allowed and text[0] not in "_.-"
    assert is_segment(text) is wanted


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(payload: bytes) -> None:
    with pytest.raises(RemoteMessageError):
        decode_message(payload)


@given(st.sampled_from(GOOD), st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_changed_bytes_are_refused_or_give_a_message_that_can_be_written(
    name: str, at: int, insert: bytes
) -> None:
    payload = bytearray(GOLDEN[name])
    place = at % len(payload)
    payload[place : place + len(insert)] = insert
    try:
        head, received = decode_message(bytes(payload))
        body = BODIES[head.kind](received)
    except ProtocolError:
        return
    assert decode_message(encode_message(head, body))[0] == head
