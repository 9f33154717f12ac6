"""Decompression of a zlib stream whose length is known before: never more than that is decompressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from vagus.errors import ProtocolError

__all__ = ["inflate"]


def inflate(bodies: Iterable[memoryview], *, size: int, what: str) -> bytes:
    """Return the `size` bytes that one zlib stream, given in parts, holds; never decompress more than these.

    Args:
        bodies: the parts of the stream.
        size: wanted number of bytes.
        what: what the stream is a part of, for the error.

    Raises:
        ProtocolError: broken compression, a wrong checksum, too few bytes, or anything after the last one.
    """
    inflater = zlib.decompressobj()
    parts: list[bytes] = []
    left = size
    for body in bodies:
        try:
            # one byte of room more than is left: the end of the stream is seen, and so is one byte too many
            part = inflater.decompress(body, left + 1)
        except zlib.error as error:
            raise ProtocolError(f"{what}: broken compression: {error}") from error
        parts.append(part)
        left -= len(part)
        if left < 0 or inflater.unconsumed_tail or inflater.unused_data:
            raise ProtocolError(f"{what}: more than the {size} bytes its size needs")
    if left or not inflater.eof:
        raise ProtocolError(f"{what}: wanted {size} bytes of pixels, got {size - left} in a stream cut short")
    return b"".join(parts)
