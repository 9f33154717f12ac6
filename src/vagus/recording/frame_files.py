"""Bytes of a recorded frame, in both directions; the size in the file is checked before it is decoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.recording.session import FrameKind
from vagus.types import Image
from vagus.wire.images import MAX_SIDE
from vagus.wire.jpeg import decode_jpeg, jpeg_size

__all__ = ["MAX_FRAME_BYTES", "MAX_PIXELS", "decode_frame"]

MAX_PIXELS = 1 << 25
"""Most pixels of a recorded frame: 8192 × 4096."""
MAX_FRAME_BYTES = 8 * MAX_PIXELS
"""Longest file of a frame."""


def decode_frame(content: bytes, kind: FrameKind, where: str) -> Image | NDArray[np.uint16]:
    """Return the frame in a file's bytes: colour (height, width, 3) uint8, depth (height, width) uint16.

    Args:
        content: the file.
        kind: colour (JPEG) or depth (PNG of 16 bits).
        where: names the file in errors.

    Raises:
        ProtocolError: it is damaged, of another format, or too large.
    """
    if kind is FrameKind.DEPTH:
        raise ProtocolError(f"frame {where}: depth frames cannot be read by this version")
    try:
        return _decode_jpeg(content)
    except ProtocolError as error:
        raise ProtocolError(f"frame {where}: {error}") from error


def _decode_jpeg(content: bytes) -> Image:
    height, width = jpeg_size(content)
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise ProtocolError(f"wanted at most {MAX_PIXELS} pixels, got {height}×{width}")
    return decode_jpeg(content, height=height, width=width)
