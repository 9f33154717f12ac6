"""What is asked of an address, what came back, and what that says of the protocol there (pure)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = [
    "HEALTH",
    "MAX_ANSWER_BYTES",
    "OPENING",
    "OWN_HEADER",
    "RUNS_THE_POLICY",
    "Answer",
    "Carrier",
    "Check",
    "Recognised",
    "Recogniser",
    "check_that",
]

MAX_ANSWER_BYTES: Final = 1 << 20
"""Most bytes that are read for one answer; metadata of a server have a few thousand."""

OPENING: Final = "websocket"
"""Name of the question that opens a WebSocket and waits for what the server says first."""
HEALTH: Final = "GET /healthz"
OWN_HEADER: Final = "vagus"
"""Header `server` of our own gateways over HTTP: opening a WebSocket there takes a session."""
RUNS_THE_POLICY: Final = "not tried: that runs the policy"


class Carrier(enum.Enum):
    """What carries the messages of a protocol."""

    WEBSOCKET = "WebSocket"
    HTTP = "HTTP"
    ZEROMQ = "ZeroMQ"
    GRPC = "gRPC"
    ZENOH = "Zenoh"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back to one question.

    Attributes:
        status: number of HTTP's or gRPC's status; None: none came.
        kind: of a WebSocket's message "text" or "binary", of HTTP the type of the content, of ZeroMQ the type
            of the socket, of gRPC the text beside its status.
        body: bytes of the answer.
        headers: headers of HTTP, their names in small letters.
        trouble: why there is no answer, or why it ends early; "": there is a whole one.
    """

    status: int | None = None
    kind: str = ""
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a protocol demands.

    Attributes:
        rule: the demand.
        is_kept: whether the server keeps it; None: it was not tried, since that is not harmless.
        got: what the server does instead, or why it was not tried.
    """

    rule: str
    is_kept: bool | None
    got: str = ""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A protocol that answers.

    Attributes:
        protocol: its name.
        version: its version or generation; "": its wire does not tell, or has none.
        seen: by what it was recognised, and what it says of itself.
        checks: what it demands of its server.
    """

    protocol: str
    version: str
    seen: str
    checks: tuple[Check, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether nothing that was tried is broken."""
        return all(check.is_kept is not False for check in self.checks)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """How one protocol is recognised; harmless for every server, whatever it speaks.

    Attributes:
        carrier: what carries its messages.
        questions: name of a question → its bytes. The name is an endpoint, a method of gRPC, or a method and
            a path of HTTP; `OPENING` opens a WebSocket.
        judge: says from the answers, by the names of the questions, what it is; None: another protocol.
    """

    carrier: Carrier
    questions: Mapping[str, bytes]
    judge: Callable[[Mapping[str, Answer]], Recognised | None]


def check_that(rule: str, is_kept: bool, got: object = "") -> Check:  # noqa: FBT001 - the verdict
    """Return a check that was tried; `got` is told if the rule is broken."""
    return Check(rule, is_kept, "" if is_kept else str(got))
