"""Pictures of LeRobot's remote inference: raw or JPEG, checked at once, decompressed when used (pure)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np

from vagus.errors import ProtocolError
from vagus.types import Image
from vagus.wire.images import DEFAULT_QUALITY
from vagus.wire.jpeg import check_jpeg, decode_jpeg, encode_jpeg

__all__ = ["MAX_DIMENSION", "MAX_PIXELS", "PictureEncoding", "RemotePicture", "picture_of"]

MAX_DIMENSION: Final = 16384
"""Longest side of a picture or tensor."""
MAX_PIXELS: Final = 4096 * 4096
_CHANNELS: Final = 3


class PictureEncoding(enum.Enum):
    """How a picture travels."""

    RAW = "raw"
    JPEG = "jpeg"


@dataclass(frozen=True)
class RemotePicture:
    """A picture as it travels, its size and header checked.

    Attributes:
        encoding: raw, or a baseline JPEG of three components (what Pillow writes if not told otherwise).
        height: rows.
        width: columns.
        data: the bytes; of a received picture a view of the message.

    Raises:
        ProtocolError: a size over the bounds, another number of bytes, a JPEG of another size or kind.
    """

    encoding: PictureEncoding
    height: int
    width: int
    data: bytes | memoryview

    def __post_init__(self) -> None:
        sides = self.height, self.width
        is_small = (
            all(1 <= side <= MAX_DIMENSION for side in sides) and self.height * self.width <= MAX_PIXELS
        )
        if not is_small:
            raise ProtocolError(
                f"picture: wanted sides of 1 to {MAX_DIMENSION} and at most {MAX_PIXELS} pixels, got {sides}"
            )
        if self.encoding is PictureEncoding.JPEG:
            check_jpeg(self.data, height=self.height, width=self.width)
        elif len(self.data) != self.decoded_bytes:
            raise ProtocolError(
                f"picture: wanted {self.decoded_bytes} bytes for {sides}, got {len(self.data)}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self.height, self.width, _CHANNELS

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the pixels."""
        return self.height * self.width * _CHANNELS

    def pixels(self) -> Image:
        """Return the picture, (height, width, 3) uint8 RGB, a copy.

        Raises:
            ProtocolError: a damaged JPEG.
        """
        if self.encoding is PictureEncoding.JPEG:
            return decode_jpeg(self.data, height=self.height, width=self.width)
        return np.array(np.frombuffer(self.data, np.uint8).reshape(self.shape))


def picture_of(
    pixels: Image, encoding: PictureEncoding = PictureEncoding.RAW, *, quality: int = DEFAULT_QUALITY
) -> RemotePicture:
    """Return the picture that sends `pixels`, (height, width, 3) uint8 RGB.

    A JPEG has halved colour (4:2:0) as the original programs write it; its bytes are those of this machine's
    libjpeg, and not Pillow's.

    Raises:
        ProtocolError: another shape or element type, or a size over the bounds.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != _CHANNELS:
        raise ProtocolError(f"picture: wanted uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}")
    whole = np.ascontiguousarray(pixels)
    is_jpeg = encoding is PictureEncoding.JPEG
    data = encode_jpeg(whole, quality=quality) if is_jpeg else whole.tobytes()
    return RemotePicture(encoding, pixels.shape[0], pixels.shape[1], data)
