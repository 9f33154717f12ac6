"""Element types, shapes and bytes of foreign arrays are checked before numpy sees them (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES, AnyArray, Value
from vagus.quoting import quoted
from vagus.wire.schema import MAX_NDIM

__all__ = ["array_of", "bytes_of", "check_encodable", "dtype_of", "shape_of"]

_NAMES: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
_DTYPES: Final[dict[str, np.dtype[np.bool_ | np.integer | np.floating]]] = {
    text: dtype
    for name in _NAMES
    for dtype in (np.dtype(name).newbyteorder("<"), np.dtype(name).newbyteorder(">"))
    for text in {dtype.str, name if dtype.isnative else dtype.str}
}
"""Element types that are taken, in both spellings: `<f4` and `float32`. No other text reaches numpy."""


def dtype_of(text: Value, name: str) -> np.dtype[np.bool_ | np.integer | np.floating]:
    """Return the element type that `text` names.

    Raises:
        ProtocolError: objects, structures, text, complex numbers, or more than 8 bytes.
    """
    dtype = _DTYPES.get(text) if isinstance(text, str) else None
    if dtype is None:
        raise ProtocolError(
            f"{name}: wanted an element type of bool, int, uint or float of at most 8 bytes, "
            f"got {quoted(text, 40) if isinstance(text, str) else type(text).__name__}"
        )
    return dtype


def shape_of(sizes: Value, name: str) -> list[int]:
    """Return the shape that `sizes` is.

    Raises:
        ProtocolError: not a list of whole numbers.
    """
    whole = [size for size in sizes if type(size) is int] if isinstance(sizes, list) else None
    if whole is None or len(whole) != len(sizes if isinstance(sizes, list) else ()):
        raise ProtocolError(f"{name}: wanted a shape as a list of whole numbers, got another type")
    return whole


def bytes_of(data: Value, name: str) -> memoryview:
    """Return `data` if it is bytes.

    Raises:
        ProtocolError: another type.
    """
    if not isinstance(data, memoryview):
        raise ProtocolError(f"{name}: wanted bytes, got {type(data).__name__}")
    return data


def array_of(
    data: memoryview,
    dtype: np.dtype[np.bool_ | np.integer | np.floating],
    shape: Sequence[int],
    *,
    order: Literal["C", "F"] = "C",
) -> AnyArray:
    """Return the array in `data`, a read-only view. NaN and infinity pass.

    Raises:
        ProtocolError: too many dimensions, sizes that no message can hold, another number of bytes, or
            booleans that are neither 0 nor 1.
    """
    if len(shape) > MAX_NDIM:
        raise ProtocolError(f"array: wanted at most {MAX_NDIM} dimensions, got {len(shape)}")
    is_possible = all(0 <= size <= MAX_FOREIGN_BYTES for size in shape)
    if not is_possible or math.prod(max(size, 1) for size in shape) > MAX_FOREIGN_BYTES:
        raise ProtocolError(f"array: wanted sizes that fit a message, got {quoted(tuple(shape), 80)}")
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise ProtocolError(f"array: wanted {wanted} bytes for {dtype.str} {tuple(shape)}, got {len(data)}")
    if dtype.kind == "b" and np.any(np.frombuffer(data, np.uint8) > 1):
        raise ProtocolError("array: wanted booleans as bytes 0 and 1, got others")
    return np.frombuffer(data, dtype).reshape(tuple(shape), order=order)


def check_encodable(array: np.ndarray | np.generic) -> None:
    """Refuse what the other side would refuse as well.

    Raises:
        ProtocolError: an element type or a number of dimensions that is not allowed.
    """
    dtype_of(array.dtype.str, "array to send")
    if array.ndim > MAX_NDIM:
        raise ProtocolError(f"array to send: wanted at most {MAX_NDIM} dimensions, got {array.ndim}")
