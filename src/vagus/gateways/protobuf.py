"""Protobuf messages (proto3) are read and written by field number, within bounds (pure).

No protobuf package is needed for that: gRPC takes any function from bytes as a decoder. A field that nobody
asks for is passed over, as protobuf wants it; one of another wire type than asked for is refused, as its
value would otherwise be taken for 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError

__all__ = ["MessageReader", "MessageWriter", "WireField", "WireType", "fields_of", "varint"]

_MAX_NUMBER: Final = (1 << 29) - 1
_MAX_VARINT: Final = (1 << 64) - 1
_MAX_INT32: Final = (1 << 31) - 1


class WireType(IntEnum):
    """How a value is written. Groups, which are older than proto3, are refused."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class WireField(NamedTuple):
    """One field as it was received; the value is a number, or a view of the message."""

    number: int
    kind: WireType
    value: int | memoryview


def varint(number: int) -> bytes:
    """Return a number from 0 in 7 bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def fields_of(message: bytes | memoryview, *, most: int) -> Iterator[WireField]:
    """Return every field of a message, in its order.

    Raises:
        ProtocolError: malformed bytes, or more than `most` fields.
    """
    view, at = memoryview(message), 0
    for _ in range(most):
        if at == len(view):
            return
        tag, at = _read_varint(view, at)
        number, kind = tag >> 3, _kind_of(tag & 7)
        if not 1 <= number <= _MAX_NUMBER:
            raise ProtocolError("protobuf: wanted field numbers from 1, got another")
        if kind is WireType.VARINT:
            value, at = _read_varint(view, at)
            yield WireField(number, kind, value)
            continue
        size, at = _read_varint(view, at) if kind is WireType.BYTES else (_fixed_size(kind), at)
        if size > len(view) - at:
            raise ProtocolError(f"protobuf: wanted {size} bytes at {at}, got {len(view) - at}")
        yield WireField(number, kind, view[at : at + size])
        at += size
    if at != len(view):
        raise ProtocolError(f"protobuf: wanted at most {most} fields, got more")


class MessageReader:
    """Reads the fields of one message; a field that is not there has the default of proto3.

    Of a field that stands several times, the last counts, but of a list every one.
    """

    def __init__(self, message: bytes | memoryview, *, name: str, most: int) -> None:
        """Read the message.

        Raises:
            ProtocolError: malformed bytes, or more than `most` fields.
        """
        self._name = name
        self._fields: dict[int, list[WireField]] = {}
        for field in fields_of(message, most=most):
            self._fields.setdefault(field.number, []).append(field)

    def whole(self, number: int) -> int:
        """Return an int32, a bool or the number of an enum."""
        value = self._last(number, WireType.VARINT, 0)
        if not isinstance(value, int):
            return 0
        signed = value - _MAX_VARINT - 1 if value > _MAX_VARINT >> 1 else value
        if value > _MAX_VARINT or not -_MAX_INT32 - 1 <= signed <= _MAX_INT32:
            raise self._error(number, "a whole number of 32 bits")
        return signed

    def double(self, number: int) -> float:
        """Return a double."""
        return float(struct.unpack("<d", self._data(number, WireType.FIXED64, bytes(8)))[0])

    def single(self, number: int) -> float:
        """Return a float."""
        return float(struct.unpack("<f", self._data(number, WireType.FIXED32, bytes(4)))[0])

    def data(self, number: int) -> memoryview:
        """Return the bytes of a field, a view of the message."""
        return self._data(number, WireType.BYTES, b"")

    def text(self, number: int, *, most: int) -> str:
        """Return a text of at most `most` bytes."""
        return self._text(number, self.data(number), most)

    def messages(self, number: int, *, most: int) -> tuple[memoryview, ...]:
        """Return the bytes of each message in a list of at most `most`."""
        fields = self._of_kinds(number, (WireType.BYTES,))
        if len(fields) > most:
            raise self._error(number, f"at most {most} messages")
        return tuple(_as_bytes(field) for field in fields)

    def floats(self, number: int, *, most: int) -> NDArray[np.float32]:
        """Return a list of at most `most` floats, packed or not, as (count,) float32, a copy."""
        parts = [_as_bytes(field) for field in self._of_kinds(number, (WireType.BYTES, WireType.FIXED32))]
        size = sum(map(len, parts))
        if size % 4 or size > 4 * most:
            raise self._error(number, f"at most {most} floats of 4 bytes")
        return np.frombuffer(b"".join(parts), "<f4").astype(np.float32)

    def texts_by_key(self, number: int, *, most: int, most_bytes: int) -> dict[str, str]:
        """Return a map from text to text of at most `most` entries, each text of at most `most_bytes`."""
        found: dict[str, str] = {}
        for entry in self.messages(number, most=most):
            reader = MessageReader(entry, name=f"{self._name} {number}", most=8)
            found[reader.text(1, most=most_bytes)] = reader.text(2, most=most_bytes)
        return found

    def _text(self, number: int, data: memoryview, most: int) -> str:
        if len(data) > most:
            raise self._error(number, f"a text of at most {most} bytes")
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise self._error(number, "a text in UTF-8") from error

    def _data(self, number: int, kind: WireType, default: bytes) -> memoryview:
        value = self._last(number, kind, memoryview(default))
        return memoryview(default) if isinstance(value, int) else value

    def _last(self, number: int, kind: WireType, default: int | memoryview) -> int | memoryview:
        fields = self._of_kinds(number, (kind,))
        return fields[-1].value if fields else default

    def _of_kinds(self, number: int, kinds: tuple[WireType, ...]) -> list[WireField]:
        fields = self._fields.get(number, [])
        if any(field.kind not in kinds for field in fields):
            raise self._error(number, f"wire type {' or '.join(kind.name for kind in kinds)}")
        return fields

    def _error(self, number: int, wanted: str) -> ProtocolError:
        return ProtocolError(f"{self._name}: wanted {wanted} as field {number}, got another")


class MessageWriter:
    """Writes the fields of one message; a value that is the default of proto3 is left out."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []

    def payload(self) -> bytes:
        """Return the message."""
        return b"".join(self._parts)

    def whole(self, number: int, value: int) -> None:
        """Add an int32, a bool or the number of an enum.

        Raises:
            ProtocolError: more than 32 bits.
        """
        if not -_MAX_INT32 - 1 <= value <= _MAX_INT32:
            raise ProtocolError(f"protobuf: wanted a whole number of 32 bits as field {number}, got another")
        if value:
            self._parts += (_tag(number, WireType.VARINT), varint(value & _MAX_VARINT))

    def double(self, number: int, value: float) -> None:
        """Add a double."""
        self._fixed(number, WireType.FIXED64, struct.pack("<d", value))

    def single(self, number: int, value: float) -> None:
        """Add a float.

        Raises:
            ProtocolError: more than a float can hold.
        """
        try:
            self._fixed(number, WireType.FIXED32, struct.pack("<f", value))
        except OverflowError as error:
            raise ProtocolError(f"protobuf: wanted a float as field {number}, got a larger one") from error

    def data(self, number: int, value: bytes | memoryview) -> None:
        """Add bytes."""
        if len(value):
            self.message(number, value)

    def text(self, number: int, value: str, *, most: int) -> None:
        """Add a text of at most `most` bytes.

        Raises:
            ProtocolError: a longer one, or one that is not Unicode.
        """
        try:
            encoded = value.encode()
        except UnicodeEncodeError as error:
            raise ProtocolError(f"protobuf: wanted a text as field {number}, got half a character") from error
        if len(encoded) > most:
            raise ProtocolError(
                f"protobuf: wanted a text of at most {most} bytes as field {number}, got {len(encoded)}"
            )
        self.data(number, encoded)

    def message(self, number: int, value: bytes | memoryview) -> None:
        """Add a message, or one more to a list of messages; an empty one is there too."""
        self._parts += (_tag(number, WireType.BYTES), varint(len(value)), value)

    def floats(self, number: int, values: NDArray[np.float32]) -> None:
        """Add a list of floats (count,), packed."""
        self.data(number, values.astype("<f4").tobytes())

    def _fixed(self, number: int, kind: WireType, value: bytes) -> None:
        if any(value):  # -0.0 is not the default
            self._parts += (_tag(number, kind), value)


def _tag(number: int, kind: WireType) -> bytes:
    return varint(number << 3 | kind)


def _kind_of(code: int) -> WireType:
    if code not in list(WireType):
        raise ProtocolError(f"protobuf: the wire type {code} is not allowed here")
    return WireType(code)


def _fixed_size(kind: WireType) -> int:
    return 8 if kind is WireType.FIXED64 else 4


def _as_bytes(field: WireField) -> memoryview:
    if isinstance(field.value, int):
        raise ProtocolError("protobuf: wanted bytes, got a number")
    return field.value


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
