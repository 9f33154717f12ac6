"""Values of LeRobot's remote inference: numbers, texts, tensors, pictures in msgpack, in bounds (pure).

A tensor or picture is a tagged map, a *record*. What is not finite, too large or of another form is refused
while the message is read; a JPEG's header is compared with its record before anything is decompressed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import AnyArray, MsgpackBounds, Value, ValueMap, read_msgpack
from vagus.integrations.lerobot_zenoh.v1.pictures import MAX_DIMENSION, PictureEncoding, RemotePicture
from vagus.quoting import quoted

__all__ = [
    "BOUNDS",
    "MAX_DECODED_BYTES",
    "MAX_RANK",
    "MAX_TENSOR_BYTES",
    "RemoteMap",
    "RemoteValue",
    "picture_in",
    "read_map",
    "sendable",
    "write_map",
]

RemoteValue: TypeAlias = (
    "bool | int | float | str | AnyArray | RemotePicture | list[RemoteValue] | RemoteMap | None"
)
"""What a message to send may hold."""
RemoteMap: TypeAlias = "dict[str, RemoteValue]"
"""A map to send, in the order of its keys."""

BOUNDS: Final = MsgpackBounds(
    payload_bytes=32 << 20,
    depth=16,
    items=32768,
    container_items=4096,
    text_bytes=16384,
    is_text_keyed=True,
    is_finite=True,
)
"""Bounds of a message, which the protocol states. Keys count as items here."""
MAX_DECODED_BYTES: Final = 64 << 20
"""Of all tensors and decompressed pictures of a message together."""
MAX_TENSOR_BYTES: Final = 32 << 20
MAX_RANK: Final = 8

_MARKER: Final = "__lerobot_type__"
_DTYPES: Final = {
    name: np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
}  # fmt: skip
_ORDERS: Final[dict[str, Literal["<", ">"]]] = {"little": "<", "big": ">"}
_TENSOR_KEYS: Final = frozenset({_MARKER, "dtype", "shape", "endianness", "data"})
_PICTURE_KEYS: Final = frozenset({_MARKER, "encoding", "shape", "dtype", "channel_order", "data"})


def read_map(payload: bytes | memoryview) -> ValueMap:
    """Return the map in `payload`: tensors as arrays of this machine, copied; pictures by `picture_in`.

    Raises:
        ProtocolError: malformed, over a bound, not finite, or a record of another form.
    """
    value = read_msgpack(payload, _RecordReader().convert, BOUNDS)
    if not isinstance(value, dict) or _MARKER in value:
        raise ProtocolError("message: wanted a map, got another value")
    return value


def write_map(entries: RemoteMap) -> bytes:
    """Return `entries` as msgpack.

    Raises:
        ProtocolError: what `read_map` would refuse.
    """
    try:
        payload = msgspec.msgpack.encode(_RecordWriter().plain(entries, BOUNDS.depth))
    except UnicodeEncodeError as error:
        raise _unsendable("text that UTF-8 can hold", "half of a character") from error
    if len(payload) > BOUNDS.payload_bytes:
        raise ProtocolError(
            f"message to send: wanted at most {BOUNDS.payload_bytes} bytes, got {len(payload)}"
        )
    return payload


def picture_in(value: Value) -> RemotePicture | None:
    """Return the picture that a value of `read_map` is, or None."""
    if not isinstance(value, dict) or not _is_text(value.get(_MARKER), "rgb"):
        return None
    return _picture(value)


def sendable(value: Value) -> RemoteValue:
    """Return a value of `read_map` as `write_map` takes it.

    Raises:
        ProtocolError: bytes outside a record.
    """
    if isinstance(value, dict):
        return picture_in(value) or {str(key): sendable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [sendable(item) for item in value]
    if isinstance(value, bytes | memoryview | np.generic):
        raise ProtocolError("message: wanted bytes in tensors and pictures alone, got others")
    return value


class _RecordReader:
    """Makes of each record its tensor; counts what a message decodes to."""

    def __init__(self) -> None:
        self._room = MAX_DECODED_BYTES

    def convert(self, entries: ValueMap) -> Value:
        """Return the tensor of a record; a picture's record, checked; every other map as it is."""
        if _MARKER not in entries:
            return entries
        kind = entries[_MARKER]
        if _is_text(kind, "rgb"):
            self._take(_picture(entries).decoded_bytes)
            return entries
        if _is_text(kind, "tensor"):
            return self._tensor(entries)
        raise ProtocolError(f"record: wanted a tensor or rgb, got {_told(kind)}")

    def _tensor(self, entries: ValueMap) -> AnyArray:
        _check_keys(entries, _TENSOR_KEYS, "tensor")
        name, order, data = entries["dtype"], entries["endianness"], entries["data"]
        dtype = _DTYPES.get(name) if isinstance(name, str) else None
        if dtype is None:
            raise ProtocolError(f"tensor: wanted a dtype of {', '.join(_DTYPES)}, got {_told(name)}")
        if not isinstance(order, str) or order not in _ORDERS:
            raise ProtocolError(f"tensor: wanted the endianness little or big, got {_told(order)}")
        shape = _shape_of(entries["shape"])
        size = math.prod(shape) * dtype.itemsize
        if not isinstance(data, memoryview) or len(data) != size or size > MAX_TENSOR_BYTES:
            raise ProtocolError(
                f"tensor: wanted {size} bytes (at most {MAX_TENSOR_BYTES}) for {dtype.name} {shape}"
            )
        self._take(size)
        array = np.frombuffer(data, dtype.newbyteorder(_ORDERS[order])).reshape(shape)
        _check_elements(array)
        return array.astype(dtype)

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise ProtocolError(f"message: wanted at most {MAX_DECODED_BYTES} decoded bytes, got more")


class _RecordWriter:
    """Replaces tensors and pictures by their records, within the bounds of the reader."""

    def __init__(self) -> None:
        self._items = BOUNDS.items
        self._room = MAX_DECODED_BYTES

    def plain(self, value: RemoteValue | Mapping[str, RemoteValue], depth: int) -> object:
        """Return `value` without tensors and pictures; `depth` maps and lists may still be opened."""
        if isinstance(value, np.ndarray):
            return self._tensor(value, depth)
        if isinstance(value, RemotePicture):
            return self._picture(value, depth)
        if isinstance(value, dict | list):
            return self._container(value, depth)
        if isinstance(value, str) and len(value.encode()) > BOUNDS.text_bytes:
            raise _unsendable(f"texts of at most {BOUNDS.text_bytes} bytes", f"{len(value)} characters")
        if isinstance(value, float) and not math.isfinite(value):
            raise _unsendable("finite numbers", str(value))
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            raise _unsendable("whole numbers of 64 bits", "a larger one")
        return value

    def _container(self, value: list[RemoteValue] | RemoteMap, depth: int) -> object:
        is_map = isinstance(value, dict)
        self._open(len(value), 2 * len(value) if is_map else len(value), depth, levels=1)
        if isinstance(value, list):
            return [self.plain(item, depth - 1) for item in value]
        if _MARKER in value or not all(isinstance(key, str) for key in value):
            raise _unsendable(f"texts other than {_MARKER} as keys", "another")
        return {self.plain(key, 0): self.plain(item, depth - 1) for key, item in value.items()}

    def _tensor(self, array: AnyArray, depth: int) -> object:
        shape = list(array.shape)
        self._open(array.ndim, 2 * len(_TENSOR_KEYS) + array.ndim, depth, levels=2)
        if array.dtype.name not in _DTYPES or array.ndim > MAX_RANK or array.nbytes > MAX_TENSOR_BYTES:
            raise _unsendable(
                f"a tensor of at most {MAX_TENSOR_BYTES} bytes and {MAX_RANK} axes", f"{array.dtype} {shape}"
            )
        if not all(1 <= size <= MAX_DIMENSION for size in shape):
            raise _unsendable(f"sizes of 1 to {MAX_DIMENSION}; an empty tensor is sent as nil", str(shape))
        self._take(array.nbytes)
        _check_elements(array)
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return {
            _MARKER: "tensor", "dtype": array.dtype.name, "shape": shape, "endianness": "little",
            "data": little.tobytes(),
        }  # fmt: skip

    def _picture(self, picture: RemotePicture, depth: int) -> object:
        self._open(3, 2 * len(_PICTURE_KEYS) + 3, depth, levels=2)
        self._take(picture.decoded_bytes)
        return {
            _MARKER: "rgb", "encoding": picture.encoding.value, "shape": list(picture.shape),
            "dtype": "uint8", "channel_order": "RGB", "data": picture.data,
        }  # fmt: skip

    def _open(self, entries: int, items: int, depth: int, *, levels: int) -> None:
        self._items -= items
        if depth < levels:
            raise _unsendable(f"at most {BOUNDS.depth} maps and lists inside each other", "more")
        if entries > BOUNDS.container_items or self._items < 0:
            raise _unsendable(f"at most {BOUNDS.container_items} entries and {BOUNDS.items} items", "more")

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise _unsendable(f"at most {MAX_DECODED_BYTES} decoded bytes", "more")


def _picture(entries: ValueMap) -> RemotePicture:
    _check_keys(entries, _PICTURE_KEYS, "rgb")
    encoding, data = entries["encoding"], entries["data"]
    known = {choice.value: choice for choice in PictureEncoding}
    if not isinstance(encoding, str) or encoding not in known:
        raise ProtocolError(f"picture: wanted the encoding raw or jpeg, got {_told(encoding)}")
    if not _is_text(entries["dtype"], "uint8") or not _is_text(entries["channel_order"], "RGB"):
        raise ProtocolError("picture: wanted uint8 and the channel order RGB, got others")
    shape = _shape_of(entries["shape"])
    if not isinstance(data, memoryview | bytes) or len(shape) != 3 or shape[2] != 3:
        raise ProtocolError(f"picture: wanted bytes and a shape (height, width, 3), got {shape}")
    return RemotePicture(known[encoding], shape[0], shape[1], data)


def _check_keys(entries: ValueMap, keys: frozenset[str], kind: str) -> None:
    if set(entries) != keys:  # a key that nobody knows may change what the bytes mean
        raise ProtocolError(f"{kind}: wanted a record of {', '.join(sorted(keys))}, got other keys")


def _shape_of(sizes: Value) -> tuple[int, ...]:
    whole = [size for size in sizes if type(size) is int] if isinstance(sizes, list) else None
    if not isinstance(sizes, list) or whole is None or len(whole) != len(sizes) or len(sizes) > MAX_RANK:
        raise ProtocolError(f"shape: wanted a list of at most {MAX_RANK} whole numbers, got another value")
    if not all(1 <= size <= MAX_DIMENSION for size in whole):
        raise ProtocolError(f"shape: wanted sizes of 1 to {MAX_DIMENSION}, got {quoted(whole, 80)}")
    return tuple(whole)


def _check_elements(array: AnyArray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProtocolError("tensor: wanted finite numbers, got NaN or infinity")
    if array.dtype.kind == "b" and np.any(np.ascontiguousarray(array).view(np.uint8) > 1):
        raise ProtocolError("tensor: wanted booleans as bytes 0 and 1, got others")


def _is_text(value: Value, wanted: str) -> bool:
    return isinstance(value, str) and value == wanted  # an array is compared element by element


def _told(value: Value) -> str:
    return quoted(value, 40) if isinstance(value, str | int | float) else type(value).__name__


def _unsendable(wanted: str, got: str) -> ProtocolError:
    return ProtocolError(f"message to send: wanted {wanted}, got {got}")
