"""Messages on a pipe between two processes of this machine: whole writes, whole reads."""

from __future__ import annotations

import struct
from typing import BinaryIO

__all__ = ["read_exactly", "read_framed", "write_framed", "write_whole"]

LENGTH = struct.Struct("<I")


def write_framed(pipe: BinaryIO, body: bytes) -> None:
    """Write a message after its length (u32, little-endian).

    Raises:
        OSError: the reader is gone.
    """
    write_whole(pipe, memoryview(LENGTH.pack(len(body)) + body))


def write_whole(pipe: BinaryIO, content: memoryview) -> None:
    """Write all bytes; blocks while the pipe is full.

    Raises:
        OSError: the reader is gone.
    """
    while content:
        content = content[pipe.write(content) :]


def read_framed(pipe: BinaryIO) -> bytearray | None:
    """Return the next message, or None at the end, also where it broke off."""
    head = read_exactly(pipe, LENGTH.size)
    return None if head is None else read_exactly(pipe, LENGTH.unpack(head)[0])


def read_exactly(pipe: BinaryIO, size: int) -> bytearray | None:
    """Return the next `size` bytes, or None where the pipe ends before."""
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count = pipe.readinto(view)  # type: ignore[attr-defined] # a raw file has it
        if not count:
            return None
        view = view[count:]
    return content
