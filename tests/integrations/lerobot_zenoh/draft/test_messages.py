"""Messages captured from the draft's original codec (`golden/`), and everything that may come instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk, DraftObservation
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftClose,
    DraftOpen,
    DraftOpened,
    DraftReset,
    decode_session_request,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.draft.values import DraftPicture, draft_picture, read_draft

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
ASKED = DraftAttachment(DraftMessage.OBSERVATION, sequence=7, episode=1, client_ns=123456789, epoch=2)
OPENED, OPEN, OBSERVED = (
    GOLDEN["lrz_session_open_rep"], GOLDEN["lrz_session_open_req"], GOLDEN["lrz_obs_body"],
)  # fmt: skip
Decoder = Callable[[bytes], object]


def chunk(payload: bytes) -> DraftChunk:
    return DraftChunk.decode(payload, ASKED.answered())


DECODERS: dict[str, Decoder] = {
    "lrz_action_body": chunk,
    "lrz_obs_body": DraftObservation.decode,
    "lrz_session_open_req": decode_session_request,
    "lrz_session_open_rep": DraftOpened.decode,
    "lrz_close_req": decode_session_request,
    "lrz_close_rep": DraftAck.decode,
    "lrz_reset_req": DraftReset.decode,
    "lrz_reset_rep": DraftAck.decode,
    "lrz_status_rep": DraftStatus.decode,
    "lrz_obs_attachment": DraftAttachment.decode,
    "lrz_action_attachment": DraftAttachment.decode,
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_captured_message_is_written_with_the_same_bytes(name: str) -> None:
    decoded = DECODERS[name](GOLDEN[name])
    assert isinstance(
        decoded,
        DraftAttachment | DraftObservation | DraftChunk | DraftOpen | DraftClose | DraftOpened | DraftReset
        | DraftAck | DraftStatus,
    )  # fmt: skip
    assert decoded.encode() == GOLDEN[name]


def test_all_golden_files_are_here() -> None:
    assert set(GOLDEN) == set(DECODERS)


def test_what_the_captured_messages_say() -> None:
    assert DraftAttachment.decode(GOLDEN["lrz_obs_attachment"]) == ASKED
    assert DraftAttachment.decode(GOLDEN["lrz_action_attachment"]) == ASKED.answered()
    observation = DraftObservation.decode(OBSERVED)
    assert observation.state.tolist() == [0.5, -1.0]
    assert (observation.task, observation.inference_delay, observation.is_episode_start) == (
        "pick the cube", 3, False,
    )  # fmt: skip
    front = observation.pictures["observation.images.front"].pixels(max_pixels=4)
    np.testing.assert_array_equal(front, np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert observation.prefix_model is not None
    assert observation.prefix_robot is not None
    assert observation.prefix_model.tolist() == [[0, 1], [2, 3]]
    assert observation.prefix_robot.tolist() == [[0, 2], [4, 6]]
    answer = chunk(GOLDEN["lrz_action_body"])
    assert answer.robot is not None
    assert (answer.robot.shape, answer.inference_ms, answer.server_load) == ((4, 2), 12.5, 0.2)
    opened = DraftOpened.decode(OPENED)
    assert (opened.model.action_names, opened.model.chunk_size) == (("j0.pos", "j1.pos"), 4)
    asked = decode_session_request(OPEN)
    assert isinstance(asked, DraftOpen)
    assert (asked.client, asked.fps, asked.is_rtc_enabled) == ("robot-01", 30.0, True)
    closed = decode_session_request(GOLDEN["lrz_close_req"])
    assert closed == DraftClose("robot-01", "0" * 32)
    assert DraftReset.decode(GOLDEN["lrz_reset_req"]) == DraftReset("robot-01", 2)
    assert DraftStatus.decode(GOLDEN["lrz_status_rep"]).max_sessions == 5


def test_a_chunk_without_rows_is_a_failure_and_says_nil() -> None:
    failure = DraftChunk(attachment=ASKED.answered())
    said = msgspec.msgpack.decode(failure.encode())
    assert (said["chunk_model"], said["chunk_robot"], said["seq_id_echo"]) == (None, None, 7)
    assert chunk(failure.encode()).robot is None
    for nothing in (rows(0, 2), ...):  # an empty array, or no field, says the same
        assert chunk(changed(failure.encode(), chunk_model=nothing, chunk_robot=nothing)).robot is None


def changed(payload: bytes, **fields: object) -> bytes:
    entries = {**msgspec.msgpack.decode(payload), **fields}
    return msgspec.msgpack.encode({key: value for key, value in entries.items() if value is not ...})


def rows(*shape: int, dtype: str = "<f4", data: bytes | None = None) -> dict[str, object]:
    array = np.zeros(shape, dtype)
    return {"dtype": dtype, "shape": list(shape), "data": array.tobytes() if data is None else data}


BAD: list[tuple[str, dict[str, object]]] = [
    ("lrz_obs_body", {"state": ...}),
    ("lrz_obs_body", {"state": rows(1, 2)}),
    ("lrz_obs_body", {"state": rows(0)}),
    ("lrz_obs_body", {"state": rows(2, dtype="<f8")}),
    ("lrz_obs_body", {"state": rows(2, dtype="|O")}),
    ("lrz_obs_body", {"state": rows(1, data=b"\x00\x00\xc0\x7f")}),
    ("lrz_obs_body", {"images": []}),
    ("lrz_obs_body", {"images": {"x": 1}}),
    ("lrz_obs_body", {"images": {"x": {"codec": "png", "data": b""}}}),
    ("lrz_obs_body", {"images": {"x": {"codec": "raw", "data": "text"}}}),
    ("lrz_obs_body", {"images": {"x": {"codec": "raw", "data": b"", "shape": [1], "more": 1}}}),
    ("lrz_obs_body", {"images": {"x": {"codec": "raw", "data": b"", "shape": ["1"]}}}),
    ("lrz_obs_body", {"task": 1}),
    ("lrz_obs_body", {"inference_delay_steps": -1}),
    ("lrz_obs_body", {"inference_delay_steps": True}),
    ("lrz_obs_body", {"prefix_robot": rows(3, 2)}),
    ("lrz_obs_body", {"prefix_robot": rows(4)}),
    ("lrz_obs_body", {"prefix_model": [1.0]}),
    ("lrz_obs_body", {"episode_start": 0}),
    ("lrz_obs_body", {"more": float("nan")}),
    ("lrz_action_body", {"seq_id_echo": 8}),
    ("lrz_action_body", {"client_mono_ns_echo": 1}),
    ("lrz_action_body", {"episode_id_echo": 2}),
    ("lrz_action_body", {"chunk_robot": ...}),
    ("lrz_action_body", {"chunk_model": rows(3, 2)}),
    ("lrz_action_body", {"chunk_model": rows(0, 2)}),
    ("lrz_session_open_req", {"op": "dance"}),
    ("lrz_session_open_req", {"op": ...}),
    ("lrz_session_open_req", {"action_names": ["a", 1]}),
    ("lrz_session_open_req", {"client_uuid": ""}),
    ("lrz_session_open_req", {"client_uuid": "a" * 256}),
    ("lrz_session_open_req", {"tags": {"a": 1}}),
    ("lrz_session_open_rep", {"accepted": False}),
    ("lrz_session_open_rep", {"error": "no"}),
    ("lrz_reset_rep", {"ok": False}),
    ("lrz_reset_rep", {"ok": 1}),
    ("lrz_reset_req", {"episode_id": 1 << 32}),
    ("lrz_status_rep", {"state_dim": 2.0}),
]


@pytest.mark.parametrize(("name", "fields"), BAD)
def test_a_field_of_another_type_or_range_is_refused(name: str, fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        DECODERS[name](changed(GOLDEN[name], **fields))


def test_fields_that_may_be_missing() -> None:
    bare = changed(
        OBSERVED, task=..., inference_delay_steps=..., prefix_model=None, prefix_robot=rows(0, 2),
        episode_start=...,
    )  # fmt: skip
    observation = DraftObservation.decode(bare)
    assert (observation.prefix_model, observation.prefix_robot, observation.inference_delay) == (
        None,
        None,
        0,
    )
    asked = decode_session_request(changed(OPEN, tags=..., rtc_enabled=...))
    assert isinstance(asked, DraftOpen)
    assert (asked.tags, asked.is_rtc_enabled) == ({}, False)
    tagged = replace(asked, tags={"who": "me"})
    assert decode_session_request(tagged.encode()) == tagged
    opened = DraftOpened.decode(changed(OPENED, trained_fps=None, rtc_execution_horizon=None))
    assert (opened.model.trained_fps, opened.model.rtc_execution_horizon) == (None, None)
    refused = replace(opened, error="another robot has this name", session_id="")
    assert DraftOpened.decode(refused.encode()) == refused
    assert DraftAck.decode(DraftAck("no such session").encode()).error == "no such session"


@pytest.mark.parametrize(
    "data", [b"", bytes(26), bytes(28), b"\x02\x00\x01" + bytes(24), b"\x01\x00\x09" + bytes(24)]
)
def test_an_attachment_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="attachment: wanted"):
        DraftAttachment.decode(data)


attachments = st.builds(
    DraftAttachment,
    st.sampled_from(DraftMessage),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, (1 << 32) - 1),
)


@given(attachments)
def test_an_attachment_comes_back(attachment: DraftAttachment) -> None:
    assert DraftAttachment.decode(attachment.encode()) == attachment
    assert attachment.answered().kind is DraftMessage.CHUNK


def test_a_number_that_its_field_does_not_hold_is_not_written() -> None:
    with pytest.raises(ProtocolError, match="attachment to send"):
        replace(ASKED, episode=1 << 32).encode()


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
def test_a_picture_comes_back(codec: str) -> None:
    smooth = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    sent = DraftObservation(state=np.zeros(2, np.float32), pictures={"x": draft_picture(smooth, codec)})
    back = DraftObservation.decode(sent.encode()).pictures["x"].pixels(max_pixels=24 * 32)
    np.testing.assert_allclose(back, smooth, atol=0 if codec == "raw" else 3)


def test_a_picture_over_a_bound_or_of_another_form_is_refused() -> None:
    large = draft_picture(np.zeros((24, 32, 3), np.uint8))
    for picture in (
        large,
        DraftPicture("raw", bytes(12)),
        DraftPicture("raw", bytes(12), (2, 2)),
        DraftPicture("raw", bytes(12), (2, 2, 1)),
        DraftPicture("raw", bytes(12), (2, 3, 3)),
        DraftPicture("raw", bytes(12), (0, 2, 3)),
        DraftPicture("raw", bytes(12), (-1, -2, 3)),
        DraftPicture("jpeg", b"no"),
        DraftPicture("jpeg", b"\xff\xd8\xff\xda\x00\x03\x01"),
        DraftPicture("jpeg", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 300),
    ):
        with pytest.raises(ProtocolError):
            picture.pixels(max_pixels=24 * 32 - 1)
    with pytest.raises(ProtocolError, match="wanted uint8"):
        draft_picture(np.zeros((2, 2), np.uint8))
    with pytest.raises(ProtocolError, match="raw or jpeg"):
        draft_picture(np.zeros((2, 2, 3), np.uint8), "png")


@pytest.mark.parametrize(
    "observation",
    [
        DraftObservation(state=np.array([np.nan], np.float32), pictures={}),
        DraftObservation(state=np.zeros(2, np.float32), pictures={}, task="\ud800"),
        DraftObservation(
            state=np.zeros(2, np.float32),
            pictures={"x": DraftPicture("raw", bytes(32 << 20), (2048, 5461, 3))},
        ),
    ],
    ids=["nan", "half a character", "too large"],
)
def test_what_cannot_be_read_is_not_written(observation: DraftObservation) -> None:
    with pytest.raises(ProtocolError):
        observation.encode()


def test_a_number_that_is_not_finite_is_not_written() -> None:
    opened = replace(DraftOpened.decode(OPENED), server_load=float("inf"))
    with pytest.raises(ProtocolError, match="finite"):
        opened.encode()


def test_a_message_is_a_map() -> None:
    with pytest.raises(ProtocolError, match="wanted a map"):
        read_draft(b"\x91\x01")


@given(st.sampled_from(sorted(DECODERS)), st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_changed_bytes_are_refused_or_mean_something(name: str, at: int, insert: bytes) -> None:
    payload = bytearray(GOLDEN[name])
    place = at % len(payload)
    payload[place : place + len(insert)] = insert
    try:
        DECODERS[name](bytes(payload))
    except ProtocolError:
        return
