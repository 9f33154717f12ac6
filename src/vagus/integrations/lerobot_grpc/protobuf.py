"""The messages of `transport.AsyncInference`: a number and some bytes at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import fields_of, varint

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
    return b"".join((b"\x0a", varint(len(data)), data)) if data else b""


def decode_data(message: bytes | memoryview) -> memoryview:
    """Return the data of an `Actions` or `PolicySetup`, a view of `message`; empty: there is none.

    Raises:
        ProtocolError: malformed bytes.
    """
    found = memoryview(b"")
    for number, _, value in fields_of(message, most=_MAX_FIELDS):
        if number == 1:
            found = _as_bytes(value)
    return found


def encode_part(part: TransferPart) -> bytes:
    """Return the message `Observation`."""
    state = bytes((0x08, part.transfer_state)) if part.transfer_state else b""
    data = (b"\x12", varint(len(part.data)), part.data) if part.data else ()
    return b"".join((state, *data))


def decode_part(message: bytes | memoryview) -> TransferPart:
    """Return the part in a message `Observation`; its data is a view of `message`.

    Raises:
        ProtocolError: malformed bytes, or a transfer state that LeRobot does not have.
    """
    state, data = 0, memoryview(b"")
    for number, _, value in fields_of(message, most=_MAX_FIELDS):
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


def _as_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ProtocolError("protobuf: wanted bytes, got a number")
    return value
