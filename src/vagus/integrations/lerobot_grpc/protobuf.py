"""The messages of `transport.AsyncInference`: a number and some bytes at most.

No protobuf package is needed for that: gRPC takes any function from bytes as a decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from vagus.errors import ProtocolError

__all__ = [
    "PART_BYTES",
    "ObservationParts",
    "TransferPart",
    "TransferState",
    "decode_data",
    "decode_part",
    "encode_data",
    "encode_part",
    "parts_of",
]

PART_BYTES = 2 << 20
"""Longest part that LeRobot sends; its receiver takes 4 MiB."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_FIELDS = 64
"""LeRobot sends two; the others are left over for a newer one."""


class TransferState(IntEnum):
    """Where a part is in its observation. A single part is an END."""

    UNKNOWN = 0
    BEGIN = 1
    MIDDLE = 2
    END = 3


@dataclass(frozen=True, slots=True)
class TransferPart:
    """The protobuf message `Observation`: a part of a pickled observation."""

    transfer_state: TransferState
    data: memoryview


def encode_data(data: bytes | memoryview) -> bytes:
    """Return the message `Actions` or `PolicySetup`."""
    return b"".join((b"\x0a", _varint(len(data)), data)) if data else b""


def decode_data(message: bytes | memoryview) -> memoryview:
    """Return the data of an `Actions` or `PolicySetup`, a view of `message`; empty: there is none.

    Raises:
        ProtocolError: malformed bytes.
    """
    found = memoryview(b"")
    for number, value in _fields(message):
        if number == 1:
            found = _as_bytes(value)
    return found


def encode_part(part: TransferPart) -> bytes:
    """Return the message `Observation`."""
    state = bytes((0x08, part.transfer_state)) if part.transfer_state else b""
    data = (b"\x12", _varint(len(part.data)), part.data) if part.data else ()
    return b"".join((state, *data))


def decode_part(message: bytes | memoryview) -> TransferPart:
    """Return the part in a message `Observation`; its data is a view of `message`.

    Raises:
        ProtocolError: malformed bytes, or a transfer state that LeRobot does not have.
    """
    state, data = 0, memoryview(b"")
    for number, value in _fields(message):
        if number == 1:
            if not isinstance(value, int) or value not in list(TransferState):
                raise ProtocolError("protobuf: wanted a transfer state from 0 to 3, got another")
            state = value
        elif number == 2:
            data = _as_bytes(value)
    return TransferPart(TransferState(state), data)


def parts_of(payload: bytes | memoryview) -> Iterator[TransferPart]:
    """Return `payload` in parts of 2 MiB, as LeRobot cuts it."""
    whole = memoryview(payload)
    for begin in range(0, len(whole), PART_BYTES):
        state = TransferState.MIDDLE if begin else TransferState.BEGIN
        is_last = begin + PART_BYTES >= len(whole)
        yield TransferPart(TransferState.END if is_last else state, whole[begin : begin + PART_BYTES])


class ObservationParts:
    """The parts of one observation that have come so far."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[memoryview] = []
        self._size = 0

    def add(self, part: TransferPart) -> bytes | memoryview | None:
        """Take a part; return the whole observation at its END, else None. A BEGIN drops what was there.

        Raises:
            ProtocolError: a part of unknown state, a MIDDLE without a BEGIN, or more than `max_bytes`.
        """
        state = part.transfer_state
        if state in (TransferState.BEGIN, TransferState.UNKNOWN):
            self._clear()
        if state is TransferState.UNKNOWN or (state is TransferState.MIDDLE and not self._parts):
            raise ProtocolError(f"observation: wanted a part that begins or goes on, got {state.name}")
        if self._size + len(part.data) > self._max_bytes:
            self._clear()
            raise ProtocolError(f"observation: wanted at most {self._max_bytes} bytes, got more")
        if state is TransferState.END and not self._parts:
            return part.data
        self._parts.append(part.data)
        self._size += len(part.data)
        if state is not TransferState.END:
            return None
        whole = b"".join(self._parts)
        self._clear()
        return whole

    def _clear(self) -> None:
        self._parts, self._size = [], 0


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Return the number and value of every field; a field that nobody knows is passed over by the caller."""
    view, at = memoryview(message), 0
    for _ in range(_MAX_FIELDS):
        if at == len(view):
            return
        tag, at = _read_varint(view, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(view, at)
            yield tag >> 3, value
            continue
        size, at = _read_varint(view, at) if kind == _BYTES else (_fixed_size(kind), at)
        if size > len(view) - at:
            raise ProtocolError(f"protobuf: wanted {size} bytes at {at}, got {len(view) - at}")
        yield tag >> 3, view[at : at + size]
        at += size
    if at != len(view):
        raise ProtocolError(f"protobuf: wanted at most {_MAX_FIELDS} fields, got more")


def _fixed_size(kind: int) -> int:
    if kind not in (_FIXED64, _FIXED32):
        raise ProtocolError(f"protobuf: the wire type {kind} is not allowed here")
    return 8 if kind == _FIXED64 else 4


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at + shift // 7 >= len(view):
            break
        byte = view[at + shift // 7]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + shift // 7 + 1
    raise ProtocolError(f"protobuf: wanted a varint at {at}, got a cut or an endless one")


def _as_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ProtocolError("protobuf: wanted bytes, got a number")
    return value
