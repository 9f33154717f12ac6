"""Requests stacked for GR00T, and its replies taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.gr00t.dialect import N1_5, N1_6, N1_7, decode_request, encode_request
from vagus.integrations.gr00t.rows import are_alike, stacked, unstacked, version_of

LANGUAGE = ("language", "annotation.human.task_description")


def request(number: int, *, height: int = 2) -> ForeignRequest:
    values: dict[WirePath, Value] = {
        ("video", "front"): np.full((height, 3, 3), number, np.uint8),
        ("state", "arm"): np.full(5, number, np.float32),
        LANGUAGE: f"do {number}",
    }
    return ForeignRequest(Operation.INFER, Envelope("gr00t"), values)


@pytest.mark.parametrize("version", [N1_6, N1_7])
def test_several_requests_are_one_with_axes_for_batch_and_time(version: str) -> None:
    frame = encode_request(stacked([request(1), request(2)], version))
    read = decode_request(frame)
    assert (read.envelope.version, read.envelope.form) == (version, "nested")
    assert np.asarray(read.observation["video", "front"]).shape == (2, 1, 2, 3, 3)
    np.testing.assert_array_equal(np.asarray(read.observation["state", "arm"])[:, 0, 0], [1, 2])
    assert read.observation[LANGUAGE] == [["do 1"], ["do 2"]]
    assert read.beside == {("data", "options"): None}


def test_n1_5_has_flat_keys_and_an_axis_for_time_alone() -> None:
    read = decode_request(encode_request(stacked([request(3)], N1_5)))
    assert read.envelope.version == N1_5
    assert np.asarray(read.observation[("video.front",)]).shape == (1, 2, 3, 3)
    assert np.asarray(read.observation[("state.arm",)]).shape == (1, 5)
    assert read.observation[("annotation.human.task_description",)] == ["do 3"]
    with pytest.raises(ProtocolError, match="one request"):
        stacked([request(1), request(2)], N1_5)


def test_each_request_gets_its_own_chunk() -> None:
    chunks = np.arange(2 * 4 * 5, dtype=np.float32).reshape(2, 4, 5)
    one, two = unstacked(ForeignReply({"arm": chunks}), 2, N1_6)
    np.testing.assert_array_equal(one.actions["arm"], chunks[0])
    np.testing.assert_array_equal(two.actions["arm"], chunks[1])


def test_n1_5_names_lose_their_prefix() -> None:
    (reply,) = unstacked(
        ForeignReply({"action.arm": np.zeros((4, 5)), "action.gripper": np.zeros(4)}), 1, N1_5
    )
    assert set(reply.actions) == {"arm", "gripper"}


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 5), (4, 5), (2,)])
def test_another_number_of_chunks_is_nobodys(shape: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match="wanted"):
        unstacked(ForeignReply({"arm": np.zeros(shape, np.float32)}), 2, N1_6)


def test_an_error_is_everybodys() -> None:
    assert [reply.error for reply in unstacked(ForeignReply(error="no"), 2, N1_6)] == ["no", "no"]


def test_requests_with_other_pictures_are_not_alike() -> None:
    assert are_alike([request(1), request(2)])
    assert not are_alike([request(1), request(2, height=4)])
    without = dict(request(2).observation)
    del without["video", "front"]
    assert not are_alike([request(1), ForeignRequest(Operation.INFER, Envelope("gr00t"), without)])


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ({"state": {"modality_keys": ["state.arm"]}}, N1_5),
        ({"state": {"modality_keys": ["arm"]}, "language": {"modality_keys": ["language.x"]}}, N1_6),
        ({"video": {"modality_keys": [7, b"x"]}}, N1_6),
        ({"state": {"modality_keys": []}}, ""),
        ({"state": {"modality_keys": "arm"}}, ""),
        ({"state": 3}, ""),
        ({}, ""),
    ],
)
def test_the_version_shows_in_the_names_of_the_modalities(said: dict[Key, Value], version: str) -> None:
    assert version_of(said, (N1_5, N1_6)) == version
