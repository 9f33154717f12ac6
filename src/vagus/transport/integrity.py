"""Checksum of every message, because a broken link delivers broken messages.

When an outage ends before both sides have noticed it, Zenoh 1.10.2 was seen delivering messages of the
right length, under the right key, but with bytes of other messages: a session that stops in the middle of a
write leaves a stream that its peer continues to read. A new session does not help against the old stream, and
a header can be right although the numbers after it are wrong.
"""

from __future__ import annotations

import zlib

__all__ = ["SEAL_SIZE", "check_seal", "seal"]

SEAL_SIZE = 4
"""CRC-32 of header and payload, little-endian, at the end of the attachment."""


def seal(header: bytes, payload: bytes) -> bytes:
    """Return the attachment of a message: `header` and the checksum of both `header` and `payload`."""
    return header + _checksum(header, payload)


def check_seal(attachment: bytes, payload: bytes) -> bytes | None:
    """Return the header, or None if the checksum does not match header and payload."""
    header = attachment[:-SEAL_SIZE]
    return header if attachment[-SEAL_SIZE:] == _checksum(header, payload) else None


def _checksum(header: bytes, payload: bytes) -> bytes:
    return zlib.crc32(payload, zlib.crc32(header)).to_bytes(SEAL_SIZE, "little")
