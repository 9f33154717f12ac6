"""What a client puts on its keys: an observation or a question, read, or the error that answers it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType, decode_message
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.session_messages import SentMessage, fault_message

__all__ = ["ClientPut", "read_put"]

_KINDS: Final = {
    RemotePlace.OBSERVATION: (MessageType.OBSERVATION, RemotePlace.ACTION),
    RemotePlace.LANGUAGE_REQUEST: (MessageType.LANGUAGE_REQUEST, RemotePlace.LANGUAGE_RESULT),
}
"""Place → what is put there, and where it is answered."""


@dataclass(frozen=True, eq=False)
class ClientPut:
    """A message of a client.

    Attributes:
        head: its ids and generation.
        sequence: of an observation or a question; 0 where the body could not be read.
        observation: the observation; None for a question.
        fault: the answer to a message that is wrong.
    """

    head: MessageHead
    sequence: int = 0
    observation: RemoteObservation | None = None
    fault: SentMessage | None = None


def read_put(place: RemotePlace, payload: bytes) -> ClientPut:
    """Return what was put on the key of observations or of questions.

    Of a question nothing is read but its sequence, since the answer is the same for all.

    Raises:
        RemoteMessageError: it is no message, so that nobody can be answered.
    """
    head, body = decode_message(payload)
    wanted, answered_at = _KINDS[place]
    try:
        return _read(head, body, wanted)
    except RemoteMessageError as error:
        return ClientPut(head, fault=fault_message(head, answered_at, error))


def _read(head: MessageHead, body: ValueMap, wanted: MessageType) -> ClientPut:
    if head.kind is not wanted:
        text = f"message: wanted {wanted.value}, got {head.kind.value}"
        raise RemoteMessageError(ErrorCode.MALFORMED, text)
    if wanted is MessageType.LANGUAGE_REQUEST:
        return ClientPut(head, BodyFields(body, wanted.value).whole("sequence"))
    observation = RemoteObservation.from_wire(body)
    return ClientPut(head, observation.sequence, observation)
