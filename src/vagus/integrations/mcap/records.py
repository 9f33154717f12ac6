"""Records in the bytes of an MCAP file, which may be damaged, or would grow without bound."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.records import Chunk, McapRecord, Message

__all__ = ["HEAD_BYTES", "MAX_RECORD_BYTES", "chunk_body", "message_of", "parsed", "records_in"]

MAX_RECORD_BYTES = 512 << 20
"""Longest record, compressed or not."""
HEAD_BYTES = 9
READ_ERRORS = (McapError, ValueError, OverflowError, struct.error)
"""What the package raises on damaged bytes."""
_RecordT = TypeVar("_RecordT", bound=McapRecord)


def chunk_body(content: bytes) -> bytes | None:
    """Return what is in a chunk record; None: it is damaged or too large."""
    chunk = parsed(Chunk.read, content)
    if chunk is None or chunk.uncompressed_size > MAX_RECORD_BYTES:
        return None
    body = chunk.data if chunk.compression == "" else _decompressed(chunk)
    if body is None or len(body) != chunk.uncompressed_size:
        return None
    is_whole = not chunk.uncompressed_crc or zlib.crc32(body) == chunk.uncompressed_crc
    return bytes(body) if is_whole else None


def _decompressed(chunk: Chunk) -> bytes | None:
    if chunk.compression != "zstd":
        return None
    try:
        size = zstandard.frame_content_size(chunk.data)
        if size not in (-1, chunk.uncompressed_size):
            return None
        found: bytes = zstandard.ZstdDecompressor().decompress(
            chunk.data, max_output_size=chunk.uncompressed_size
        )
    except zstandard.ZstdError:
        return None
    return found


def records_in(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield place, opcode and content of the records in a chunk; a last one that is cut off is left out."""
    place = 0
    while place + HEAD_BYTES <= len(body):
        length = int.from_bytes(body[place + 1 : place + HEAD_BYTES], "little")
        end = place + HEAD_BYTES + length
        if end > len(body):
            return
        yield place, body[place], body[place + HEAD_BYTES : end]
        place = end


def message_of(content: bytes) -> Message | None:
    """Return the message in a record; None: it is damaged."""
    return parsed(partial(_message, length=len(content)), content)


def _message(stream: ReadDataStream, *, length: int) -> Message:
    message: Message = Message.read(stream, length)
    return message


def parsed(read: Callable[[ReadDataStream], _RecordT], content: bytes) -> _RecordT | None:
    """Return a record that the package reads; None: its bytes are damaged."""
    try:
        return read(ReadDataStream(io.BytesIO(content)))
    except READ_ERRORS:
        return None
