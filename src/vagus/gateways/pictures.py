"""Pictures of foreign wires: axes, colors and sizes converted to those of vagus, and back (pure).

Pillow resizes, and reads PNG files, and is imported when the first picture comes that needs it.
"""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, ProtocolError
from vagus.gateways.profile import ColorOrder, ImageLayout, ResizeRule, WireImage
from vagus.gateways.profile_keys import told_path
from vagus.quoting import quoted
from vagus.types import Image
from vagus.wire.images import MAX_SIDE

__all__ = ["picture_from", "picture_to", "pixels_of_png"]

_BILINEAR: Final = 2
"""Pillow's number of the method."""
_CHANNELS: Final = 3
_MODES: Final = frozenset({"RGB", "RGBA", "L", "LA", "P", "1"})
"""Pillow's names of pictures with 8 bits a channel or fewer."""


class _PillowImage(Protocol):
    """What is used of a picture of Pillow."""

    size: tuple[int, int]
    mode: str

    def convert(self, mode: str) -> _PillowImage: ...
    def resize(self, size: tuple[int, int], resample: int) -> _PillowImage: ...


class _Pillow(Protocol):
    """What is used of `PIL.Image`."""

    def fromarray(self, obj: Image) -> _PillowImage: ...
    def open(self, fp: io.BytesIO, *, formats: tuple[str, ...]) -> _PillowImage: ...


def picture_from(value: object, image: WireImage, protocol: str) -> Image:
    """Return a picture of the wire as (height, width, 3) uint8 RGB, a copy.

    Args:
        value: what stands at the key.
        image: what the profile says of it.
        protocol: protocol of the profile, for the error about Pillow.

    Raises:
        ProtocolError: no picture, another layout, or another size where that is refused.
        ConfigError: it must be resized, and Pillow is not installed.
    """
    upright = _resized(_upright(value, image, image.layout), image, protocol)
    return np.array(_turned(upright, image), order="C")


def picture_to(picture: object, image: WireImage, protocol: str) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) uint8 RGB as the wire has it, a copy; errors as `picture_from`."""
    turned = _turned(_resized(_upright(picture, image, ImageLayout.HWC), image, protocol), image)
    return np.array(turned.transpose(2, 0, 1) if image.layout is ImageLayout.CHW else turned, order="C")


def pixels_of_png(data: bytes | memoryview, *, height: int, width: int, protocol: str) -> Image:
    """Return the pixels of a PNG file of any kind, (height, width, 3) uint8 RGB; nothing stays transparent.

    vagus itself writes and reads a part of PNG that is quick; a foreign client's file may be of all of it.

    Args:
        data: the file.
        height: rows that it must have: nothing else is decoded, however large it says that it is.
        width: columns that it must have.
        protocol: protocol of the gateway, for the error about Pillow.

    Raises:
        ProtocolError: no PNG, a damaged one, one of another size, or with more than 8 bits a channel.
        ConfigError: Pillow is not installed.
    """
    pillow = _pillow(protocol)
    try:
        image = pillow.open(io.BytesIO(data), formats=("PNG",))
        if image.size == (width, height) and image.mode in _MODES:
            return np.array(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, struct.error, zlib.error) as error:
        raise ProtocolError(f"image: wanted a PNG file, got a damaged one: {quoted(error, 120)}") from error
    got = f"{image.size[1]}×{image.size[0]} of {quoted(image.mode, 8)}"
    raise ProtocolError(f"image: wanted a PNG of {height}×{width} with 8 bits a channel, got {got}")


def _upright(value: object, image: WireImage, layout: ImageLayout) -> Image:
    """Return a view (height, width, 3) of a picture in `layout`; its colors are as they came."""
    is_first = layout is ImageLayout.CHW
    channels = 0 if is_first else 2
    is_picture = isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[channels] == _CHANNELS
    if not isinstance(value, np.ndarray) or not is_picture or value.dtype != np.uint8:
        axes = "(3, height, width)" if is_first else "(height, width, 3)"
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise _refusal(image, f"uint8 {axes}", got)
    pixels = value.astype(np.uint8, copy=False)
    upright = pixels.transpose(1, 2, 0) if is_first else pixels
    height, width, _ = upright.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise _refusal(image, f"sides of 1 to {MAX_SIDE} pixels", f"{height}×{width}")
    if image.resize is ResizeRule.REFUSE and (height, width) != (image.height, image.width):
        raise _refusal(
            image,
            f"{image.height}×{image.width} pixels (height×width), as its profile says",
            f"{height}×{width}; send that size, or state `resize: pad` or `resize: stretch` in the profile",
        )
    return upright


def _turned(upright: Image, image: WireImage) -> Image:
    """Return a view with the other order of colors, if the wire has the other one."""
    return upright[:, :, ::-1] if image.color is ColorOrder.BGR else upright


def _resized(upright: Image, image: WireImage, protocol: str) -> Image:
    height, width, _ = upright.shape
    if (height, width) == (image.height, image.width):
        return upright
    if image.resize is ResizeRule.STRETCH:
        return _scaled(upright, image.height, image.width, protocol)
    ratio = max(width / image.width, height / image.height)
    inner = max(1, int(height / ratio)), max(1, int(width / ratio))  # cut off, as openpi's clients do
    top, left = (image.height - inner[0]) // 2, (image.width - inner[1]) // 2
    padded = np.zeros((image.height, image.width, _CHANNELS), np.uint8)
    padded[top : top + inner[0], left : left + inner[1]] = _scaled(upright, *inner, protocol)
    return padded


def _scaled(upright: Image, height: int, width: int, protocol: str) -> Image:
    scaled = _pillow(protocol).fromarray(np.ascontiguousarray(upright)).resize((width, height), _BILINEAR)
    return np.array(scaled, np.uint8)


def _pillow(protocol: str) -> _Pillow:
    try:
        return cast("_Pillow", importlib.import_module("PIL.Image"))
    except ImportError as error:
        raise ConfigError(
            "resize",
            wanted="Pillow, which scales pictures and reads PNG files",
            got="none here",
            fix=f'pip install "vagus[{protocol.replace("_", "-")}]", or let the pictures come in their size',
        ) from error


def _refusal(image: WireImage, wanted: str, got: str) -> ProtocolError:
    where = quoted(told_path(image.key), 80)
    return ProtocolError(f"camera {image.name!r} at {where}: wanted {wanted}, got {got}")
