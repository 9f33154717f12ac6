"""Bytes of others: whatever is wrong with them, it is told, and nobody forgets one of the errors."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from vagus.malformed import MALFORMED

SOURCE = Path(__file__).resolve().parents[1] / "src" / "vagus"
NARROW = re.compile(r"except [^:]*msgspec\.(?:MsgspecError|DecodeError)")


@pytest.mark.parametrize("decode", [msgspec.json.decode, msgspec.msgpack.decode])
@pytest.mark.parametrize("content", [b"", b"\xc1", b'"\xff"', b"\xa1\xff", b"[" * 100_000, b"\x91" * 100_000])
def test_a_decoder_raises_nothing_else(decode: object, content: bytes) -> None:
    assert callable(decode)
    try:
        decode(content)
    except MALFORMED:
        return
    assert decode is msgspec.msgpack.decode  # b"[" and b'"' are small numbers there
    assert content[:1] in b'["'


def test_nobody_catches_a_part_of_them() -> None:
    """Whoever names an error of msgspec beside them has forgotten the two of Python."""
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 300
    assert [str(path) for path in paths if NARROW.search(path.read_text(encoding="utf-8"))] == []
