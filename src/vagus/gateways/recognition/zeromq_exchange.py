"""Bytes of one question to a ZeroMQ server and its answer, from the end of a REQ socket (ZMTP 3, pure)."""

from __future__ import annotations

import struct
from typing import Final

from vagus.gateways.recognition.findings import MAX_ANSWER_BYTES, Answer
from vagus.quoting import quoted

__all__ = ["ZeroMqExchange"]

_GREETING_BYTES: Final = 64
_NULL: Final = b"NULL".ljust(20, b"\0")
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + _NULL + bytes(32)
_MORE, _LONG, _COMMAND = 1, 2, 4
_READY: Final = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00"


class ZeroMqExchange:
    """A question as a REQ asks it: an empty part and the payload; the answer likewise.

    Args:
        payload: the question.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._to_send = bytearray(_GREETING)
        self._received = bytearray()
        self._is_greeted = False
        self._kind = ""
        self._parts: list[bytes] = []
        self._trouble = ""
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """See `ProbeExchange.is_over`."""
        return self._is_over

    @property
    def answer(self) -> Answer:
        """See `ProbeExchange.answer`."""
        body = self._parts[-1] if self._is_over and self._parts else b""
        return Answer(None, self._kind, body, trouble=self._trouble)

    def bytes_to_send(self) -> bytes:
        """See `ProbeExchange.bytes_to_send`."""
        taken, self._to_send = bytes(self._to_send), bytearray()
        return taken

    def receive(self, data: bytes) -> None:
        """See `ProbeExchange.receive`."""
        self._received += data
        if not self._is_greeted:
            self._take_greeting()
        while self._is_greeted and not self._is_over and self._take_frame():
            pass
        if len(self._received) + sum(map(len, self._parts)) > MAX_ANSWER_BYTES or len(self._parts) > 8:
            self._end("an answer that is too long")
        if not data and not self._is_over:
            self._end("the connection ended before an answer")

    def _take_greeting(self) -> None:
        if len(self._received) < _GREETING_BYTES:
            return
        greeting = bytes(self._received[:_GREETING_BYTES])
        del self._received[:_GREETING_BYTES]
        mechanism = greeting[12:32].rstrip(b"\0")
        if greeting[0] != 0xFF or not greeting[9] & 1 or greeting[10] < 3:
            self._end("what came back is no ZMTP 3")
        elif mechanism != b"NULL":
            self._end(f"it wants the security mechanism {quoted(mechanism.decode('latin-1'), 20)}")
        else:
            self._is_greeted = True
            self._to_send += _READY

    def _take_frame(self) -> bool:
        """Take one frame out of what was received; False: it is not whole yet."""
        data = self._received
        start = 9 if data and data[0] & _LONG else 2
        if len(data) < start:
            return False
        flags, end = data[0], start + int.from_bytes(data[1:start], "big")
        if len(data) < end:
            return False
        body = bytes(data[start:end])
        del data[:end]
        if flags & _COMMAND:
            self._take_command(body)
        elif not self._kind:
            self._end("a message before its introduction")
        else:
            self._parts.append(body)
            if not flags & _MORE:
                self._end("")
        return True

    def _take_command(self, body: bytes) -> None:
        name = body[1 : 1 + body[0]] if body else b""
        if name == b"READY":
            self._kind = _socket_type(body[6:])
            self._to_send += bytes([_MORE, 0]) + _frame(self._payload)
        elif name == b"ERROR":
            self._end(f"it says {quoted(body[7:].decode(errors='replace'), 80)}")
        elif name == b"PING":
            self._to_send += bytes([_COMMAND, 5 + len(body[7:23])]) + b"\x04PONG" + body[7:23]

    def _end(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        self._is_over = True


def _frame(body: bytes) -> bytes:
    return bytes([_LONG]) + struct.pack(">Q", len(body)) + body


def _socket_type(properties: bytes) -> str:
    """Return the type of the other socket, such as REP or ROUTER; "?" if it does not say."""
    _, found, rest = properties.lower().partition(b"\x0bsocket-type")
    size = int.from_bytes(rest[:4], "big")
    return quoted(rest[4 : 4 + min(size, 16)].decode("latin-1").upper(), 16) if found and size else "?"
