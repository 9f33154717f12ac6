from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_pickles import golden
from vagus.errors import ProtocolError
from vagus.integrations.lerobot_grpc.protobuf import (
    PART_BYTES,
    ObservationParts,
    TransferPart,
    TransferState,
    decode_data,
    decode_part,
    encode_data,
    encode_part,
    parts_of,
)


def part(state: TransferState, data: bytes = b"") -> TransferPart:
    return TransferPart(state, memoryview(data))


@pytest.mark.parametrize("name", ["policy_setup", "actions"])
def test_the_data_of_a_real_message(name: str) -> None:
    message, data = golden(f"{name}.grpcmsg.bin"), golden(f"{name}.pickle.bin")
    assert decode_data(message) == data
    assert encode_data(data) == message


def test_the_part_of_a_real_observation() -> None:
    message, payload = golden("observation.grpcmsg.bin"), golden("observation.pickle.bin")
    assert decode_part(message) == part(TransferState.END, payload)
    assert [encode_part(one) for one in parts_of(payload)] == [message]


def test_a_long_observation_is_cut_as_lerobot_cuts_it() -> None:
    payload = bytes(2 * PART_BYTES + 1_335_824)
    parts = list(parts_of(payload))
    assert [one.transfer_state.name for one in parts] == ["BEGIN", "MIDDLE", "END"]
    first = encode_part(parts[0])
    assert len(first) == 2_097_159
    assert first[:7] == bytes.fromhex("08011280808001")
    assert [one.transfer_state.name for one in parts_of(bytes(PART_BYTES))] == ["END"]
    together = ObservationParts(len(payload))
    assert [together.add(decode_part(encode_part(one))) for one in parts] == [None, None, payload]


@given(st.sampled_from(TransferState), st.binary(max_size=300))
def test_any_part_comes_back(state: TransferState, data: bytes) -> None:
    assert decode_part(encode_part(part(state, data))) == part(state, data)
    assert decode_data(encode_data(data)) == data


def test_nothing_is_no_bytes_and_a_field_of_a_newer_lerobot_is_passed_over() -> None:
    assert encode_data(b"") == b""
    assert len(decode_data(b"")) == 0
    assert decode_part(b"") == part(TransferState.UNKNOWN)
    assert decode_data(b"\x18\x01" * 63 + b"\x0a\x01a").tobytes() == b"a"
    newer = b"\x18\x05" + b"\x21" + bytes(8) + b"\x2d" + bytes(4) + b"\x32\x01x"
    assert decode_part(b"\x08\x03\x12\x01a" + newer) == part(TransferState.END, b"a")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (b"\x0a", "varint"),
        (b"\x0a\x05abcd", "wanted 5 bytes"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes at"),
        (b"\x0a" + b"\xff" * 12, "varint"),
        (b"\x0b", "wire type 3"),
        (b"\x09\x01", "wanted 8 bytes"),
        (b"\x18\x01" * 65, "at most 64 fields"),
    ],
)
def test_malformed_bytes_are_refused(message: bytes, named: str) -> None:
    for decode in (decode_data, decode_part):
        with pytest.raises(ProtocolError, match=named):
            decode(message)


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match="wanted bytes"):
        decode_data(b"\x08\x01")
    for message in (b"\x08\x04", b"\x0a\x01x"):
        with pytest.raises(ProtocolError, match="transfer state"):
            decode_part(message)


@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(message: bytes) -> None:
    for decode in (decode_data, decode_part):
        with contextlib.suppress(ProtocolError):
            decode(message)


def test_parts_out_of_order_and_too_many_bytes_are_refused() -> None:
    parts = ObservationParts(4)
    for state in (TransferState.UNKNOWN, TransferState.MIDDLE):
        with pytest.raises(ProtocolError, match=state.name):
            parts.add(part(state, b"a"))
    with pytest.raises(ProtocolError, match="at most 4 bytes"):
        parts.add(part(TransferState.END, b"12345"))
    assert parts.add(part(TransferState.BEGIN, b"123")) is None
    with pytest.raises(ProtocolError, match="at most 4 bytes"):
        parts.add(part(TransferState.MIDDLE, b"45"))
    assert parts.add(part(TransferState.BEGIN, b"x")) is None
    assert parts.add(part(TransferState.BEGIN, b"12")) is None
    assert parts.add(part(TransferState.END, b"34")) == b"1234"
    assert parts.add(part(TransferState.END, b"5")) == b"5"
