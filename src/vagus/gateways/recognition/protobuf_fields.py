"""Fields of a protobuf message whose definition is known elsewhere (pure)."""

from __future__ import annotations

from vagus.errors import ProtocolError

__all__ = ["read_fields"]

_MAX_FIELDS = 1 << 12
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_SIZES = {_EIGHT: 8, _FOUR: 4}


def read_fields(message: bytes) -> dict[int, int | bytes]:
    """Return number → value of each field, of one that stands several times the last: int, or its bytes.

    Raises:
        ProtocolError: no message, or one with too many fields.
    """
    fields: dict[int, int | bytes] = {}
    at = count = 0
    while at < len(message):
        tag, at = _varint(message, at)
        count += 1
        if count > _MAX_FIELDS or not tag >> 3:
            raise ProtocolError(f"message: wanted at most {_MAX_FIELDS} numbered fields, got others")
        kind = tag & 7
        if kind == _VARINT:
            fields[tag >> 3], at = _varint(message, at)
            continue
        size, at = _varint(message, at) if kind == _BYTES else (_SIZES.get(kind, len(message) + 1), at)
        if at + size > len(message):
            raise ProtocolError("message: wanted whole fields, got a part of one")
        fields[tag >> 3] = message[at : at + size]
        at += size
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ProtocolError("message: wanted a number of at most ten bytes, got a part of one")
