"""Encoding of depth frames, uint16 (height, width), as raw, delta or PNG, all without loss."""

from __future__ import annotations

import numpy as np

from vagus.errors import ProtocolError, SpecError
from vagus.types import DepthImage
from vagus.wire.delta import decode_delta, encode_delta
from vagus.wire.images import MAX_SIDE
from vagus.wire.png import decode_depth_png, encode_depth_png
from vagus.wire.schema import DepthMessage

__all__ = ["DEPTH_CODECS", "decode_depth", "depth_codec", "encode_depth", "max_depth_bytes"]

DEPTH_CODECS = ("raw", "delta", "png")
"""Codecs of a depth frame. A sender chooses; a receiver takes each of them."""

_RAW = np.dtype("<u2")
_HEADROOM_BYTES = 128 << 10
"""Bytes that an encoded frame may hold besides measurements: two segments of metadata."""


def depth_codec(image_codec: str) -> str:
    """Return the codec of depth frames in a session whose images have this codec."""
    return "raw" if image_codec == "raw" else "delta"


def encode_depth(frame: DepthImage, codec: str) -> DepthMessage:
    """Return the message that holds `frame`. With "raw" it shares the memory of a contiguous frame.

    Args:
        frame: (height, width) uint16; any strides.
        codec: one of DEPTH_CODECS.

    Raises:
        SpecError: another shape or element type, or an unknown codec.
    """
    _check_frame(frame)
    height, width = frame.shape
    pixels = np.ascontiguousarray(frame)
    if codec == "raw":
        return DepthMessage(codec, height, width, _bytes(pixels.astype(_RAW, copy=False)))
    if codec == "delta":
        return DepthMessage(codec, height, width, memoryview(encode_delta(pixels)))
    if codec == "png":
        return DepthMessage(codec, height, width, memoryview(encode_depth_png(pixels)))
    raise SpecError("depth codec", wanted=f"one of {', '.join(DEPTH_CODECS)}", got=repr(codec))


def decode_depth(message: DepthMessage, *, height: int, width: int) -> DepthImage:
    """Return the frame in `message`, (height, width) uint16, read-only; "raw" gives a view.

    Args:
        message: the frame as it was received.
        height: rows of the camera that it is of; another size is refused before anything is decoded.
        width: columns, likewise.

    Raises:
        ProtocolError: another size, an unknown codec, damaged data.
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise _refusal(f"sides of 1 to {MAX_SIDE} pixels", f"{height}×{width}")
    if (message.height, message.width) != (height, width):
        raise _refusal(f"{height}×{width}", f"{message.height}×{message.width}; depth is never scaled")
    longest = max_depth_bytes(height, width)
    if len(message.data) > longest:
        raise _refusal(f"at most {longest} bytes for {height}×{width}", f"{len(message.data)}")
    frame = _decoded(message, height=height, width=width)
    frame.flags.writeable = False
    return frame


def max_depth_bytes(height: int, width: int) -> int:
    """Return the largest number of bytes that an encoded depth frame of this size may have."""
    return 2 * _size(height, width) + _HEADROOM_BYTES


def _decoded(message: DepthMessage, *, height: int, width: int) -> DepthImage:
    if message.codec == "raw":
        size = _size(height, width)
        if len(message.data) != size:
            raise _refusal(f"{size} bytes for {height}×{width}", f"{len(message.data)}")
        return np.frombuffer(message.data, _RAW).reshape(height, width).astype(np.uint16, copy=False)
    if message.codec == "delta":
        return decode_delta(message.data, height=height, width=width)
    if message.codec == "png":
        return decode_depth_png(message.data, height=height, width=width)
    raise _refusal(f"a codec of {', '.join(DEPTH_CODECS)}", repr(message.codec[:16]))


def _size(height: int, width: int) -> int:
    return height * width * _RAW.itemsize


def _bytes(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> memoryview:
    return pixels.reshape(-1).view(np.uint8).data


def _check_frame(frame: DepthImage) -> None:
    if frame.dtype != np.uint16 or frame.ndim != 2:
        raise SpecError(
            "depth frame",
            wanted="uint16 (height, width)",
            got=f"{frame.dtype} {frame.shape}",
            fix="round metres to the unit of the depth camera's spec, with 0 where nothing was measured",
        )
    if not (1 <= frame.shape[0] <= MAX_SIDE and 1 <= frame.shape[1] <= MAX_SIDE):
        raise SpecError("depth frame", wanted=f"sides of 1 to {MAX_SIDE} pixels", got=str(frame.shape))


def _refusal(wanted: str, got: str) -> ProtocolError:
    return ProtocolError(f"depth frame: wanted {wanted}, got {got}")
