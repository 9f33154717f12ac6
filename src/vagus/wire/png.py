"""Encoding and decoding of the PNG that is allowed: 8-bit RGB and 16-bit grey; filters none, sub, up.

The header of the file is compared with the announced size before anything is decompressed, and never more
bytes are decompressed than this size needs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.types import DepthImage, Image
from vagus.wire.inflate import inflate

__all__ = ["decode_depth_png", "decode_png", "encode_depth_png", "encode_png", "png_size"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">IIBBBBB")
_SIZE = struct.Struct(">II")
_SIZE_AT = 16
"""Where the file says its width and height: after signature, length and name of its first chunk."""
_Pixels: TypeAlias = NDArray[np.uint8]
"""Bytes of a frame, (height, width, bytes per pixel)."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One kind of PNG.

    `header`: bit depth, colour type, deflate, adaptive filters, not interlaced; `stride`: bytes per pixel.
    """

    header: tuple[int, ...]
    stride: int
    name: str


_RGB8 = _Form((8, 2, 0, 0, 0), 3, "8-bit RGB")
_GREY16 = _Form((16, 0, 0, 0, 0), 2, "16-bit grey")
_CHUNK_OVERHEAD = 12
_MAX_CHUNKS = 2048
"""Most chunks of a file; limits the time spent on a file of empty chunks."""
_COMPRESSION_LEVEL = 1
"""Fast: on a noisy camera frame, level 6 saves 3 % of the bytes and takes twice as long."""

_NONE, _SUB, _UP = range(3)
"""Filters that are undone row by row. Average and Paeth work pixel by pixel: a few kB would take seconds."""


def encode_png(frame: Image) -> bytes:
    """Return `frame`, (height, width, 3) uint8 RGB, as a PNG."""
    return _encode(frame, _RGB8)


def encode_depth_png(depth: DepthImage) -> bytes:
    """Return `depth`, (height, width) uint16, as a 16-bit grey PNG."""
    height, width = depth.shape
    big_endian = np.ascontiguousarray(depth, dtype=">u2")  # as PNG has it
    return _encode(big_endian.view(np.uint8).reshape(height, width, _GREY16.stride), _GREY16)


def png_size(png: bytes | memoryview) -> tuple[int, int]:
    """Return (height, width) as the file states it; nothing else of it is looked at.

    Raises:
        ProtocolError: it ends before.
    """
    if len(png) < _SIZE_AT + _SIZE.size:
        raise ProtocolError("wanted a PNG, got a file that is too short")
    width, height = _SIZE.unpack_from(png, _SIZE_AT)
    return height, width


def decode_png(png: bytes | memoryview, *, height: int, width: int) -> Image:
    """Return the frame in `png`, (height, width, 3) uint8 RGB.

    Raises:
        ProtocolError: another size than announced, another format, a wrong checksum, too few or too many
            pixels.
    """
    return _decode(png, _RGB8, height=height, width=width)


def decode_depth_png(png: bytes | memoryview, *, height: int, width: int) -> DepthImage:
    """Return the depth frame in a 16-bit grey PNG, (height, width) uint16.

    Raises:
        ProtocolError: as of `decode_png`.
    """
    pixels = _decode(png, _GREY16, height=height, width=width)
    return pixels.view(">u2").reshape(height, width).astype(np.uint16)


def _encode(pixels: _Pixels, form: _Form) -> bytes:
    height, width, stride = pixels.shape
    rows = np.empty((height, 1 + stride * width), np.uint8)
    rows[:, 0] = _UP
    filtered = rows[:, 1:]
    filtered[...] = pixels.reshape(height, stride * width)
    filtered[1:] -= pixels[:-1].reshape(height - 1, stride * width)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", _IHDR.pack(width, height, *form.header)),
            _chunk(b"IDAT", zlib.compress(rows.data, _COMPRESSION_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _decode(png: bytes | memoryview, form: _Form, *, height: int, width: int) -> _Pixels:
    chunks = _chunks(memoryview(png))
    _check_header(*next(chunks), form, height=height, width=width)
    row_bytes = 1 + form.stride * width
    inflated = inflate(_image_bodies(chunks), size=height * row_bytes, what="PNG")
    rows = np.frombuffer(inflated, np.uint8).reshape(height, row_bytes)
    residuals = rows[:, 1:].reshape(height, width, form.stride)
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


def _check_header(kind: bytes, body: memoryview, form: _Form, *, height: int, width: int) -> None:
    if kind != b"IHDR" or len(body) != _IHDR.size:
        raise ProtocolError(f"PNG: wanted IHDR of {_IHDR.size} bytes first, got {kind!r} of {len(body)}")
    own_width, own_height, *own = _IHDR.unpack(body)
    if tuple(own) != form.header:
        raise ProtocolError(f"PNG: wanted {form.name}, not interlaced {form.header}, got {tuple(own)}")
    if (own_height, own_width) != (height, width):
        raise ProtocolError(f"PNG: wanted the {height}×{width} announced, got {own_height}×{own_width}")


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


def _unfilter(filters: list[int], residuals: _Pixels) -> _Pixels:
    """Undo the filters none, sub and up; additions wrap at 256, as the format wants."""
    frame: _Pixels = residuals.copy()
    for y, kind in enumerate(filters):
        if kind == _SUB:
            np.add.accumulate(frame[y], axis=0, out=frame[y])
        elif kind == _UP and y:
            frame[y] += frame[y - 1]
    return frame
