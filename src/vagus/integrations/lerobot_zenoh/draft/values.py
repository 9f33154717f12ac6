"""Arrays and pictures of the draft, in msgpack, within bounds (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.elements import array_of, bytes_of, dtype_of, shape_of
from vagus.gateways.msgpack import AnyArray, MsgpackBounds, Value, ValueMap, read_msgpack
from vagus.types import FloatArray, Image
from vagus.wire.images import DEFAULT_QUALITY, MAX_SIDE
from vagus.wire.jpeg import decode_jpeg, encode_jpeg, jpeg_size

__all__ = ["DraftMap", "DraftPicture", "DraftValue", "draft_picture", "read_draft", "write_draft"]

DraftValue: TypeAlias = "bool | int | float | str | FloatArray | DraftPicture | list[str] | DraftMap | None"
"""What a message to send may hold."""
DraftMap: TypeAlias = "Mapping[str, DraftValue]"
"""A map to send, in the order of its keys."""

_BOUNDS: Final = MsgpackBounds(is_text_keyed=True, is_finite=True)
"""The draft states no bounds: those of the native wire."""
_ARRAY_KEYS: Final = frozenset({"dtype", "shape", "data"})
_CHANNELS: Final = 3
RAW: Final = "raw"
JPEG: Final = "jpeg"


@dataclass(frozen=True)
class DraftPicture:
    """A picture as it travels.

    Attributes:
        codec: raw or jpeg.
        data: the bytes; of a received picture a view of the message.
        shape: (height, width, 3) of raw pixels; a JPEG states its size itself.
    """

    codec: str
    data: bytes | memoryview
    shape: tuple[int, ...] | None = None

    @classmethod
    def from_wire(cls, value: Value) -> DraftPicture:
        """Return the picture of a map; ProtocolError otherwise."""
        if not isinstance(value, dict) or not {"codec", "data"} <= value.keys() <= {"codec", "data", "shape"}:
            raise ProtocolError("picture: wanted a map of codec, data and maybe shape, got another value")
        codec, shape = value["codec"], value.get("shape")
        if not isinstance(codec, str) or codec not in (RAW, JPEG):
            raise ProtocolError(f"picture: wanted the codec {RAW} or {JPEG}, got another")
        sizes = None if shape is None else tuple(shape_of(shape, "shape of a picture"))
        return cls(codec, bytes_of(value["data"], "data of a picture"), sizes)

    def pixels(self, *, max_pixels: int) -> Image:
        """Return the picture, (height, width, 3) uint8 RGB, a copy.

        Args:
            max_pixels: largest height · width, compared before anything is decompressed.

        Raises:
            ProtocolError: larger, without a shape, or damaged.
        """
        sizes = self.shape if self.codec == RAW else (*jpeg_size(self.data), _CHANNELS)
        if sizes is None or len(sizes) != 3 or sizes[2] != _CHANNELS:
            raise ProtocolError(f"picture: wanted a shape (height, width, 3), got {sizes}")
        height, width, _ = sizes
        if not all(1 <= side <= MAX_SIDE for side in (height, width)) or height * width > max_pixels:
            raise ProtocolError(f"picture: wanted at most {max_pixels} pixels, got {height}×{width}")
        if self.codec == JPEG:
            return decode_jpeg(self.data, height=height, width=width)
        if len(self.data) != height * width * _CHANNELS:
            raise ProtocolError(f"picture: wanted bytes for {height}×{width}, got {len(self.data)}")
        return np.array(np.frombuffer(self.data, np.uint8).reshape(height, width, _CHANNELS))


def draft_picture(pixels: Image, codec: str = JPEG, *, quality: int = DEFAULT_QUALITY) -> DraftPicture:
    """Return the picture that sends `pixels`, (height, width, 3) uint8 RGB.

    Raises:
        ProtocolError: another shape or element type, or another codec.
    """
    is_picture = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == _CHANNELS
    if not is_picture or codec not in (RAW, JPEG):
        raise ProtocolError(f"picture: wanted uint8 (height, width, 3), raw or jpeg, got {pixels.shape}")
    whole = np.ascontiguousarray(pixels)
    if codec == RAW:
        return DraftPicture(codec, whole.tobytes(), whole.shape)
    return DraftPicture(codec, encode_jpeg(whole, quality=quality))


def read_draft(payload: bytes | memoryview) -> ValueMap:
    """Return the map in `payload`; its arrays are read-only views, and finite.

    Raises:
        ProtocolError: malformed, over a bound, not finite, or an array of another form.
    """
    value = read_msgpack(payload, _convert, _BOUNDS)
    if not isinstance(value, dict):
        raise ProtocolError("message: wanted a map, got another value")
    return value


def write_draft(entries: DraftMap) -> bytes:
    """Return `entries` as msgpack.

    Raises:
        ProtocolError: not finite, too large, or text that UTF-8 cannot hold.
    """
    try:
        payload = msgspec.msgpack.encode(_plain(entries))
    except (UnicodeEncodeError, OverflowError) as error:
        raise ProtocolError(f"message to send: {error}") from error
    if len(payload) > _BOUNDS.payload_bytes:
        raise ProtocolError(
            f"message to send: wanted at most {_BOUNDS.payload_bytes} bytes, got {len(payload)}"
        )
    return payload


def _convert(entries: ValueMap) -> Value:
    if entries.keys() != _ARRAY_KEYS:
        return entries
    dtype = dtype_of(entries["dtype"], "dtype")
    array = array_of(
        bytes_of(entries["data"], "data of an array"), dtype, shape_of(entries["shape"], "shape")
    )
    _check_finite(array)
    return array


def _plain(value: DraftValue | DraftMap) -> object:
    if isinstance(value, np.ndarray):
        _check_finite(value)
        little = np.ascontiguousarray(value, "<f4")
        return {"dtype": little.dtype.str, "shape": list(value.shape), "data": little.tobytes()}
    if isinstance(value, DraftPicture):
        shape = {} if value.shape is None else {"shape": list(value.shape)}
        return {"codec": value.codec, **shape, "data": value.data}
    if isinstance(value, float) and not math.isfinite(value):
        raise ProtocolError(f"message to send: wanted finite numbers, got {value}")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _check_finite(array: AnyArray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProtocolError("array: wanted finite numbers, got NaN or infinity")
