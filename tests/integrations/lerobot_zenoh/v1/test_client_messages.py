"""What clients put: read, or answered with what is wrong, or nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.integrations.lerobot_zenoh.v1.client_messages import read_put
from vagus.integrations.lerobot_zenoh.v1.codes import RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType, encode_message
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace

FOLDER = Path(__file__).parent / "golden"
FIRST = (FOLDER / "04_obs_first_raw_c2s.bin").read_bytes()
QUESTION = (FOLDER / "43_language_vqa_c2s.bin").read_bytes()


def test_an_observation_and_a_question_are_read() -> None:
    put = read_put(RemotePlace.OBSERVATION, FIRST)
    assert put.observation is not None
    assert (put.head.kind, put.sequence, put.fault) == (MessageType.OBSERVATION, 1, None)
    asked = read_put(RemotePlace.LANGUAGE_REQUEST, QUESTION)
    assert (asked.head.kind, asked.observation, asked.fault) == (MessageType.LANGUAGE_REQUEST, None, None)
    assert asked.sequence > 0


@pytest.mark.parametrize(
    ("place", "payload", "answered_at", "said"),
    [
        (RemotePlace.OBSERVATION, QUESTION, RemotePlace.ACTION, "wanted observation, got language_request"),
        (
            RemotePlace.LANGUAGE_REQUEST,
            FIRST,
            RemotePlace.LANGUAGE_RESULT,
            "wanted language_request, got observation",
        ),
        (
            RemotePlace.OBSERVATION,
            encode_message(MessageHead(MessageType.OBSERVATION, "i", "s", 0, "r"), {}),
            RemotePlace.ACTION,
            "sequence: wanted this field",
        ),
    ],
)
def test_what_is_wrong_is_told_where_the_answer_is_awaited(
    place: RemotePlace, payload: bytes, answered_at: RemotePlace, said: str
) -> None:
    put = read_put(place, payload)
    assert put.fault is not None
    assert isinstance(put.fault.body, RemoteFault)
    assert (put.fault.place, put.fault.body.code.value) == (answered_at, "malformed")
    assert said in put.fault.body.message
    assert put.fault.head.request_id == put.head.request_id


@pytest.mark.parametrize("payload", [b"", b"\x81", (FOLDER / "bad_version_2.bin").read_bytes()])
def test_what_is_no_message_has_nobody_to_be_told(payload: bytes) -> None:
    with pytest.raises(RemoteMessageError):
        read_put(RemotePlace.OBSERVATION, payload)
