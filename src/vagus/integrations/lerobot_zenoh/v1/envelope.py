"""Envelope of every message: version, type, three ids and a generation around a body (pure)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value, ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, read_map, write_map
from vagus.quoting import quoted

__all__ = ["VERSION", "MessageHead", "MessageType", "decode_message", "encode_message", "is_segment"]

VERSION: Final = 1
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class MessageType(enum.Enum):
    """What a message is."""

    DESCRIBE = "describe"
    DESCRIPTOR = "descriptor"
    OPEN = "open"
    ACCEPTED = "accepted"
    CONTROL = "control"
    ACK = "ack"
    OBSERVATION = "observation"
    ACTION = "action"
    LANGUAGE_REQUEST = "language_request"
    LANGUAGE_RESULT = "language_result"
    ERROR = "error"


_MAY_LACK_IDS: Final = frozenset({
    MessageType.DESCRIBE, MessageType.DESCRIPTOR, MessageType.OPEN, MessageType.ACCEPTED, MessageType.ERROR,
})  # fmt: skip


@dataclass(frozen=True)
class MessageHead:
    """All of a message but its body.

    Attributes:
        kind: what the message is.
        instance_id: one run of a server's program; empty where it is not known yet.
        session_id: one client's session; empty outside of one.
        generation: motion generation of the session, 0 at first; never goes back.
        request_id: made by who asks; an answer repeats it.
    """

    kind: MessageType
    instance_id: str = ""
    session_id: str = ""
    generation: int = 0
    request_id: str = ""

    def answered(self, kind: MessageType) -> MessageHead:
        """Return the head of the answer: another type, and the same ids and generation."""
        return replace(self, kind=kind)


def is_segment(text: str) -> bool:
    """Return whether a text may stand in a key, as an id or a name: up to 128 characters."""
    return _SEGMENT.fullmatch(text) is not None


def decode_message(payload: bytes | memoryview) -> tuple[MessageHead, ValueMap]:
    """Return the head and the body of a message.

    Raises:
        RemoteMessageError: PROTOCOL for another version, else MALFORMED. Neither can be answered.
    """
    try:
        entries = read_map(payload)
    except ProtocolError as error:
        raise RemoteMessageError(ErrorCode.MALFORMED, str(error)) from error
    version = entries.get("version")
    if "version" in entries and (type(version) is not int or version != VERSION):
        raise RemoteMessageError(
            ErrorCode.PROTOCOL, f"message: wanted version {VERSION} of remote inference, got {_told(version)}"
        )
    fields = BodyFields(entries, "message")
    fields.whole("version")
    head = MessageHead(
        fields.choice("message_type", MessageType),
        fields.text("instance_id", least=0),
        fields.text("session_id", least=0),
        fields.whole("generation"),
        fields.text("request_id", least=0),
    )
    _check_ids(head)
    return head, fields.map("body")


def encode_message(head: MessageHead, body: RemoteMap) -> bytes:
    """Return the bytes of a message.

    Raises:
        ProtocolError: what `decode_message` would refuse.
    """
    _check_ids(head)
    return write_map(
        {
            "version": VERSION,
            "message_type": head.kind.value,
            "instance_id": head.instance_id,
            "session_id": head.session_id,
            "generation": head.generation,
            "request_id": head.request_id,
            "body": body,
        }
    )


def _check_ids(head: MessageHead) -> None:
    may_lack = head.kind in _MAY_LACK_IDS
    for name, text in (
        ("instance_id", head.instance_id),
        ("session_id", head.session_id),
        ("request_id", head.request_id),
    ):
        if not is_segment(text) and not (may_lack and text == ""):
            raise RemoteMessageError(
                ErrorCode.MALFORMED,
                f"message: {name}: wanted up to 128 of A-Z a-z 0-9 _ . - after a letter or digit, "
                f"got {quoted(text, 40)!r}",
            )


def _told(value: Value) -> str:
    return quoted(value, 40) if isinstance(value, str | int | float) else type(value).__name__
