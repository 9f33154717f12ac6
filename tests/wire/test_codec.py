from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vagus.errors import ProtocolError, SpecError
from vagus.wire.codec import (
    HEADER_SIZE,
    MAX_CHUNK_BYTES,
    MAX_CONTROL_BYTES,
    MAX_OBSERVATION_BYTES,
    decode,
    decode_header,
    decode_tensor,
    encode,
    encode_header,
    encode_tensor,
)
from vagus.wire.schema import (
    Ack,
    ChunkMessage,
    EventMessage,
    Header,
    ImageMessage,
    Kind,
    ObservationMessage,
    OpenMessage,
    TensorMessage,
)

HEADER = Header(Kind.CHUNK, 7, 3, -5, 0xDEADBEEF)
WIRE_DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")

headers = st.builds(
    Header,
    kind=st.sampled_from(Kind),
    seq=st.integers(0, 2**64 - 1),
    episode=st.integers(0, 2**32 - 1),
    client_mono_ns=st.integers(-(2**63), 2**63 - 1),
    epoch=st.integers(0, 2**32 - 1),
)
arrays = st.sampled_from(WIRE_DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    )
)


def tensor(dtype: str = "<f4", shape: tuple[int, ...] = (2,), size: int = 8) -> TensorMessage:
    return TensorMessage(dtype, shape, memoryview(bytes(size)))


# --- header ---


@given(headers)
def test_a_header_survives_the_wire(header: Header) -> None:
    encoded = encode_header(header)
    assert len(encoded) == HEADER_SIZE == 27
    assert decode_header(encoded) == header


def test_the_header_is_little_endian_in_the_order_of_the_design() -> None:
    assert encode_header(HEADER).hex() == "010002070000000000000003000000fbffffffffffffffefbeadde"


@pytest.mark.parametrize(
    "header",
    [
        Header(Kind.CHUNK, -1, 0, 0, 0),
        Header(Kind.CHUNK, 2**64, 0, 0, 0),
        Header(Kind.CHUNK, 0, 2**32, 0, 0),
        Header(Kind.CHUNK, 0, 0, 2**63, 0),
        Header(Kind.CHUNK, 0, 0, 0, -1),
        Header(Kind.CHUNK, 0, 0, 0, 0, 2**16),
    ],
)
def test_a_header_whose_numbers_do_not_fit_is_not_sent(header: Header) -> None:
    with pytest.raises(ProtocolError, match="fit <HBQIqI"):
        encode_header(header)


@pytest.mark.parametrize("size", [0, 1, 2, 26, 28, 1000])
def test_a_header_of_another_length_is_refused(size: int) -> None:
    data = (encode_header(HEADER) + bytes(1000))[:size]
    with pytest.raises(ProtocolError, match=f"wanted 27 bytes, got {size}"):
        decode_header(data)


@pytest.mark.parametrize("version", [0, 2, 65535])
@pytest.mark.parametrize("tail", [0, 25, 40])
def test_another_schema_version_is_refused_by_name_whatever_the_length(version: int, tail: int) -> None:
    with pytest.raises(ProtocolError, match=f"wanted schema version 1, got {version}"):
        decode_header(version.to_bytes(2, "little") + bytes(tail))


@pytest.mark.parametrize("kind", [0, 4, 255])
def test_an_unknown_kind_is_refused_with_the_known_ones(kind: int) -> None:
    data = bytearray(encode_header(HEADER))
    data[2] = kind
    with pytest.raises(ProtocolError, match=rf"1 \(observation\), 2 \(chunk\), 3 \(event\), got {kind}"):
        decode_header(bytes(data))


# --- messages ---


def test_a_message_survives_the_wire() -> None:
    message = EventMessage(code="overloaded", message="später", seq=2**64 - 1)
    assert decode(encode(message), EventMessage) == message


def test_array_bytes_are_decoded_without_copying() -> None:
    payload = encode(ObservationMessage(state=encode_tensor(np.arange(1000, dtype=np.float32))))
    data = decode(payload, ObservationMessage).state.data
    assert data.obj is payload
    assert decode(memoryview(payload), ObservationMessage).state.data == data


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (ObservationMessage, MAX_OBSERVATION_BYTES),
        (ChunkMessage, MAX_CHUNK_BYTES),
        (OpenMessage, MAX_CONTROL_BYTES),
        (EventMessage, MAX_CONTROL_BYTES),
    ],
)
def test_a_message_over_its_size_is_refused_before_it_is_parsed(
    kind: type[msgspec.Struct], limit: int
) -> None:
    payload = bytes(limit + 1)
    with pytest.raises(ProtocolError, match=f"wanted at most {limit} bytes, got {limit + 1}"):
        decode(payload, kind)
    with pytest.raises(ProtocolError, match="malformed"):
        decode(payload[:-1], kind)


def test_a_message_over_its_size_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="EventMessage: wanted at most"):
        encode(EventMessage(code="x" * MAX_CONTROL_BYTES))


@pytest.mark.parametrize(
    "message",
    [
        EventMessage(code="\udc80"),  # a command line's undecodable byte
        EventMessage(code="x", seq=2**64),
        EventMessage(code=object()),  # type: ignore[arg-type]  # a caller that ignores its type checker
    ],
)
def test_what_msgpack_cannot_carry_is_a_protocol_error(message: EventMessage) -> None:
    with pytest.raises(ProtocolError, match="EventMessage cannot be encoded"):
        encode(message)


KEY = b"\x81\xa7unknown"
NESTED_LISTS = KEY + b"\x91" * 900_000
NESTED_MAPS = KEY + b"\x81\xa1a" * 300_000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\x80",
        b"\x81\x90\xc0",
        b"\x81\xa4code\xa1\xff",
        b"\x81\xa4code\xa3\xed\xa0\x80",
        b"\x81\xa4code\x01",
        b"\x81\xa4code\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa4code\xa1a" + b"trailing",
        b"\x81\xa4code\xdb\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        KEY + b"\xdd\xff\xff\xff\xff",
        KEY + b"\xc6\xff\xff\xff\xff",
        KEY + b"\xc1",
        NESTED_LISTS,
        NESTED_MAPS,
    ],
    ids=lambda payload: payload[:16].hex(),
)
def test_malformed_bytes_are_a_protocol_error_that_names_the_message(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed EventMessage"):
        decode(payload, EventMessage)


def field(name: str) -> bytes:
    return b"\x81" + msgspec.msgpack.encode(name)


BOMBS = [
    (TensorMessage, field("shape") + b"\xdd\x00\x0f\x00\x00" + b"\x01" * 0xF0000),
    (ObservationMessage, field("images") + b"\xdf\x00\x0f\x00\x00" + b"\xa1a\x80" * 0xF0000),
    (OpenMessage, field("actions") + b"\xdd\x00\x0f\x00\x00" + b"\x80" * 0xF0000),
    (OpenMessage, field("state") + b"\xdd\x00\x0f\x00\x00" + b"\x80" * 0xF0000),
    (OpenMessage, field("tags") + b"\xdf\x00\x04\x00\x00" + b"\xa1a\xa0" * 0x40000),
    (Ack, field("warnings") + b"\xdd\x00\x0f\x00\x00" + b"\xa0" * 0xF0000),
]


@pytest.mark.parametrize(("kind", "payload"), BOMBS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_list_longer_than_any_real_one_is_refused_before_its_elements(
    kind: type[msgspec.Struct], payload: bytes
) -> None:
    with pytest.raises(ProtocolError):  # the first decode of a type builds its tables
        decode(b"", kind)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="of length <="):
            decode(payload, kind)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("payload", [NESTED_LISTS, NESTED_MAPS, KEY + b"\xdd\xff\xff\xff\xff"])
def test_unknown_fields_cost_no_memory(payload: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode(payload, EventMessage)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


# --- tensors ---


@given(arrays)
def test_an_array_survives_the_wire(array: np.ndarray) -> None:
    message = decode(encode(encode_tensor(array)), TensorMessage)
    decoded = decode_tensor(message, shape=array.shape, name="x")
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)


@given(arrays)
def test_a_view_or_a_foreign_byte_order_travels_as_its_values(array: np.ndarray) -> None:
    if array.dtype.kind != "b":
        array = array.astype(array.dtype.newbyteorder(">"))
    for view in (array[::-1] if array.ndim else array, array.T, np.asfortranarray(array)):
        message = encode_tensor(view)
        assert message.dtype in WIRE_DTYPES
        np.testing.assert_array_equal(decode_tensor(message, shape=view.shape, name="x"), view)


def test_a_contiguous_array_is_sent_without_copying() -> None:
    array = np.arange(6, dtype=np.float32)
    assert np.shares_memory(np.frombuffer(encode_tensor(array).data, np.float32), array)


def test_a_decoded_array_is_a_read_only_view_of_the_message() -> None:
    message = TensorMessage("<f4", (2,), memoryview(bytearray(8)))
    array = decode_tensor(message, shape=(2,), name="x")
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(message.data, np.uint8))


def test_nan_and_infinity_pass_the_codec() -> None:
    array = np.array([np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(decode_tensor(encode_tensor(array), shape=(3,), name="x"), array)


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, np.complex64), np.array(["a"]), np.array([None]), np.zeros(1, "M8[s]"), np.zeros(1, "V4")],
)
def test_an_element_type_that_may_not_travel_is_refused(array: np.ndarray) -> None:
    with pytest.raises(SpecError, match=r"wanted an element type of .*<f4.* got"):
        encode_tensor(array)


def test_an_array_of_too_many_dimensions_is_refused() -> None:
    assert encode_tensor(np.zeros((1,) * 8, np.int8)).shape == (1,) * 8
    with pytest.raises(SpecError, match="wanted at most 8 dimensions, got 9"):
        encode_tensor(np.zeros((1,) * 9, np.int8))


@pytest.mark.parametrize(
    "dtype",
    ["f4", ">f4", "=f4", "<f16", "<c8", "|O", "|V8", "<U2", "<M8[s]", "f4,f4", "(2,)<f4", "float32", ""],
)
def test_any_other_element_type_is_refused(dtype: str) -> None:
    with pytest.raises(ProtocolError, match="state: wanted an element type of"):
        decode_tensor(tensor(dtype), shape=(None,), name="state")


def test_the_text_of_a_hostile_element_type_is_cut() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_tensor(tensor("x" * 1_000_000), shape=(2,), name="state")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("wanted", [(2, 3), (None, 3), (2, None), (None, None)])
def test_a_shape_that_fits_is_accepted(wanted: tuple[int | None, ...]) -> None:
    assert decode_tensor(tensor(shape=(2, 3), size=24), shape=wanted, name="x").shape == (2, 3)


@pytest.mark.parametrize("wanted", [(), (2,), (3, 2), (None,), (None, 2), (2, 3, None)])
def test_another_shape_is_refused_with_both(wanted: tuple[int | None, ...]) -> None:
    with pytest.raises(ProtocolError, match=r"state: wanted shape \(.*\), got \(2, 3\)"):
        decode_tensor(tensor(shape=(2, 3), size=24), shape=wanted, name="state")


@pytest.mark.parametrize("size", [0, 7, 9, 80])
def test_bytes_that_do_not_fill_the_shape_are_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match=rf"wanted 8 bytes for <f4 \(2,\), got {size}"):
        decode_tensor(tensor(size=size), shape=(2,), name="x")


@pytest.mark.parametrize(
    "shape",
    [
        (-1, -2),
        (-1, 0),
        (0, -1),
        (0, 2**62),
        (2**40, 0, 2**40),
        (2**32, 2**32),
        (2**64 - 1,),
        (0,) + (2**26,) * 2,
    ],
)
def test_sizes_that_cannot_be_are_refused_before_numpy_sees_them(shape: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolError, match="wanted shape"):
        decode_tensor(tensor(shape=shape, size=0), shape=(None,) * len(shape), name="x")


def test_a_claim_of_much_memory_allocates_nothing() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="wanted 134217728 bytes"):
            decode_tensor(tensor("<f8", (2**24,), 8), shape=(None,), name="x")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(0,), (0, 7), (3, 0, 2)])
def test_an_empty_array_keeps_its_shape(shape: tuple[int, ...]) -> None:
    message = encode_tensor(np.zeros(shape, np.float32))
    assert decode_tensor(message, shape=(None,) * len(shape), name="x").shape == shape


def test_a_boolean_is_0_or_1() -> None:
    good = TensorMessage("|b1", (2,), memoryview(b"\x00\x01"))
    assert decode_tensor(good, shape=(2,), name="x").tolist() == [False, True]
    with pytest.raises(ProtocolError, match="booleans as bytes 0 and 1"):
        decode_tensor(TensorMessage("|b1", (2,), memoryview(b"\x02\x01")), shape=(2,), name="x")


def test_an_image_message_may_hold_any_bytes() -> None:
    message = ImageMessage("raw", 1, 1, memoryview(b"abc"))
    assert decode(encode(message), ImageMessage) == message


def test_no_thread_makes_a_decoder_because_two_at_once_would_end_the_process() -> None:
    """In a process of its own: what other tests have decoded here would hide it."""
    program = """
        import msgspec
        from samples import SAMPLES
        from vagus.wire.codec import decode, encode

        def refuse(*_):
            raise AssertionError("a decoder is made where threads may do so at once")

        msgspec.msgpack.Decoder = refuse
        for sample in SAMPLES.values():
            decode(encode(sample), type(sample))
    """
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=path, check=True, timeout=60)
