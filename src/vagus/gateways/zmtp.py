"""Bytes of one ZeroMQ connection (ZMTP 3), seen from the end of a ROUTER or of a REQ (pure).

libzmq itself has no bound on the parts of a message: one peer that never sends a last part fills the memory.
It drops a connection for a message that is too long, and the peer waits for its answer for ever. And of two
peers that give the same identity, it serves one. Here each connection is a peer, each message has a bound,
and each one that ends gets an answer.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from vagus.errors import ProtocolError
from vagus.gateways.wire_answer import WireAnswer
from vagus.quoting import quoted

__all__ = ["MAX_PARTS", "RequestEnd", "RouterEnd", "ZmqMessage", "encode_message"]

MAX_PARTS = 8
"""Most parts of a message. A REQ sends an empty one before its request, or a number and an empty one."""
MAX_COMMAND_BYTES = 4096
"""Longest command: the properties of a peer are its type and its identity."""

_SIGNATURE: Final = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
_MECHANISM: Final = b"NULL".ljust(20, b"\0")
_GREETING: Final = _SIGNATURE + b"\x03\x00" + _MECHANISM + bytes(32)
_MORE, _LONG, _COMMAND = 1, 2, 4
_PEERS: Final = {b"ROUTER": (b"REQ", b"DEALER", b"ROUTER"), b"REQ": (b"REP", b"ROUTER")}
"""Type of a socket → the types that it may talk to."""

_Steps: TypeAlias = Generator[int, bytearray, None]
"""Yields how many bytes it needs next, at least 1; a negative number: so many are not wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class ZmqMessage:
    """One message of a peer.

    Attributes:
        envelope: the parts that its answer begins with.
        payload: the request; a view that belongs to the receiver.
        refused: why there is no request in it; "": there is.
    """

    envelope: tuple[bytes, ...]
    payload: memoryview
    refused: str = ""


class _End:
    """One end of a connection: bytes in, messages out.

    Args:
        kind: type of the socket, ROUTER or REQ.
        max_bytes: longest message; a longer one is not kept, and refused when it ends.
    """

    def __init__(self, kind: bytes, max_bytes: int) -> None:
        self._kind = kind
        self._max_bytes = max_bytes
        self._to_send = bytearray(_GREETING)
        self._messages: list[ZmqMessage] = []
        self._is_between = False
        self._steps = self._conversation()
        self._kept = bytearray()
        self._expect(next(self._steps))

    @property
    def is_between_messages(self) -> bool:
        """Whether the peer owes nothing: it has introduced itself, and no message has begun."""
        return self._is_between

    def receive(self, data: bytes) -> list[ZmqMessage]:
        """Return the messages that end in `data`.

        Raises:
            ProtocolError: no bytes of ZMTP 3, or of a peer that may not ask. The connection is over.
        """
        view = memoryview(data)
        while view:
            taken = view[: self._missing]
            view = view[len(taken) :]
            self._missing -= len(taken)
            if self._is_kept:
                self._kept += taken
            if not self._missing:
                kept, self._kept = self._kept, bytearray()
                self._expect(self._steps.send(kept))
        messages, self._messages = self._messages, []
        return messages

    def bytes_to_send(self) -> bytes:
        """Return what the peer must be told by now, once."""
        taken, self._to_send = self._to_send, bytearray()
        return bytes(taken)

    def _expect(self, count: int) -> None:
        self._missing, self._is_kept = abs(count), count > 0

    def _conversation(self) -> _Steps:
        yield from self._greeting()
        yield from self._introduction()
        while True:
            yield from self._message()

    def _greeting(self) -> _Steps:
        signature = yield 1
        if signature[0] == _SIGNATURE[0]:
            signature += yield len(_SIGNATURE) - 1
        if signature[0] != _SIGNATURE[0] or not signature[-1] & 1:
            raise ProtocolError(f"wanted the greeting of ZeroMQ, got {quoted(bytes(signature), 40)}")
        version = (yield 1)[0]
        if version < _GREETING[10]:
            raise ProtocolError(f"wanted ZMTP 3 (ZeroMQ 4), got version {version} of the protocol")
        mechanism = (yield 1 + len(_MECHANISM))[1:]
        if mechanism != _MECHANISM:
            got = quoted(bytes(mechanism).rstrip(b"\0"), 40)
            raise ProtocolError(f"wanted the security mechanism NULL, got {got}")
        yield 32
        self._to_send += _command(
            b"READY", _property(b"Socket-Type", self._kind) + _property(b"Identity", b"")
        )

    def _introduction(self) -> _Steps:
        flags, size = yield from self._header()
        if not flags & _COMMAND or not 0 < size <= MAX_COMMAND_BYTES:
            raise ProtocolError("wanted the command READY, got another frame")
        name, body = _name_and_body(bytes((yield size)))
        if name != b"READY":
            raise ProtocolError(f"wanted the command READY, got {quoted(name, 40)}")
        kind = _properties(body).get(b"socket-type", b"")
        if kind not in _PEERS[self._kind]:
            reason = b"Invalid socket type"
            self._to_send += _command(b"ERROR", bytes([len(reason)]) + reason)
            *others, last = (name.decode() for name in _PEERS[self._kind])
            wanted = f"{', '.join(others)} or {last}"
            raise ProtocolError(f"wanted a socket of type {wanted}, got {quoted(kind, 40)}")

    def _header(self) -> Generator[int, bytearray, tuple[int, int]]:
        """Read flags and size of the next frame."""
        flags = (yield 1)[0]
        self._is_between = False
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise ProtocolError(f"wanted a frame of ZMTP 3, got flags 0x{flags:02x}")
        size = yield (8 if flags & _LONG else 1)
        return flags, int.from_bytes(size, "big")

    def _message(self) -> _Steps:
        parts: list[bytearray] = []
        left, refused = self._max_bytes, ""
        flags = _MORE
        while flags & _MORE:
            self._is_between = not parts and not refused
            header = yield from self._header()
            if header[0] & _COMMAND:
                yield from self._command(header[1])
                continue
            flags, size = header
            left -= size
            refused = refused or self._refusal(left, len(parts))
            if not refused:
                parts.append((yield size) if size else bytearray())
            elif size:
                yield -size
        self._messages.append(_message_of(parts, refused))

    def _refusal(self, left: int, parts: int) -> str:
        if left < 0:
            return f"message: wanted at most {self._max_bytes} bytes, got at least {self._max_bytes - left}"
        return f"message: wanted at most {MAX_PARTS} parts, got more" if parts == MAX_PARTS else ""

    def _command(self, size: int) -> _Steps:
        if not 0 < size <= MAX_COMMAND_BYTES:
            raise ProtocolError(f"wanted a command of 1 to {MAX_COMMAND_BYTES} bytes, got one of {size}")
        name, body = _name_and_body(bytes((yield size)))
        if name == b"ERROR":
            raise ProtocolError(f"the peer says: {quoted(body[1:], 80)}")
        if name == b"PING":  # a time to live of two bytes, and what it wants to see again
            self._to_send += _command(b"PONG", body[2:])


class RouterEnd(_End):
    """The ROUTER's end of one connection: requests come in, each is answered with its own envelope.

    Args:
        max_bytes: longest message; a longer one is not kept, and refused when it ends.
    """

    is_over = False
    may_return = False

    def __init__(self, *, max_bytes: int) -> None:
        super().__init__(b"ROUTER", max_bytes)

    def encode(self, message: ZmqMessage, answer: WireAnswer) -> bytes:
        """Return the bytes of the answer to a message."""
        return encode_message(message.envelope, answer.body)


class RequestEnd(_End):
    """The REQ's end of one connection: a request goes out, one answer comes in.

    Args:
        max_bytes: longest answer; a longer one is not kept, and refused when it ends.
    """

    is_over = False

    def __init__(self, *, max_bytes: int) -> None:
        super().__init__(b"REQ", max_bytes)

    @property
    def is_ready(self) -> bool:
        """Whether a question may be asked: the server has introduced itself, and owes nothing."""
        return self.is_between_messages

    def ask(self, payload: bytes) -> None:
        """Send a question."""
        self._to_send += encode_message((b"",), payload)


def encode_message(envelope: Iterable[bytes], payload: bytes) -> bytes:
    """Return the bytes of a message."""
    return b"".join([*(_frame(part, _MORE) for part in envelope), _frame(payload, 0)])


def _message_of(parts: list[bytearray], refused: str) -> ZmqMessage:
    """Return the message in `parts`: its envelope ends with the first empty one, if there is any."""
    end = next((index + 1 for index, part in enumerate(parts) if not part), 0)
    envelope, rest = tuple(bytes(part) for part in parts[:end]), parts[end:]
    if not refused and len(rest) != 1:
        refused = f"message: wanted one part, or an empty one and one part, got {len(parts)} parts"
    return ZmqMessage(envelope, memoryview(b"" if refused else rest[0]), refused)


def _frame(body: bytes, flags: int) -> bytes:
    size = len(body)
    header = struct.pack(">BB", flags, size) if size < 256 else struct.pack(">BQ", flags | _LONG, size)
    return header + body


def _command(name: bytes, body: bytes) -> bytes:
    return _frame(bytes([len(name)]) + name + body, _COMMAND)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def _name_and_body(command: bytes) -> tuple[bytes, bytes]:
    end = 1 + command[0]
    if len(command) < end:
        raise ProtocolError(f"wanted a name of {command[0]} bytes, got {len(command) - 1}")
    return command[1:end], command[end:]


def _properties(body: bytes) -> dict[bytes, bytes]:
    """Return the properties of a peer, their names in small letters.

    Raises:
        ProtocolError: cut off.
    """
    found: dict[bytes, bytes] = {}
    while body:
        name, rest = _name_and_body(body)
        end = 4 + int.from_bytes(rest[:4], "big")
        if len(rest) < end:
            raise ProtocolError("wanted the properties of a peer, got a part of them")
        found[name.lower()] = rest[4:end]
        body = rest[end:]
    return found
