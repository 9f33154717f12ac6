"""Encoding of camera frames as raw, JPEG or PNG; before and after it, RGB uint8 (height, width, 3)."""

from __future__ import annotations

import numpy as np

from vagus.errors import ProtocolError, SpecError, WantedGotError
from vagus.types import Image
from vagus.wire.jpeg import decode_jpeg, encode_jpeg
from vagus.wire.png import decode_png, encode_png
from vagus.wire.schema import ImageMessage

__all__ = [
    "CODECS",
    "DEFAULT_QUALITY",
    "MAX_SIDE",
    "check_frame_claim",
    "check_quality",
    "decode_image",
    "encode_image",
    "max_frame_bytes",
]

CODECS = ("raw", "jpeg", "png")
"""Codecs of a frame. The setting "auto" becomes one of them when the session is opened."""

DEFAULT_QUALITY = 90
MAX_SIDE = 8192
"""Longest side of a frame in pixels; limits the work of decoding a PNG."""

_CHANNELS = 3
_MAX_HEADROOM_BYTES = 128 << 10
"""Bytes that an encoded frame may hold besides pixels: two segments of metadata."""


def check_quality(subject: str, quality: int, error: type[WantedGotError]) -> None:
    """Check that a JPEG quality is from 1 to 100; raise `error` about `subject` otherwise."""
    if not 1 <= quality <= 100:
        raise error(subject, wanted="1 to 100", got=repr(quality))


def encode_image(frame: Image, codec: str, *, quality: int = DEFAULT_QUALITY) -> ImageMessage:
    """Return the message that holds `frame`. With "raw" it shares the memory of a contiguous frame.

    Args:
        frame: (height, width, 3) uint8 RGB; any strides.
        codec: one of CODECS.
        quality: JPEG quality, 1 to 100; the other codecs ignore it.

    Raises:
        SpecError: another shape or element type, an unknown codec, or a quality out of range.
    """
    _check_frame(frame)
    height, width, _ = frame.shape
    pixels = np.ascontiguousarray(frame)
    if codec == "raw":
        return ImageMessage(codec, height, width, pixels.reshape(-1).data)
    if codec == "jpeg":
        check_quality("JPEG quality", quality, SpecError)
        return ImageMessage(codec, height, width, memoryview(encode_jpeg(pixels, quality=quality)))
    if codec == "png":
        return ImageMessage(codec, height, width, memoryview(encode_png(pixels)))
    raise SpecError("image codec", wanted=f"one of {', '.join(CODECS)}", got=repr(codec))


def decode_image(message: ImageMessage, *, max_pixels: int) -> Image:
    """Return the frame in `message`, (height, width, 3) uint8 RGB; "raw" gives a read-only view.

    Args:
        message: the frame as it was received.
        max_pixels: largest height · width; compared first with the message, then with the header in the file.

    Raises:
        ProtocolError: too large, an unknown codec, damaged data, or a size that differs from the message.
    """
    check_frame_claim(message, max_pixels=max_pixels)
    height, width = message.height, message.width
    if message.codec == "raw":
        return _decode_raw(message, size=height * width * _CHANNELS)
    if message.codec == "jpeg":
        return decode_jpeg(message.data, height=height, width=width)
    if message.codec == "png":
        return decode_png(message.data, height=height, width=width)
    raise _refusal(f"a codec of {', '.join(CODECS)}", repr(message.codec[:16]))


def check_frame_claim(message: ImageMessage, *, max_pixels: int) -> None:
    """Check what a message says of its frame, before a byte of it is decoded.

    Raises:
        ProtocolError: too large, or more bytes than a frame of its size can have.
    """
    height, width = message.height, message.width
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise _refusal(f"sides of 1 to {MAX_SIDE} pixels", f"{height}×{width}")
    if height * width > max_pixels:
        raise _refusal(f"at most {max_pixels} pixels", f"{height}×{width} = {height * width}")
    longest = max_frame_bytes(height, width)
    if message.codec != "raw" and len(message.data) > longest:
        raise _refusal(f"at most {longest} bytes for {height}×{width}", f"{len(message.data)}")


def max_frame_bytes(height: int, width: int) -> int:
    """Return the largest number of bytes that an encoded frame of this size may have."""
    return 2 * height * width * _CHANNELS + _MAX_HEADROOM_BYTES


def _decode_raw(message: ImageMessage, *, size: int) -> Image:
    if len(message.data) != size:
        raise _refusal(f"{size} bytes for {message.height}×{message.width}", f"{len(message.data)}")
    frame = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, _CHANNELS)
    frame.flags.writeable = False
    return frame


def _check_frame(frame: Image) -> None:
    is_rgb = frame.ndim == 3 and frame.shape[2] == _CHANNELS
    if frame.dtype != np.uint8 or not is_rgb:
        raise SpecError(
            "image",
            wanted="uint8 RGB (height, width, 3)",
            got=f"{frame.dtype} {frame.shape}",
            fix="repeat a grey channel three times, scale floats to 0–255",
        )
    if not (1 <= frame.shape[0] <= MAX_SIDE and 1 <= frame.shape[1] <= MAX_SIDE):
        raise SpecError("image", wanted=f"sides of 1 to {MAX_SIDE} pixels", got=str(frame.shape[:2]))


def _refusal(wanted: str, got: str) -> ProtocolError:
    return ProtocolError(f"image: wanted {wanted}, got {got}")
