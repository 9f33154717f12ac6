from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import (
    MAX_DEPTH,
    MAX_FOREIGN_BYTES,
    MAX_ITEMS,
    MsgpackBounds,
    Value,
    ValueMap,
    read_msgpack,
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=40,
)


def unchanged(entries: ValueMap) -> Value:
    return entries


def read(payload: bytes) -> Value:
    return read_msgpack(payload, unchanged)


@given(value=values)
def test_a_value_that_another_library_wrote_is_read(value: object) -> None:
    assert read(msgspec.msgpack.encode(value)) == value


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_every_width_of_a_size_is_read(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * min(size, MAX_ITEMS)):
        assert read(msgspec.msgpack.encode(value)) == value


@pytest.mark.parametrize("value", [-33, -32, -1, 0, 127, 128, 255, 256, 65535, 65536, -129, -32769, 2**40])
def test_every_width_of_a_number_is_read(value: int) -> None:
    assert read(msgspec.msgpack.encode(value)) == value


def test_a_float_of_four_bytes_is_read() -> None:
    assert read(b"\xca\x3f\xc0\x00\x00") == 1.5


def test_text_and_bytes_are_different_keys_and_stay_so() -> None:
    assert read(b"\x82\xa1a\x01\xc4\x01a\x02") == {"a": 1, b"a": 2}


def test_a_message_is_not_copied() -> None:
    payload = b"\xc4\x02ab"
    value = read(payload)
    assert isinstance(value, memoryview)
    assert value.obj is payload
    assert value.readonly


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "wanted 1 more bytes, got 0"),
        (b"\x01\x02", "1 bytes after it"),
        (b"\xc1", "0xc1"),
        (b"\xd4\x01a", "extension types"),
        (b"\xc7\x01\x01a", "extension types"),
        (b"\xa1\xff", "UTF-8"),
        (b"\x82\xa1a\x01\xa1a\x02", "twice"),
        (b"\x81\x01\x02", "text or bytes as the key"),
        (b"\x81\x91\x01\x02", "text or bytes as the key"),
        (b"\x81\xc1\x02", "text or bytes as the key"),
        (b"\x81", "wanted 2 more items, got 0 bytes"),
        (b"\x81\xa1a", "got 2 bytes|wanted 1 more bytes"),
        (b"\xdd\xff\xff\xff\xff", "more items"),
        (b"\xdf\xff\xff\xff\xff", "more items"),
        (b"\xc6\xff\xff\xff\xff", "more bytes"),
        (b"\xdb\xff\xff\xff\xff", "more bytes"),
        (b"\x91" * (MAX_DEPTH + 1) + b"\x01", "inside each other"),
        (b"\x81\xa1a" * (MAX_DEPTH + 1) + b"\x01", "inside each other"),
        (b"\x91" * 100_000, "inside each other"),
        (b"\xdd\x00\x01\x00\x01" + b"\x80" * (MAX_ITEMS + 1), "keys and values"),
        (bytes(MAX_FOREIGN_BYTES + 1), "at most"),
    ],
)
def test_what_is_malformed_or_over_a_bound_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as refused:
        read(payload)
    assert len(str(refused.value)) < 200


def test_the_deepest_and_the_longest_message_are_read() -> None:
    assert read(b"\x91" * MAX_DEPTH + b"\x01") is not None
    assert read(b"\xdd\x00\x01\x00\x00" + b"\xc0" * MAX_ITEMS) == [None] * MAX_ITEMS


def test_items_are_counted_over_the_whole_message() -> None:
    part = b"\xdc\x80\x00" + b"\xc0" * 0x8000
    with pytest.raises(ProtocolError, match="keys and values"):
        read(b"\x92" + 2 * part)


@pytest.mark.parametrize(
    ("payload", "bounds", "said"),
    [
        (b"\x93\x01\x02\x03", MsgpackBounds(container_items=2), "at most 2 entries"),
        (b"\x93\x01\x02\x03", MsgpackBounds(items=2), "at most 2 keys and values"),
        (b"\x93\x01\x02\x03", MsgpackBounds(payload_bytes=3), "at most 3 bytes"),
        (b"\x91\x91\x01", MsgpackBounds(depth=1), "at most 1 maps and lists"),
        (b"\xa3abc", MsgpackBounds(text_bytes=2), "at most 2 bytes"),
        (b"\x81\xc4\x01a\x01", MsgpackBounds(is_text_keyed=True), "wanted text as the key"),
        (b"\xca\x7f\xc0\x00\x00", MsgpackBounds(is_finite=True), "wanted finite numbers"),
    ],
)
def test_a_protocol_has_bounds_of_its_own(payload: bytes, bounds: MsgpackBounds, said: str) -> None:
    read_msgpack(payload, unchanged)
    with pytest.raises(ProtocolError, match=said):
        read_msgpack(payload, unchanged, bounds)
