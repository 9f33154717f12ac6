"""The 27 bytes beside each message of the draft: which client, episode and session it belongs to (pure)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from vagus.errors import ProtocolError

__all__ = ["ATTACHMENT_BYTES", "SCHEMA_VERSION", "DraftAttachment", "DraftMessage"]

SCHEMA_VERSION: Final = 1
_FORM: Final = struct.Struct("<HBQIqI")
ATTACHMENT_BYTES: Final = _FORM.size


class DraftMessage(enum.IntEnum):
    """What a message is."""

    OBSERVATION = 1
    CHUNK = 2
    EVENT = 3


@dataclass(frozen=True)
class DraftAttachment:
    """What stands beside a message; a client takes a chunk only if sequence, episode and epoch are its own.

    Attributes:
        kind: what the message is.
        sequence: counts the requests, 64 bits.
        episode: counts the episodes, 32 bits.
        client_ns: the client's own monotonic clock; only the client knows what it means.
        epoch: counts the client's sessions, 32 bits; begins at 0.
    """

    kind: DraftMessage
    sequence: int
    episode: int
    client_ns: int
    epoch: int

    @classmethod
    def decode(cls, data: bytes | memoryview) -> DraftAttachment:
        """Return the attachment in `data`.

        Raises:
            ProtocolError: not 27 bytes, another schema version, or another kind.
        """
        if len(data) != ATTACHMENT_BYTES:
            raise ProtocolError(f"attachment: wanted {ATTACHMENT_BYTES} bytes, got {len(data)}")
        version, kind, sequence, episode, client_ns, epoch = _FORM.unpack(data)
        if version != SCHEMA_VERSION:
            raise ProtocolError(f"attachment: wanted schema version {SCHEMA_VERSION}, got {version}")
        if kind not in set(DraftMessage):
            raise ProtocolError(f"attachment: wanted a kind of 1 to {len(DraftMessage)}, got {kind}")
        return cls(DraftMessage(kind), sequence, episode, client_ns, epoch)

    def encode(self) -> bytes:
        """Return the 27 bytes.

        Raises:
            ProtocolError: a number that its field does not hold.
        """
        try:
            return _FORM.pack(
                SCHEMA_VERSION, self.kind, self.sequence, self.episode, self.client_ns, self.epoch
            )
        except struct.error as error:
            raise ProtocolError(f"attachment to send: {error}") from error

    def answered(self) -> DraftAttachment:
        """Return the attachment of the chunk that answers an observation."""
        return DraftAttachment(DraftMessage.CHUNK, self.sequence, self.episode, self.client_ns, self.epoch)
