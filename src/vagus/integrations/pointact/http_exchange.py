"""PointAct's messages over HTTP: what is asked, and with which status it is answered (pure).

PointAct's plan wants HTTP and msgpack, and names no path and no type: these are vagus's own. Every request is
a POST to `/get_action` of type `application/msgpack`, whose body is the frame of ZeroMQ, whatever its
endpoint; every answer has the body of the frame that answers it, errors too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vagus.gateways.wire_answer import WireOutcome
from vagus.quoting import quoted

__all__ = ["CONTENT_TYPE", "PATH", "STATUSES", "HttpRefusal", "refusal_of", "too_large"]

PATH: Final = "/get_action"
CONTENT_TYPE: Final = "application/msgpack"
STATUSES: Final = {
    WireOutcome.ANSWERED: 200,
    WireOutcome.MALFORMED: 400,
    WireOutcome.UNAUTHORIZED: 401,
    WireOutcome.FAILED: 500,
}
"""Outcome of a request → status of its answer."""
_NOT_FOUND, _NOT_ALLOWED, _NO_LENGTH, _TOO_LARGE, _OTHER_TYPE = 404, 405, 411, 413, 415
_AS_IT_IS: Final = ("", "identity")


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """Status and text of the answer to a request whose body is not read."""

    status: int
    text: str


def refusal_of(method: str, target: str, headers: Mapping[str, str], *, most: int) -> HttpRefusal | None:
    """Return why a request is refused by its head, or None: its body is read.

    Args:
        method: such as `POST`.
        target: what is asked for, with its query.
        headers: by their names in small letters.
        most: longest body, in bytes.
    """
    path = target.partition("?")[0]
    if path != PATH:
        return HttpRefusal(_NOT_FOUND, f"path: wanted {PATH}, got {quoted(path, 80)}")
    if method != "POST":
        return HttpRefusal(_NOT_ALLOWED, f"method: wanted POST, got {quoted(method, 20)}")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE:  # without this type, any page in a browser could send a request
        return HttpRefusal(_OTHER_TYPE, f"Content-Type: wanted {CONTENT_TYPE}, got {quoted(kind, 80)}")
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in _AS_IT_IS:
        return HttpRefusal(_OTHER_TYPE, f"Content-Encoding: wanted none, got {quoted(coding, 40)}")
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return HttpRefusal(_NO_LENGTH, "Content-Length: wanted the number of bytes of the body, got none")
    return too_large(int(headers.get("content-length", "0")), most)


def too_large(size: int, most: int) -> HttpRefusal | None:
    """Return why a body of `size` bytes is refused, or None."""
    if size <= most:
        return None
    return HttpRefusal(_TOO_LARGE, f"body: wanted at most {most} bytes, got at least {most + 1}")
