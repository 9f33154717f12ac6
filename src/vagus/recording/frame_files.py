"""Bytes of a recorded frame, in both directions; the size in the file is checked before it is decoded."""

from __future__ import annotations

from vagus.errors import ProtocolError
from vagus.recording.session import FrameKind
from vagus.types import DepthImage, Frame, Image
from vagus.wire.depth import encode_depth
from vagus.wire.images import MAX_SIDE, encode_image
from vagus.wire.jpeg import decode_jpeg, jpeg_size
from vagus.wire.png import decode_depth_png, png_size

__all__ = ["MAX_FRAMES", "MAX_FRAME_BYTES", "MAX_PIXELS", "decode_frame", "encode_colour", "encode_range"]

MAX_PIXELS = 1 << 25
"""Most pixels of a recorded frame: 8192 × 4096."""
MAX_FRAME_BYTES = 8 * MAX_PIXELS
"""Longest file of a frame."""
MAX_FRAMES = 1 << 22
"""Most frames of a session: a day of four cameras at ten requests a second."""


def encode_colour(frame: Image, *, quality: int) -> bytes | memoryview:
    """Return a colour frame as a JPEG file of this quality.

    Raises:
        SpecError: another shape or element type.
    """
    return encode_image(frame, "jpeg", quality=quality).data


def encode_range(frame: DepthImage) -> bytes | memoryview:
    """Return a depth frame as a PNG file of 16 bits, without loss.

    Raises:
        SpecError: another shape or element type.
    """
    return encode_depth(frame, "png").data


def decode_frame(content: bytes, kind: FrameKind, where: str) -> Frame:
    """Return the frame in a file's bytes: colour (height, width, 3) uint8, depth (height, width) uint16.

    Args:
        content: the file.
        kind: colour (JPEG) or depth (PNG of 16 bits).
        where: names the file in errors.

    Raises:
        ProtocolError: it is damaged, of another format, or too large.
    """
    try:
        return _decode_png(content) if kind is FrameKind.DEPTH else _decode_jpeg(content)
    except ProtocolError as error:
        raise ProtocolError(f"frame {where}: {error}") from error


def _decode_jpeg(content: bytes) -> Image:
    height, width = jpeg_size(content)
    _check_size(height, width)
    return decode_jpeg(content, height=height, width=width)


def _decode_png(content: bytes) -> DepthImage:
    height, width = png_size(content)
    _check_size(height, width)
    return decode_depth_png(content, height=height, width=width)


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE or not min(height, width):
        raise ProtocolError(f"wanted 1 to {MAX_PIXELS} pixels, got {height}×{width}")
