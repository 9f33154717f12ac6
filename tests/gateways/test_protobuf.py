"""Protobuf by field number: what the official encoder writes, and everything that may come instead."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import MessageReader, MessageWriter, WireField, WireType, fields_of, varint


def reader(message: bytes, most: int = 64) -> MessageReader:
    return MessageReader(message, name="thing", most=most)


def written(write: Callable[[MessageWriter], None]) -> bytes:
    writer = MessageWriter()
    write(writer)
    return writer.payload()


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda it: it.whole(1, 150), "08 96 01"),  # the example of protobuf's documentation
        (lambda it: it.text(2, "testing", most=9), "12 07 74 65 73 74 69 6e 67"),  # and its next one
        (lambda it: it.whole(1, -1), "08 ff ff ff ff ff ff ff ff ff 01"),
        (lambda it: it.whole(1, 0), ""),
        (lambda it: it.whole(16, 1), "80 01 01"),
        (lambda it: it.double(4, 1.0), "21 00 00 00 00 00 00 f0 3f"),
        (lambda it: it.double(4, -0.0), "21 00 00 00 00 00 00 00 80"),
        (lambda it: it.double(4, 0.0), ""),
        (lambda it: it.single(3, 1.0), "1d 00 00 80 3f"),
        (lambda it: it.floats(1, np.ones(2, np.float32)), "0a 08 00 00 80 3f 00 00 80 3f"),
        (lambda it: it.floats(1, np.ones(0, np.float32)), ""),
        (lambda it: it.data(1, b""), ""),
        (lambda it: it.message(1, b""), "0a 00"),
    ],
)
def test_the_bytes_of_a_field(write: Callable[[MessageWriter], None], wanted: str) -> None:
    assert written(write) == bytes.fromhex(wanted)


def test_what_is_not_there_has_the_default_of_proto3() -> None:
    empty = reader(b"")
    assert (empty.whole(1), empty.double(1), empty.single(1), empty.text(1, most=9)) == (0, 0.0, 0.0, "")
    assert (len(empty.data(1)), empty.messages(1, most=9), empty.texts_by_key(1, most=9, most_bytes=9)) == (
        0,
        (),
        {},
    )
    assert empty.floats(1, most=9).shape == (0,)


whole = st.integers(-(1 << 31), (1 << 31) - 1)


@given(whole, st.floats(), st.floats(width=32), st.text(max_size=9), st.binary(max_size=9))
def test_any_values_come_back(number: int, double: float, single: float, text: str, data: bytes) -> None:
    writer = MessageWriter()
    writer.whole(1, number)
    writer.double(2, double)
    writer.single(3, single)
    writer.text(4, text, most=99)
    writer.data(5, data)
    again = reader(writer.payload())
    assert (again.whole(1), again.text(4, most=99), bytes(again.data(5))) == (number, text, data)
    assert again.double(2) == double or math.isnan(double)
    assert again.single(3) == single or math.isnan(single)


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=9))
def test_floats_come_back_packed_or_not(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    packed = written(lambda it: it.floats(1, array))
    loose = b"".join(b"\x0d" + one.tobytes() for one in array)
    for message in (packed, loose):
        assert reader(message).floats(1, most=9).tolist() == array.tolist()
    assert reader(packed + loose).floats(1, most=18).tolist() == [*array.tolist(), *array.tolist()]


def test_of_two_fields_the_last_counts_and_of_a_list_every_one() -> None:
    message = b"\x08\x01\x08\x02" + b"\x12\x01a\x12\x01b"
    assert (reader(message).whole(1), reader(message).text(2, most=9)) == (2, "b")
    assert [bytes(one) for one in reader(message).messages(2, most=2)] == [b"a", b"b"]


def test_a_map_is_a_list_of_keys_and_values() -> None:
    entry = b"\x0a\x01k\x12\x01v"
    message = (b"\x12" + varint(len(entry)) + entry) * 2 + b"\x12\x03\x0a\x01e"
    assert reader(message).texts_by_key(2, most=3, most_bytes=1) == {"k": "v", "e": ""}


def test_fields_that_nobody_asks_for_are_passed_over() -> None:
    message = b"\x18\x05" + b"\x21" + bytes(8) + b"\x2d" + bytes(4) + b"\x32\x01x" + b"\x08\x07"
    assert reader(message).whole(1) == 7
    assert list(fields_of(b"\x18\x05", most=1)) == [WireField(3, WireType.VARINT, 5)]


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (b"\x0a", "a varint"),
        (b"\x0a\x05abcd", "wanted 5 bytes"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes at"),
        (b"\x0a" + b"\xff" * 12, "a varint"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x09\x01", "wanted 8 bytes"),
        (b"\x0d\x01", "wanted 4 bytes"),
        (b"\x00\x01", "field numbers from 1"),
        (b"\xf8\xff\xff\xff\x7f\x01", "field numbers from 1"),
        (b"\x18\x01" * 65, "at most 64 fields"),
    ],
)
def test_malformed_bytes_are_refused(message: bytes, wanted: str) -> None:
    with pytest.raises(ProtocolError, match=f"protobuf: .*{wanted}"):
        reader(message)


@pytest.mark.parametrize(
    ("message", "read", "wanted"),
    [
        (b"\x0a\x01x", lambda it: it.whole(1), "thing: wanted wire type VARINT as field 1"),
        (b"\x08\x01", lambda it: it.double(1), "wire type FIXED64"),
        (b"\x08\x01", lambda it: it.single(1), "wire type FIXED32"),
        (b"\x08\x01", lambda it: it.text(1, most=9), "wire type BYTES"),
        (b"\x08\x01", lambda it: it.floats(1, most=9), "wire type BYTES or FIXED32"),
        (b"\x08\x01\x0a\x00", lambda it: it.messages(1, most=9), "wire type BYTES"),
        (b"\x08\x80\x80\x80\x80\x08", lambda it: it.whole(1), "32 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", lambda it: it.whole(1), "32 bits"),
        (b"\x0a\x03abc", lambda it: it.text(1, most=2), "a text of at most 2 bytes"),
        (b"\x0a\x01\xff", lambda it: it.text(1, most=2), "a text in UTF-8"),
        (b"\x0a\x03abc", lambda it: it.floats(1, most=2), "at most 2 floats of 4 bytes"),
        (b"\x0a\x0c" + bytes(12), lambda it: it.floats(1, most=2), "at most 2 floats of 4 bytes"),
        (b"\x0a\x00\x0a\x00", lambda it: it.messages(1, most=1), "at most 1 messages"),
        (b"\x0a\x00\x0a\x00", lambda it: it.texts_by_key(1, most=1, most_bytes=1), "at most 1 messages"),
        (b"\x0a\x04\x0a\x02ab", lambda it: it.texts_by_key(1, most=1, most_bytes=1), "at most 1 bytes"),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_or_size_is_refused(
    message: bytes, read: Callable[[MessageReader], object], wanted: str
) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        read(reader(message))


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda it: it.whole(1, 1 << 31), "32 bits"),
        (lambda it: it.whole(1, -(1 << 31) - 1), "32 bits"),
        (lambda it: it.single(1, 1e39), "wanted a float"),
        (lambda it: it.text(1, "\ud800", most=9), "half a character"),
        (lambda it: it.text(1, "äöü", most=5), "at most 5 bytes as field 1, got 6"),
    ],
)
def test_what_cannot_be_read_is_not_written(write: Callable[[MessageWriter], None], wanted: str) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        written(write)


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(message: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        reader(message).floats(1, most=4)
    with contextlib.suppress(ProtocolError):
        reader(message).texts_by_key(1, most=4, most_bytes=4)
