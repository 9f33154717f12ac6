"""PointAct's messages over HTTP: what is asked, and with which status it is answered (pure).

PointAct's plan wants HTTP and msgpack, and names no path and no type: these are vagus's own. Every request is
a POST to `/get_action` of type `application/msgpack`, whose body is the frame of ZeroMQ, whatever its
endpoint; every answer has the body of the frame that answers it, errors too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.neutral import ForeignReply
from vagus.integrations.pointact.dialect import WRONG_TOKEN, encode_error, encode_reply
from vagus.quoting import quoted

__all__ = ["CONTENT_TYPE", "FAILED", "MALFORMED", "PATH", "HttpAnswer", "answer_to", "refusal_of"]

PATH: Final = "/get_action"
CONTENT_TYPE: Final = "application/msgpack"
MALFORMED: Final = 400
"""Status of an error that the request is to blame for: a body that cannot be read, an unknown endpoint."""
FAILED: Final = 500
"""Status of any other error."""
_OK, _UNAUTHORIZED, _NOT_FOUND, _NOT_ALLOWED, _OTHER_TYPE = 200, 401, 404, 405, 415


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status and body of an answer; its type is always `application/msgpack`."""

    status: int
    body: bytes


def refusal_of(method: str, path: str, content_type: str | None) -> HttpAnswer | None:
    """Return the answer to a request whose body need not be read, or None: read it.

    Args:
        method: such as `POST`.
        path: of the request, without a query.
        content_type: value of that header; None without one, which is taken for the right one.
    """
    if path != PATH:
        return _error(_NOT_FOUND, f"path: wanted {PATH}, got {quoted(path, 80)}")
    if method != "POST":
        return _error(_NOT_ALLOWED, f"method: wanted POST, got {quoted(method, 20)}")
    kind = CONTENT_TYPE if content_type is None else content_type.partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE:
        return _error(_OTHER_TYPE, f"Content-Type: wanted {CONTENT_TYPE}, got {quoted(kind, 80)}")
    return None


def answer_to(reply: ForeignReply, *, failure: int = FAILED) -> HttpAnswer:
    """Return the answer that carries `reply`: status 200, 401 for a wrong token, `failure` for another error.

    A reply that cannot be written is answered as an error, so that the client is not left waiting.
    """
    try:
        body = encode_reply(reply)
    except ProtocolError as error:
        return _error(FAILED, str(error))
    if reply.error is None:
        return HttpAnswer(_OK, body)
    return HttpAnswer(_UNAUTHORIZED if reply.error == WRONG_TOKEN.error else failure, body)


def _error(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status, encode_error(text))
