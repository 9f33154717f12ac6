"""Bytes of one unary gRPC call and its answer, over HTTP/2 without TLS (pure).

Of the headers that come back, those matter that carry gRPC's status. This end allows no table of headers, so
that they come as they are; a program that packs them by Huffman's code is not understood, and its status is
not known.
"""

from __future__ import annotations

import struct
from typing import Final

from vagus.gateways.recognition.findings import MAX_ANSWER_BYTES, Answer

__all__ = ["GrpcExchange"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x01, 0x01, 0x04, 0x08, 0x20
_NO_TABLE: Final = struct.pack(">HI", 1, 0)
_STREAM: Final = 1
_MAX_FRAME: Final = 1 << 14
_MAX_HEADER_BYTES: Final = 1 << 16


class GrpcExchange:
    """A call with one message.

    Args:
        method: full name, "/package.Service/Method".
        message: bytes of the request.
        authority: host and port, as the client wrote them.
    """

    def __init__(self, method: str, message: bytes, authority: str) -> None:
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "vagus-doctor",
            "grpc-timeout": "2S",
        }
        body = b"\0" + struct.pack(">I", len(message)) + message
        self._to_send = bytearray(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, _NO_TABLE)
            + _frame(_HEADERS, _END_HEADERS, _STREAM, b"".join(_literal(*one) for one in fields.items()))
            + _frame(_DATA, _END_STREAM, _STREAM, body)
        )
        self._received = bytearray()
        self._body = bytearray()
        self._block = bytearray()
        self._fields: dict[str, str] = {}
        self._ends_with_block = False
        self._trouble = ""
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """See `ProbeExchange.is_over`."""
        return self._is_over

    @property
    def answer(self) -> Answer:
        """See `ProbeExchange.answer`; `kind` is the text of gRPC's status, `body` the message alone."""
        stated = self._fields.get("grpc-status", "")
        status = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 4 else None
        return Answer(
            status, self._fields.get("grpc-message", ""), bytes(self._body[5:]), trouble=self._trouble
        )

    def bytes_to_send(self) -> bytes:
        """See `ProbeExchange.bytes_to_send`."""
        taken, self._to_send = bytes(self._to_send), bytearray()
        return taken

    def receive(self, data: bytes) -> None:
        """See `ProbeExchange.receive`."""
        self._received += data
        while not self._is_over and self._take_frame():
            pass
        if len(self._received) + len(self._body) > MAX_ANSWER_BYTES or len(self._block) > _MAX_HEADER_BYTES:
            self._end("an answer that is too long")
        if not data and not self._is_over:
            self._end("the connection ended before an answer")

    def _take_frame(self) -> bool:
        """Take one frame out of what was received; False: it is not whole yet."""
        if len(self._received) < 9:
            return False
        size = int.from_bytes(self._received[:3], "big")
        if size > _MAX_FRAME:
            self._end("what came back is no HTTP/2")
            return False
        if len(self._received) < 9 + size:
            return False
        kind, flags = self._received[3], self._received[4]
        stream = int.from_bytes(self._received[5:9], "big") & 0x7FFFFFFF
        payload = bytes(self._received[9 : 9 + size])
        del self._received[: 9 + size]
        self._take(kind, flags, stream, payload)
        return True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._to_send += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self._to_send += _frame(_PING, _ACK, 0, payload)
        elif kind == _GOAWAY:
            self._end("the server ends the connection")
        elif stream == _STREAM:
            self._take_of_call(kind, flags, payload)

    def _take_of_call(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _RESET:
            self._end("the server ends the call")
        elif kind == _DATA:
            self._body += _unpadded(payload, flags)
            if flags & _END_STREAM:
                self._end("")
        elif kind in (_HEADERS, _CONTINUATION):
            if kind == _HEADERS:
                payload = _unpadded(payload, flags)[5 if flags & _PRIORITY else 0 :]
                self._ends_with_block = bool(flags & _END_STREAM)
            self._block += payload
            if flags & _END_HEADERS:
                self._fields |= _fields_in(bytes(self._block))
                self._block.clear()
                if self._ends_with_block:
                    self._end("")

    def _end(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        self._is_over = True


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _literal(name: str, value: str) -> bytes:
    """Return a header that enters no table; names and values here have fewer than 127 bytes, or are cut."""
    parts = (text.encode("ascii", "replace")[:126] for text in (name, value))
    return b"\0" + b"".join(bytes([len(part)]) + part for part in parts)


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & _PADDED or not payload:
        return payload
    return payload[1 : max(1, len(payload) - payload[0])]


def _fields_in(block: bytes) -> dict[str, str]:
    """Return the headers of a block whose name and value are written out; the rest is left out."""
    fields: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # an entry of a table
                _, at = _number(block, at, 7)
            elif first & 0xE0 == 0x20:  # a size of the table
                _, at = _number(block, at, 5)
            else:
                index, at = _number(block, at, 6 if first & 0x40 else 4)
                name, at = ("", at) if index else _text(block, at)
                value, at = _text(block, at)
                if name:
                    fields[name] = value
    except IndexError:
        return fields  # cut off
    return fields


def _number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return a number that begins in the lower bits of a byte, and where it ends; of at most four bytes."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in (0, 7, 14):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    return value, at


def _text(block: bytes, at: int) -> tuple[str, int]:
    """Return a text and where it ends; "" for one in Huffman's code."""
    is_packed = bool(block[at] & 0x80)
    size, at = _number(block, at, 7)
    if at + size > len(block):
        raise IndexError
    text = "" if is_packed else block[at : at + size].decode("latin-1")
    return text, at + size
