"""A checksum over every message, because a broken link delivers broken messages.

When an outage ends before both sides have noticed it, Zenoh 1.10.2 was seen delivering messages of the
right length, under the right key, whose bytes are those of other messages: a session that gives up in the
middle of a write leaves a stream that its peer goes on reading. A new session does not help against what
the old one left, and a header can be whole while the numbers behind it are not.
"""

from __future__ import annotations

import zlib

__all__ = ["SEAL_SIZE", "check_seal", "seal"]

SEAL_SIZE = 4
"""CRC-32 of header and payload, little-endian, at the end of the attachment."""


def seal(header: bytes, payload: bytes) -> bytes:
    """Return the attachment that travels with `payload`."""
    return header + _checksum(header, payload)


def check_seal(attachment: bytes, payload: bytes) -> bytes | None:
    """Return the header, or None if header or payload are not what was sealed."""
    header = attachment[:-SEAL_SIZE]
    return header if attachment[-SEAL_SIZE:] == _checksum(header, payload) else None


def _checksum(header: bytes, payload: bytes) -> bytes:
    return zlib.crc32(payload, zlib.crc32(header)).to_bytes(SEAL_SIZE, "little")
