"""Arrays in foreign msgpack messages: five dialects, recognised for each message and answered in kind (pure).

Every decoder raises ProtocolError and nothing else, and checks a size before it allocates that much.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.elements import array_of, bytes_of, check_encodable, dtype_of, shape_of
from vagus.gateways.msgpack import (
    MAX_DEPTH,
    MAX_FOREIGN_BYTES,
    MAX_ITEMS,
    AnyArray,
    Key,
    MsgpackBounds,
    Value,
    ValueMap,
    read_msgpack,
)
from vagus.gateways.npy import read_npy, write_npy

__all__ = ["ArrayDialect", "ForeignMessage", "decode_message", "encode_message"]


class ArrayDialect(enum.Enum):
    """How a program writes an array into msgpack. A program reads its own dialect, and often no other."""

    OPENPI = "A"
    """openpi: `__ndarray__`, `data`, `dtype`, `shape`; keys are bytes."""
    OPENPI_TEXT = "A'"
    """As openpi, with keys of text. openpi itself does not read it."""
    MSGPACK_NUMPY = "B"
    """msgpack-numpy, GR00T N1.7: `nd`, `type`, `kind`, `shape`, `data`; keys are bytes."""
    MSGPACK_NUMPY_TEXT = "B'"
    """As msgpack-numpy, with keys of text; `kind` is the letter of the element type."""
    NPY = "C"
    """GR00T N1.5 and N1.6: `__ndarray_class__`, and `as_npy`, a whole npy file; keys are text."""


@dataclass(frozen=True, eq=False)
class ForeignMessage:
    """One decoded message.

    Attributes:
        value: what it says; its arrays are read-only views of the message.
        dialect: dialect of its first array; None without an array.
    """

    value: Value
    dialect: ArrayDialect | None


def decode_message(payload: bytes | memoryview, *, max_items: int = MAX_ITEMS) -> ForeignMessage:
    """Return the message in `payload`, every array decoded by its own dialect.

    Args:
        payload: the whole message.
        max_items: most keys and values together.

    Raises:
        ProtocolError: malformed, over a bound, or an array of an element type that is not allowed.
    """
    seen: list[ArrayDialect] = []

    def convert(entries: ValueMap) -> Value:
        if _MARKERS.keys().isdisjoint(entries):  # most maps; a message can have 30,000 of them
            return entries
        for marker, (dialect, decode) in _MARKERS.items():
            if marker in entries and _is_marked(entries, marker):
                array = decode(entries)
                seen.append(dialect)
                return array
        return entries

    value = read_msgpack(payload, convert, MsgpackBounds(items=max_items))
    return ForeignMessage(value, seen[0] if seen else None)


def encode_message(value: Value | Mapping[Key, Value], dialect: ArrayDialect) -> bytes:
    """Return `value` as msgpack, its arrays in `dialect`.

    Raises:
        ProtocolError: an element type that is not allowed, or what the decoder would refuse to read.
    """
    writer = _Writer(dialect)
    try:
        payload = msgspec.msgpack.encode(writer.plain(value, MAX_DEPTH))
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(
            f"message to send: wanted values that msgpack can hold, got others: {error}"
        ) from error
    if len(payload) > MAX_FOREIGN_BYTES:
        raise ProtocolError(f"message to send: wanted at most {MAX_FOREIGN_BYTES} bytes, got {len(payload)}")
    return payload


def _is_marked(entries: ValueMap, marker: Key) -> bool:
    """Return whether the map is an array or a number: `nd` as text may be a key of somebody's own."""
    return marker != "nd" or (type(entries["nd"]) is bool and "type" in entries and "data" in entries)


def _field(entries: ValueMap, name: str, *, is_text: bool) -> Value:
    key: Key = name if is_text else name.encode()
    if key not in entries:
        raise ProtocolError(f"array: wanted a field {name}, got none")
    return entries[key]


def _decode_openpi(entries: ValueMap, *, is_text: bool) -> AnyArray:
    return array_of(
        bytes_of(_field(entries, "data", is_text=is_text), "data of an array"),
        dtype_of(_field(entries, "dtype", is_text=is_text), "dtype"),
        shape_of(_field(entries, "shape", is_text=is_text), "shape"),
    )


def _decode_openpi_scalar(entries: ValueMap, *, is_text: bool) -> np.generic:
    dtype = dtype_of(_field(entries, "dtype", is_text=is_text), "dtype")
    number = _field(entries, "data", is_text=is_text)
    if not isinstance(number, bool | int | float) or not _is_number_of(number, dtype):
        raise ProtocolError(f"number: wanted one that {dtype.str} can hold, got another")
    return dtype.type(number)


def _is_number_of(number: float, dtype: np.dtype[np.bool_ | np.integer | np.floating]) -> bool:
    if dtype.kind == "b" or isinstance(number, bool):
        return dtype.kind == "b" and isinstance(number, bool)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype.str)
        return isinstance(number, int) and bounds.min <= number <= bounds.max
    most = float(np.finfo(dtype.str).max)
    return not most < abs(number) < float("inf")


def _decode_msgpack_numpy(entries: ValueMap, *, is_text: bool) -> AnyArray | np.generic:
    kind = entries.get("kind" if is_text else b"kind", b"")
    if kind in ("O", "V", b"O", b"V"):
        raise ProtocolError("array: wanted plain numbers, got objects or structures")
    data = bytes_of(_field(entries, "data", is_text=is_text), "data of an array")
    dtype = dtype_of(_field(entries, "type", is_text=is_text), "type")
    if _field(entries, "nd", is_text=is_text) is not True:
        return dtype.type(array_of(data, dtype, ()).item())
    return array_of(data, dtype, shape_of(_field(entries, "shape", is_text=is_text), "shape"))


def _decode_npy(entries: ValueMap) -> AnyArray:
    return read_npy(bytes_of(_field(entries, "as_npy", is_text=True), "as_npy"))


def _refuse_complex(entries: ValueMap) -> Value:
    raise ProtocolError(f"number: wanted a real one, got a complex one in a map of {len(entries)} keys")


_MARKERS: Final[dict[Key, tuple[ArrayDialect, Callable[[ValueMap], Value]]]] = {
    b"__ndarray__": (ArrayDialect.OPENPI, lambda entries: _decode_openpi(entries, is_text=False)),
    "__ndarray__": (ArrayDialect.OPENPI_TEXT, lambda entries: _decode_openpi(entries, is_text=True)),
    b"nd": (ArrayDialect.MSGPACK_NUMPY, lambda entries: _decode_msgpack_numpy(entries, is_text=False)),
    "nd": (ArrayDialect.MSGPACK_NUMPY_TEXT, lambda entries: _decode_msgpack_numpy(entries, is_text=True)),
    "__ndarray_class__": (ArrayDialect.NPY, _decode_npy),
    b"__npgeneric__": (ArrayDialect.OPENPI, lambda entries: _decode_openpi_scalar(entries, is_text=False)),
    "__npgeneric__": (ArrayDialect.OPENPI_TEXT, lambda entries: _decode_openpi_scalar(entries, is_text=True)),
    b"complex": (ArrayDialect.MSGPACK_NUMPY, _refuse_complex),
}
"""Key that marks an array or a number of numpy: the dialect, and what decodes it."""


class _Writer:
    """Replaces the arrays of a value by the maps of a dialect, within the bounds of the reader."""

    def __init__(self, dialect: ArrayDialect) -> None:
        self._dialect = dialect
        self._items = MAX_ITEMS

    def plain(self, value: Value | Mapping[Key, Value], depth: int) -> object:
        """Return `value` without arrays; `depth` maps and lists may still be opened."""
        if isinstance(value, np.ndarray | np.generic):
            _check_depth(depth, 2)  # a map, and the list of its shape
            return self._numpy(value)
        if isinstance(value, Mapping | list | tuple):
            _check_depth(depth, 1)
            return self._collection(value, depth)
        return value

    def _collection(self, value: Mapping[Key, Value] | Sequence[Value], depth: int) -> object:
        self._count((2 if isinstance(value, Mapping) else 1) * len(value))
        if not isinstance(value, Mapping):
            return [self.plain(item, depth - 1) for item in value]
        if not all(isinstance(key, str | bytes) for key in value):
            raise ProtocolError("message to send: wanted text or bytes as keys, got another type")
        return {key: self.plain(item, depth - 1) for key, item in value.items()}

    def _numpy(self, value: AnyArray | np.generic) -> object:
        check_encodable(value)
        self._count(10 + value.ndim)
        if isinstance(value, np.ndarray):
            return _ENCODERS[self._dialect](value)
        if isinstance(value, float):  # np.float64 is one, and the original programs write it as one
            return float(value)
        return _SCALAR_ENCODERS[self._dialect](value)

    def _count(self, items: int) -> None:
        self._items -= items
        if self._items < 0:
            raise ProtocolError(f"message to send: wanted at most {MAX_ITEMS} keys and values, got more")


def _check_depth(depth: int, needed: int) -> None:
    if depth < needed:
        raise ProtocolError(
            f"message to send: wanted at most {MAX_DEPTH} maps and lists inside each other, got more"
        )


def _openpi_fields(array: AnyArray) -> dict[str, object]:
    # a client in Java once depended on this order
    return {"__ndarray__": True, "data": array.tobytes(), "dtype": array.dtype.str, "shape": array.shape}


def _openpi_scalar(scalar: np.generic) -> dict[str, object]:
    return {"__npgeneric__": True, "data": scalar.item(), "dtype": scalar.dtype.str}


def _msgpack_numpy_fields(array: AnyArray, kind: str | bytes) -> dict[str, object]:
    return {
        "nd": True, "type": array.dtype.str, "kind": kind, "shape": array.shape, "data": array.tobytes(),
    }  # fmt: skip


def _msgpack_numpy_scalar(scalar: np.generic) -> dict[str, object]:
    return {"nd": False, "type": scalar.dtype.str, "data": scalar.tobytes()}


def _with_bytes_keys(fields: dict[str, object]) -> dict[bytes, object]:
    return {key.encode(): value for key, value in fields.items()}


_ENCODERS: Final[dict[ArrayDialect, Callable[[AnyArray], object]]] = {
    ArrayDialect.OPENPI: lambda array: _with_bytes_keys(_openpi_fields(array)),
    ArrayDialect.OPENPI_TEXT: _openpi_fields,
    ArrayDialect.MSGPACK_NUMPY: lambda array: _with_bytes_keys(_msgpack_numpy_fields(array, b"")),
    ArrayDialect.MSGPACK_NUMPY_TEXT: lambda array: _msgpack_numpy_fields(array, array.dtype.char),
    ArrayDialect.NPY: lambda array: {"__ndarray_class__": True, "as_npy": write_npy(array)},
}
_SCALAR_ENCODERS: Final[dict[ArrayDialect, Callable[[np.generic], object]]] = {
    ArrayDialect.OPENPI: lambda scalar: _with_bytes_keys(_openpi_scalar(scalar)),
    ArrayDialect.OPENPI_TEXT: _openpi_scalar,
    ArrayDialect.MSGPACK_NUMPY: lambda scalar: _with_bytes_keys(_msgpack_numpy_scalar(scalar)),
    ArrayDialect.MSGPACK_NUMPY_TEXT: _msgpack_numpy_scalar,
    ArrayDialect.NPY: lambda scalar: scalar.item(),
}
