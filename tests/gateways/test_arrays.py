from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.elements import array_of
from vagus.gateways.msgpack import MAX_DEPTH, MAX_FOREIGN_BYTES, MAX_ITEMS, Value
from vagus.gateways.neutral import flatten

KINDS = st.sampled_from(
    [f"{order}{kind}" for order in "<>" for kind in ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")]
    + ["|b1", "|i1", "|u1"]
)
some_arrays = KINDS.flatmap(
    lambda kind: arrays_of.arrays(
        kind, arrays_of.array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=3)
    )
)
TWO = np.array([1.0, 2.0], "<f4")
BODY = TWO.tobytes()
TEMPLATES = {
    ArrayDialect.OPENPI: "84c40b5f5f6e6461727261795f5fc3 c40464617461c408 {data}"
    "c4056474797065a33c6634 c40573686170659102",
    ArrayDialect.OPENPI_TEXT: "84ab5f5f6e6461727261795f5fc3 a464617461c408 {data}"
    "a56474797065a33c6634 a573686170659102",
    ArrayDialect.MSGPACK_NUMPY: "85c4026e64c3 c40474797065a33c6634 c4046b696e64c400 c40573686170659102"
    "c40464617461c408 {data}",
    ArrayDialect.MSGPACK_NUMPY_TEXT: "85a26e64c3 a474797065a33c6634 a46b696e64a166 a573686170659102"
    "a464617461c408 {data}",
}


@pytest.mark.parametrize("dialect", TEMPLATES)
def test_an_array_has_the_bytes_of_its_dialect(dialect: ArrayDialect) -> None:
    payload = bytes.fromhex(TEMPLATES[dialect].format(data=BODY.hex()))
    assert encode_message(TWO, dialect) == payload
    message = decode_message(payload)
    assert message.dialect is dialect
    np.testing.assert_array_equal(message.value, TWO)


@pytest.mark.parametrize("dialect", ArrayDialect)
@given(array=some_arrays)
def test_every_array_survives_every_dialect(dialect: ArrayDialect, array: np.ndarray) -> None:
    message = decode_message(encode_message({"deep": {"x": array}}, dialect))
    assert message.dialect is dialect
    assert isinstance(message.value, dict)
    found = flatten({"deep": message.value["deep"]})["deep", "x"]
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dialect", [one for one in ArrayDialect if one is not ArrayDialect.NPY])
@given(array=KINDS.flatmap(lambda kind: arrays_of.arrays(kind, ())))
def test_a_number_of_numpy_survives(dialect: ArrayDialect, array: np.ndarray) -> None:
    number = array.astype(array.dtype.newbyteorder("="))[()]
    is_float64 = number.dtype == np.float64
    message = decode_message(encode_message({"x": number}, dialect))
    assert message.dialect is (None if is_float64 else dialect)
    assert isinstance(message.value, dict)
    found = message.value["x"]
    assert type(found) is (float if is_float64 else type(number))
    np.testing.assert_array_equal(found, number)


@pytest.mark.parametrize("dialect", ArrayDialect)
def test_a_float64_of_numpy_is_sent_as_the_float_that_it_is(dialect: ArrayDialect) -> None:
    assert encode_message({"x": np.float64(1.5)}, dialect) == msgspec.msgpack.encode({"x": 1.5})


def test_npy_knows_no_numbers_of_numpy_and_sends_plain_ones() -> None:
    assert decode_message(encode_message([np.float32(1.5), np.True_], ArrayDialect.NPY)).value == [1.5, True]


def test_an_array_that_is_not_contiguous_is_sent_in_c_order() -> None:
    array = np.arange(12.0).reshape(3, 4).T[::2]
    for dialect in ArrayDialect:
        np.testing.assert_array_equal(decode_message(encode_message(array, dialect)).value, array)


def test_a_message_without_arrays_shows_no_dialect() -> None:
    assert decode_message(b"\x81\xa1a\x01").dialect is None


def test_the_first_array_tells_the_dialect_and_each_is_read_by_its_own() -> None:
    parts = [encode_message(TWO, dialect) for dialect in (ArrayDialect.MSGPACK_NUMPY, ArrayDialect.NPY)]
    message = decode_message(b"\x92" + b"".join(parts))
    assert message.dialect is ArrayDialect.MSGPACK_NUMPY
    assert isinstance(message.value, list)
    for one in message.value:
        np.testing.assert_array_equal(one, TWO)


def test_the_name_of_an_element_type_is_read_like_its_code() -> None:
    payload = encode_message(TWO, ArrayDialect.OPENPI).replace(b"\xa3<f4", b"\xa7float32")
    assert getattr(decode_message(payload).value, "dtype", None) == np.float32


def test_a_key_nd_of_somebody_s_own_stays_a_key() -> None:
    assert decode_message(msgspec.msgpack.encode({"nd": 3})).value == {"nd": 3}


def openpi(**changed: object) -> object:
    fields = {"__ndarray__": True, "data": BODY, "dtype": "<f4", "shape": [2]} | changed
    return {key.encode(): value for key, value in fields.items() if value is not ...}


def numpy_map(**changed: object) -> object:
    fields = {"nd": True, "type": "<f4", "kind": b"", "shape": [2], "data": BODY} | changed
    return {key.encode(): value for key, value in fields.items() if value is not ...}


def scalar(data: object, dtype: str) -> object:
    return {b"__npgeneric__": True, b"data": data, b"dtype": dtype}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (openpi(shape=[3]), "wanted 12 bytes"),
        (openpi(shape=[1]), "wanted 4 bytes"),
        (openpi(shape=[-1, -2]), "fit a message"),
        (openpi(shape=[2**40, 2**40]), "fit a message"),
        (openpi(shape=[0, MAX_FOREIGN_BYTES, MAX_FOREIGN_BYTES], data=b""), "fit a message"),
        (openpi(shape=[1] * 8 + [2]), "8 dimensions"),
        (openpi(shape=2), "list of whole numbers"),
        (openpi(shape=[2.0]), "list of whole numbers"),
        (openpi(shape=[True, 2]), "list of whole numbers"),
        (openpi(shape=...), "a field shape"),
        (openpi(data=...), "a field data"),
        (openpi(dtype=...), "a field dtype"),
        (openpi(data="text"), "wanted bytes, got str"),
        (openpi(dtype="|O", data=bytes(16)), "element type"),
        (openpi(dtype="|V4"), "element type"),
        (openpi(dtype="<U1"), "element type"),
        (openpi(dtype="<c8", data=bytes(16)), "element type"),
        (openpi(dtype="<f16", data=bytes(32)), "element type"),
        (openpi(dtype="<M8[s]", data=bytes(16)), "element type"),
        (openpi(dtype="x" * 10_000), "element type"),
        (openpi(dtype=4), "got int"),
        (openpi(dtype="|b1", data=b"\x01\x02"), "0 and 1"),
        (numpy_map(kind=b"O"), "objects"),
        (numpy_map(kind=b"V", type=[["a", "<f4"]]), "objects"),
        (numpy_map(kind="O"), None),
        (numpy_map(type="|O8"), "element type"),
        (numpy_map(shape=...), "a field shape"),
        (numpy_map(nd=False, data=b"\x00"), "wanted 4 bytes"),
        ({b"complex": True, b"data": "1j"}, "complex"),
        (scalar(300, "|u1"), "can hold"),
        (scalar(-1, "<u8"), "can hold"),
        (scalar(1.5, "<i8"), "can hold"),
        (scalar(True, "<f4"), "can hold"),
        (scalar(1, "|b1"), "can hold"),
        (scalar("1", "<f4"), "can hold"),
        (scalar(1e300, "<f4"), "can hold"),
        (scalar([1], "<f4"), "can hold"),
        ({"__ndarray_class__": True}, "a field as_npy"),
        ({"__ndarray_class__": True, "as_npy": "text"}, "wanted bytes"),
        ({"__ndarray_class__": True, "as_npy": b"\x80\x04."}, "npy"),
    ],
)
def test_an_array_that_is_none_is_refused(value: object, said: str | None) -> None:
    with pytest.raises(ProtocolError, match=said) as refused:
        decode_message(msgspec.msgpack.encode(value))
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("dialect", ArrayDialect)
def test_a_message_cut_anywhere_is_refused(dialect: ArrayDialect) -> None:
    payload = encode_message({"x": TWO, "prompt": "go"}, dialect)
    for end in range(len(payload)):
        with pytest.raises(ProtocolError):
            decode_message(payload[:end])


def nested(depth: int) -> Value:
    value: Value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([None], dtype=object), "element type"),
        (np.array(["a"]), "element type"),
        (np.zeros(1, np.complex64), "element type"),
        (np.zeros((1,) * 9), "8 dimensions"),
        (nested(MAX_DEPTH + 1), "inside each other"),
        ([np.zeros(1)] * (MAX_ITEMS // 10), "keys and values"),
        ([1] * (MAX_ITEMS + 1), "keys and values"),
        (np.zeros(MAX_FOREIGN_BYTES, np.uint8), "at most"),
        (2**64, "msgpack can hold"),
        (object(), "msgpack can hold"),
        ({1: 2}, "as keys"),
    ],
)
def test_what_nobody_could_read_is_not_sent(value: Value, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        encode_message(value, ArrayDialect.OPENPI)


def test_the_deepest_message_that_is_sent_is_read() -> None:
    deepest = nested(MAX_DEPTH)
    assert decode_message(encode_message(deepest, ArrayDialect.OPENPI)).value == deepest


def test_an_array_at_the_bound_is_read_without_a_copy() -> None:
    data = memoryview(bytes(16))
    array = array_of(data, np.dtype("<f8"), [2])
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
