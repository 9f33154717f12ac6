"""Lossless compression of depth frames: each row as its difference to the row above.

The differences are counted modulo 65,536 and written so that small ones of either sign are small numbers
(0, -1, 1, -2, … become 0, 1, 2, 3, …). Their high bytes go first, all together, then their low bytes; both as
one zlib stream, which has a checksum. With the noise of a stereo camera this is 1.3 times as small as the PNG
of this package and quicker made, and 1.2 times as small as one at zlib's default level.
"""

from __future__ import annotations

import zlib

import numpy as np

from vagus.types import DepthImage
from vagus.wire.inflate import inflate

__all__ = ["decode_delta", "encode_delta"]

_COMPRESSION_LEVEL = 1
_WINDOW_BITS = 15
_MEMORY_LEVEL = 9


def encode_delta(depth: DepthImage) -> bytes:
    """Return `depth`, (height, width) uint16, compressed."""
    steps = depth.copy()
    steps[1:] -= depth[:-1]
    is_negative = steps >> 15
    folded = (steps << 1) ^ (np.uint16(0) - is_negative)
    planes = np.stack((folded >> 8, folded & 0xFF)).astype(np.uint8)
    # noise has no repeated words: looking only for runs of equal bytes is faster and smaller
    packer = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_RLE)
    return packer.compress(planes.data) + packer.flush()


def decode_delta(packed: bytes | memoryview, *, height: int, width: int) -> DepthImage:
    """Return the depth frame in `packed`, (height, width) uint16.

    Raises:
        ProtocolError: broken compression, a wrong checksum, too few or too many pixels.
    """
    content = inflate([memoryview(packed)], size=2 * height * width, what="depth frame")
    high, low = np.frombuffer(content, np.uint8).reshape(2, height, width).astype(np.uint16)
    folded = (high << 8) | low
    steps = (folded >> 1) ^ (np.uint16(0) - (folded & 1))
    frame: DepthImage = np.add.accumulate(steps, axis=0, dtype=np.uint16)
    return frame
