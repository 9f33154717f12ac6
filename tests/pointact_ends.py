"""What the fuzzer sends to both ends of PointAct's connections; a module of its own, because it needs h11."""

from __future__ import annotations

from vagus.gateways.wire_answer import WireAnswer
from vagus.integrations.pointact.either_end import EitherEnd
from vagus.integrations.pointact.http_client_end import HttpClientEnd

__all__ = ["HTTP_ANSWERS", "HTTP_STREAMS", "ask", "hear"]

_HEAD = b"POST /get_action HTTP/1.1\r\nHost: here\r\nContent-Type: application/msgpack\r\n"
_WHOLE = _HEAD + b"Content-Length: 2\r\n\r\nhi"
HTTP_STREAMS = (
    _WHOLE,
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
    _WHOLE + _WHOLE,
    _HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
)
"""What clients of HTTP send: with a length, in chunks, two requests, one that asks to go on."""
HTTP_ANSWERS = (b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\nContent-Length: 2\r\n\r\nhi",)


def ask(payload: bytes) -> None:
    """Ask as a client of either wire; whatever is a message gets an answer."""
    end = EitherEnd(max_bytes=256)
    for message in end.receive(payload):
        end.encode(message, WireAnswer(bytes(message.payload)))
    end.bytes_to_send()


def hear(payload: bytes) -> None:
    """Answer a question over HTTP."""
    end = HttpClientEnd("here:17000", "/get_action", max_bytes=256)
    end.ask(b"hi")
    for reply in end.receive(payload):
        bytes(reply.payload)
