"""Encoding and decoding of the only PNG that is allowed: 8-bit RGB, not interlaced, filters none, sub, up.

The header of the file is compared with the announced size before anything is decompressed, and never more
bytes are decompressed than this size needs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from vagus.errors import ProtocolError
from vagus.types import Image

__all__ = ["decode_png", "encode_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">IIBBBBB")
_RGB8 = (8, 2, 0, 0, 0)
"""Bit depth 8, colour type RGB, deflate, adaptive filters, not interlaced."""
_CHUNK_OVERHEAD = 12
_MAX_CHUNKS = 2048
"""Most chunks of a file; limits the time spent on a file of empty chunks."""
_COMPRESSION_LEVEL = 1
"""Fast: on a noisy camera frame, level 6 saves 3 % of the bytes and takes twice as long."""

_NONE, _SUB, _UP = range(3)
"""Filters that are undone row by row. Average and Paeth work pixel by pixel: a few kB would take seconds."""


def encode_png(frame: Image) -> bytes:
    """Return `frame`, (height, width, 3) uint8 RGB, as a PNG."""
    height, width, _ = frame.shape
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = _UP
    pixels = rows[:, 1:]
    pixels[...] = frame.reshape(height, 3 * width)
    pixels[1:] -= frame[:-1].reshape(height - 1, 3 * width)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", _IHDR.pack(width, height, *_RGB8)),
            _chunk(b"IDAT", zlib.compress(rows.data, _COMPRESSION_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def decode_png(png: bytes | memoryview, *, height: int, width: int) -> Image:
    """Return the frame in `png`, (height, width, 3) uint8 RGB.

    Raises:
        ProtocolError: another size than announced, another format, a wrong checksum, too few or too many
            pixels.
    """
    chunks = _chunks(memoryview(png))
    _check_header(*next(chunks), height=height, width=width)
    stride = 1 + 3 * width
    rows = np.frombuffer(_inflate(chunks, size=height * stride), np.uint8).reshape(height, stride)
    residuals = rows[:, 1:].reshape(height, width, 3)
    filters: list[int] = rows[:, 0].tolist()
    if max(filters) > _UP:
        raise ProtocolError(
            f"PNG: wanted row filters 0 to {_UP} (none, sub, up), got {max(filters)}; "
            "write the file with one of them"
        )
    return _unfilter(filters, residuals)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(png: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (kind, body) of every chunk up to IEND, which must be the last; check each checksum."""
    if png[: len(_SIGNATURE)] != _SIGNATURE:
        raise ProtocolError("PNG: wanted its signature, got other bytes")
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if len(png) - at < _CHUNK_OVERHEAD:
            raise ProtocolError("PNG: it ends before its IEND chunk")
        (size,) = struct.unpack_from(">I", png, at)
        end = at + _CHUNK_OVERHEAD + size
        if end > len(png):
            raise ProtocolError(
                f"PNG: a chunk claims {size} bytes, {len(png) - at - _CHUNK_OVERHEAD} are left"
            )
        kind = bytes(png[at + 4 : at + 8])
        (checksum,) = struct.unpack_from(">I", png, end - 4)
        if zlib.crc32(png[at + 4 : end - 4]) != checksum:
            raise ProtocolError(f"PNG: wrong checksum of chunk {kind!r}")
        yield kind, png[at + 8 : end - 4]
        if kind == b"IEND":
            if size or end != len(png):
                raise ProtocolError("PNG: bytes after its end")
            return
        at = end
    raise ProtocolError(f"PNG: wanted at most {_MAX_CHUNKS} chunks, got more")


def _check_header(kind: bytes, body: memoryview, *, height: int, width: int) -> None:
    if kind != b"IHDR" or len(body) != _IHDR.size:
        raise ProtocolError(f"PNG: wanted IHDR of {_IHDR.size} bytes first, got {kind!r} of {len(body)}")
    own_width, own_height, *form = _IHDR.unpack(body)
    if tuple(form) != _RGB8:
        raise ProtocolError(f"PNG: wanted 8-bit RGB, not interlaced {_RGB8}, got {tuple(form)}")
    if (own_height, own_width) != (height, width):
        raise ProtocolError(f"PNG: wanted the {height}×{width} announced, got {own_height}×{own_width}")


def _inflate(chunks: Iterator[tuple[bytes, memoryview]], *, size: int) -> bytes:
    """Return the `size` bytes that the IDAT chunks hold compressed; never decompress more than these."""
    inflater = zlib.decompressobj()
    parts: list[bytes] = []
    left = size
    for body in _image_bodies(chunks):
        try:
            # one byte of room more than is left: the end of the stream is seen, and so is one byte too many
            part = inflater.decompress(body, left + 1)
        except zlib.error as error:
            raise ProtocolError(f"PNG: broken compression: {error}") from error
        parts.append(part)
        left -= len(part)
        if left < 0 or inflater.unconsumed_tail or inflater.unused_data:
            raise ProtocolError(f"PNG: more than the {size} bytes its size needs")
    if left or not inflater.eof:
        raise ProtocolError(f"PNG: wanted {size} bytes of pixels, got {size - left} in a stream cut short")
    return b"".join(parts)


def _image_bodies(chunks: Iterator[tuple[bytes, memoryview]]) -> Iterator[memoryview]:
    """Yield the bodies of the IDAT chunks, which must stand together; skip chunks without pixels."""
    is_over = False
    is_begun = False
    for kind, body in chunks:
        if kind == b"IDAT":
            if is_over:
                raise ProtocolError("PNG: wanted its IDAT chunks together, got them apart")
            is_begun = True
            yield body
            continue
        is_over = is_begun
        is_ancillary = bool(kind[0] & 0x20)
        if not is_ancillary and kind not in (b"PLTE", b"IEND"):
            raise ProtocolError(f"PNG: unknown critical chunk {kind!r}")


def _unfilter(filters: list[int], residuals: Image) -> Image:
    """Undo the filters none, sub and up; additions wrap at 256, as the format wants."""
    frame: Image = residuals.copy()
    for y, kind in enumerate(filters):
        if kind == _SUB:
            np.add.accumulate(frame[y], axis=0, out=frame[y])
        elif kind == _UP and y:
            frame[y] += frame[y - 1]
    return frame
