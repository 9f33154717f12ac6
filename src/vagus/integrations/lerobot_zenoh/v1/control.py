"""Controls of a session, their answers, and errors (pure)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.descriptor import SessionOwner
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, RemoteValue

__all__ = ["MAX_MESSAGE_CHARS", "ControlAck", "ControlOperation", "ControlRequest", "RemoteFault"]

MAX_MESSAGE_CHARS: Final = 2048
"""Longest text of an error."""


class ControlOperation(enum.Enum):
    """What a client asks of its session."""

    RESET = "reset"
    """Forget all of the episode."""
    INVALIDATE = "invalidate"
    """Drop the motion that was asked for."""
    CLOSE = "close"
    STATUS = "status"


@dataclass(frozen=True)
class ControlRequest:
    """A control; its generation is in the head."""

    operation: ControlOperation

    @classmethod
    def from_wire(cls, body: ValueMap) -> ControlRequest:
        """Return the control of a body; RemoteMessageError (MALFORMED) otherwise."""
        return cls(BodyFields(body, "control").choice("operation", ControlOperation))

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        return {"operation": self.operation.value}


@dataclass(frozen=True)
class ControlAck:
    """Answer to a control.

    Attributes:
        operation: that of the control.
        applied_generation: generation of the session now.
        owner: for a status.
    """

    operation: ControlOperation
    applied_generation: int
    owner: SessionOwner | None = None

    @classmethod
    def from_wire(cls, body: ValueMap) -> ControlAck:
        """Return the answer of a body; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(body, "ack")
        owner = SessionOwner.from_wire(fields.inner("session")) if fields.has("session") else None
        return cls(fields.choice("operation", ControlOperation), fields.whole("applied_generation"), owner)

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        body: RemoteMap = {"operation": self.operation.value, "applied_generation": self.applied_generation}
        if self.owner is not None:
            body["session"] = self.owner.to_wire()
        return body


@dataclass(frozen=True)
class RemoteFault:
    """Body of an error.

    Attributes:
        code: for programs.
        message: for people, at most 2048 characters.
        details: more for programs; a busy open has `admission_blocker` and `absence_grace_remaining_s`.
    """

    code: ErrorCode
    message: str
    details: Mapping[str, RemoteValue] = field(default_factory=dict)

    @classmethod
    def of(cls, error: RemoteMessageError) -> RemoteFault:
        """Return what tells a peer of an error."""
        return cls(error.code, str(error)[:MAX_MESSAGE_CHARS])

    @classmethod
    def from_wire(cls, body: ValueMap) -> RemoteFault:
        """Return the error of a body; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(body, "error")
        message = fields.text("message", least=0, most=MAX_MESSAGE_CHARS)
        return cls(fields.choice("code", ErrorCode), message, fields.free_map("details"))

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        body: RemoteMap = {"code": self.code.value, "message": self.message[:MAX_MESSAGE_CHARS]}
        if self.details:
            body["details"] = dict(self.details)
        return body
