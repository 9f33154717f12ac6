"""Error codes of LeRobot's remote inference, and the error of a message that breaks a rule (pure)."""

from __future__ import annotations

import enum

from vagus.errors import ProtocolError

__all__ = ["ErrorCode", "RemoteMessageError"]


class ErrorCode(enum.Enum):
    """Why a request is refused. Any of them ends the run of a client; a server that can wait sends none."""

    UNSUPPORTED = "unsupported"
    """A mode, encoding, capability or kind of question that the server does not have."""
    MALFORMED = "malformed"
    """A field is missing, of another type, or contradicts another one."""
    BUSY = "busy"
    """The server has no place, or still computes the request before this one."""
    STALE = "stale"
    """Another instance or session, an old generation, a request seen before."""
    INCOMPATIBLE = "incompatible"
    """Semantics, rate, artifact or features are not those of the deployment."""
    EXECUTION = "execution"
    """The policy failed."""
    TIMEOUT = "timeout"
    """The answer took longer than the server's deadline."""
    PROTOCOL = "protocol"
    """Another version of the protocol. Never sent: such a message gets no answer at all."""


class RemoteMessageError(ProtocolError):
    """A message of a peer breaks a rule; `code` is what the peer is told, if it can be told anything."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        """Take the code for programs and the sentence for people."""
        self.code = code
        super().__init__(text)
