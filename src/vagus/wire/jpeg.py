"""Encoding and decoding of the only JPEG that is allowed: baseline, three components, one scan.

A progressive file may hold thousands of scans, and each scan goes over the whole frame. The header is checked
before libjpeg gets the file: a progressive file, or a size that differs from the message, is refused.
"""

from __future__ import annotations

import struct

import numpy as np
import simplejpeg

from vagus.errors import ProtocolError
from vagus.types import Image

__all__ = ["check_jpeg", "decode_jpeg", "encode_jpeg", "jpeg_size"]

_START = b"\xff\xd8"
_BASELINE = (0xC0, 0xC1)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; the three markers that are left out start tables."""
_SCAN = 0xDA
_BARE = frozenset(range(0xD0, 0xDA)) | {0x00, 0x01, 0xFF}
"""Markers without a length, and bytes that are no marker: none of them is allowed before the scan."""
_COMPONENTS = 3
_MAX_SEGMENTS = 256
"""Most segments before the scan; limits the time to find the scan."""


def encode_jpeg(frame: Image, *, quality: int) -> bytes:
    """Return `frame`, C-contiguous (height, width, 3) uint8 RGB, as a JPEG with halved colour (4:2:0)."""
    jpeg: bytes = simplejpeg.encode_jpeg(frame, quality=quality, colorspace="RGB", colorsubsampling="420")
    return jpeg


def decode_jpeg(jpeg: bytes | memoryview, *, height: int, width: int) -> Image:
    """Return the frame in `jpeg`, (height, width, 3) uint8 RGB.

    Raises:
        ProtocolError: another size than announced, another kind of JPEG, a file cut short or damaged.
    """
    check_jpeg(jpeg, height=height, width=width)
    frame = np.empty((height, width, _COMPONENTS), np.uint8)
    try:
        decoded = simplejpeg.decode_jpeg(jpeg, colorspace="RGB", buffer=frame)
        return np.asarray(decoded).reshape(frame.shape)
    except ValueError as error:
        raise ProtocolError(f"JPEG: {error}") from error


def jpeg_size(jpeg: bytes | memoryview) -> tuple[int, int]:
    """Return (height, width) as the file states it; nothing is decompressed.

    Raises:
        ProtocolError: no size before the scan.
    """
    if jpeg[:2] != _START:
        raise ProtocolError("JPEG: wanted its start marker, got other bytes")
    at = len(_START)
    for _ in range(_MAX_SEGMENTS):
        marker, body, at = _segment(jpeg, at)
        if marker in _FRAMES and len(body) > 5:
            height, width = struct.unpack_from(">HH", body, 1)
            return int(height), int(width)
        if marker == _SCAN:
            break
    raise _refusal("a frame before the scan", "none")


def check_jpeg(jpeg: bytes | memoryview, *, height: int, width: int) -> None:
    """Check that one baseline frame of this size stands before the scan; nothing is decompressed.

    Raises:
        ProtocolError: another size, or another kind of JPEG.
    """
    if jpeg[:2] != _START:
        raise ProtocolError("JPEG: wanted its start marker, got other bytes")
    at = len(_START)
    has_frame = False
    for _ in range(_MAX_SEGMENTS):
        marker, body, at = _segment(jpeg, at)
        if marker == _SCAN:
            _check_scan(body, has_frame=has_frame)
            return
        if marker not in _FRAMES:
            continue
        if has_frame:
            raise _refusal("one frame", "two")
        _check_frame(marker, body, height=height, width=width)
        has_frame = True
    raise _refusal(f"at most {_MAX_SEGMENTS} segments before the scan", "more")


def _segment(jpeg: bytes | memoryview, at: int) -> tuple[int, bytes | memoryview, int]:
    """Return (marker, body, start of the next segment) of the segment at byte `at`."""
    if len(jpeg) - at < 4:
        raise _refusal("a scan", "the end of the file")
    mark, marker, size = struct.unpack_from(">BBH", jpeg, at)
    if mark != 0xFF or marker in _BARE:
        raise _refusal(f"a segment at byte {at}", f"{mark:02x} {marker:02x}")
    end = at + 2 + size
    if size < 2 or end > len(jpeg):
        raise _refusal(f"a segment that fits into {len(jpeg)} bytes", f"one of {size} at byte {at}")
    return marker, jpeg[at + 4 : end], end


def _check_frame(marker: int, body: bytes | memoryview, *, height: int, width: int) -> None:
    if marker not in _BASELINE:
        raise _refusal("a baseline frame", f"frame type {marker - 0xC0}")
    if len(body) != 6 + 3 * _COMPONENTS:
        raise _refusal(f"{_COMPONENTS} components", f"a frame header of {len(body)} bytes")
    depth, own_height, own_width, components = struct.unpack_from(">BHHB", body)
    if (depth, components) != (8, _COMPONENTS):
        raise _refusal(f"{_COMPONENTS} components of 8 bits", f"{components} of {depth}")
    if (own_height, own_width) != (height, width):
        raise _refusal(f"the {height}×{width} announced", f"{own_height}×{own_width}")


def _check_scan(body: bytes | memoryview, *, has_frame: bool) -> None:
    if not has_frame:
        raise _refusal("a frame before the scan", "none")
    if len(body) < 1 or body[0] != _COMPONENTS:
        raise _refusal(f"one scan of {_COMPONENTS} components", "a part of them")


def _refusal(wanted: str, got: str) -> ProtocolError:
    return ProtocolError(f"JPEG: wanted {wanted}, got {got}")
