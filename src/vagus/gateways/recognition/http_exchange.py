"""Bytes of one HTTP/1.1 request and its answer, and of a WebSocket's opening and first message (pure)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from vagus.gateways.recognition.findings import MAX_ANSWER_BYTES, Answer

__all__ = ["HttpExchange", "WebSocketExchange"]

MAX_HEAD_BYTES: Final = 1 << 14
_END_OF_HEAD: Final = b"\r\n\r\n"
_SWITCHED: Final = 101
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_KINDS: Final = {_TEXT: "text", _BINARY: "binary"}
_LONG: Final = {126: struct.Struct(">H"), 127: struct.Struct(">Q")}
_GOODBYE: Final = struct.pack(">H", 1000)
_NO_MASK: Final = bytes(4)
"""A client must mask what it sends; this mask leaves the bytes as they are."""


class HttpExchange:
    """A request, and its answer up to the length that it states, or to the end of the connection.

    Args:
        method: GET or POST.
        path: what is asked for.
        host: name in the header Host.
        body: of the request.
        headers: more headers.
    """

    def __init__(
        self,
        method: str,
        path: str,
        host: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        given = {"Host": host, "User-Agent": "vagus-doctor", "Connection": "close"}
        if body:
            given |= {"Content-Length": str(len(body)), "Content-Type": "application/msgpack"}
        given |= headers or {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._to_send = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + body
        self._received = bytearray()
        self._head: tuple[int | None, dict[str, str]] | None = None
        self._is_over = False
        self._trouble = ""

    @property
    def is_over(self) -> bool:
        """See `ProbeExchange.is_over`."""
        return self._is_over

    @property
    def answer(self) -> Answer:
        """See `ProbeExchange.answer`."""
        if self._head is None:
            return Answer(trouble=self._trouble)
        status, headers = self._head
        kind = headers.get("content-type", "").partition(";")[0].strip()
        return Answer(status, kind, bytes(self._received), headers, self._trouble)

    def bytes_to_send(self) -> bytes:
        """See `ProbeExchange.bytes_to_send`."""
        taken, self._to_send = self._to_send, b""
        return taken

    def receive(self, data: bytes) -> None:
        """See `ProbeExchange.receive`."""
        self._received += data
        if self._head is None:
            self._take_head()
        if len(self._received) > MAX_ANSWER_BYTES:
            self._end(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        elif not data:
            self._end("" if self._head else "the connection ended before an answer")
        elif self._head is not None and len(self._received) >= self._length():
            self._end("")

    def _take_head(self) -> None:
        head, found, _ = bytes(self._received[: MAX_HEAD_BYTES + 4]).partition(_END_OF_HEAD)
        if found:
            self._head = _head_of(head)
            self._received = self._received[len(head) + len(_END_OF_HEAD) :]
        elif len(self._received) > MAX_HEAD_BYTES or not b"HTTP/1.".startswith(head[:7]):
            self._end("what came back is no HTTP")

    def _length(self) -> float:
        stated = (self._head or (None, {}))[1].get("content-length", "")
        return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 10 else float("inf")

    def _end(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        self._is_over = True


class WebSocketExchange:
    """The opening of a WebSocket, and the first message that the server sends by itself.

    Args:
        path: path of the server.
        host: name in the header Host.
    """

    def __init__(self, path: str, host: str) -> None:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": "dmFndXMtaXMtYXNraW5nLg==",
            "Sec-WebSocket-Version": "13",
        }
        self._http = HttpExchange("GET", path, host, headers=headers)
        self._to_send = bytearray(self._http.bytes_to_send())
        self._received = bytearray()
        self._answer = Answer()
        self._message = bytearray()
        self._kind = 0
        self._is_open = False
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """See `ProbeExchange.is_over`."""
        return self._is_over

    @property
    def answer(self) -> Answer:
        """See `ProbeExchange.answer`."""
        return self._answer

    def bytes_to_send(self) -> bytes:
        """See `ProbeExchange.bytes_to_send`."""
        taken, self._to_send = bytes(self._to_send), bytearray()
        return taken

    def receive(self, data: bytes) -> None:
        """See `ProbeExchange.receive`."""
        if not self._is_open:
            self._open(data)
        else:
            self._received += data
        while self._is_open and not self._is_over and self._take_frame():
            pass
        if not data and not self._is_over:
            self._end("the connection ended before a message")
        if len(self._received) + len(self._message) > MAX_ANSWER_BYTES:
            self._end(f"a message of more than {MAX_ANSWER_BYTES} bytes")

    def _open(self, data: bytes) -> None:
        self._http.receive(data)
        self._answer = self._http.answer
        if self._answer.status == _SWITCHED:
            self._is_open = True
            self._received = bytearray(self._answer.body)
            self._answer = Answer(_SWITCHED, headers=self._answer.headers)
        elif self._http.is_over:
            self._is_over = True

    def _take_frame(self) -> bool:
        """Take one frame out of what was received; False: it is not whole yet."""
        frame = _frame_in(self._received)
        if frame is None:
            return False
        first, payload, size = frame
        del self._received[:size]
        opcode = first & 0x0F
        if first & 0x70 or opcode not in (_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            self._end("a frame that is none of a WebSocket without extensions")
        elif opcode == _PING:
            self._to_send += _masked(_PONG, payload[:125])
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big")
            reason = payload[2:].decode(errors="replace")
            self._end(f"the server closed with code {code} {reason}".strip())
        elif opcode != _PONG:
            self._take_message(first, opcode, payload)
        return True

    def _take_message(self, first: int, opcode: int, payload: bytes) -> None:
        self._kind = opcode or self._kind
        self._message += payload
        if first & 0x80:
            self._answer = Answer(
                _SWITCHED, _KINDS.get(self._kind, ""), bytes(self._message), self._answer.headers
            )
            self._to_send += _masked(_CLOSE, _GOODBYE)
            self._is_over = True

    def _end(self, trouble: str) -> None:
        self._answer = Answer(self._answer.status, headers=self._answer.headers, trouble=trouble)
        self._is_over = True


def _head_of(head: bytes) -> tuple[int | None, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    number = first.partition(" ")[2][:3]
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return (int(number) if number.isascii() and number.isdigit() else None), headers


def _frame_in(data: bytearray) -> tuple[int, bytes, int] | None:
    """Return first byte, payload and size of the frame that `data` begins with; None: more must come.

    A server does not mask what it sends; a masked frame is read as it is.
    """
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if form := _LONG.get(size):
        if len(data) < 2 + form.size:
            return None
        (size,), start = form.unpack_from(data, 2), 2 + form.size
    end = start + size + 4 * (data[1] >> 7)
    return None if len(data) < end else (data[0], bytes(data[start:end]), end)


def _masked(opcode: int, payload: bytes) -> bytes:
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + _NO_MASK + payload
