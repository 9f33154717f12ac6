"""Tensors, pictures and bounds of the wire."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import AnyArray
from vagus.integrations.lerobot_zenoh.v1.pictures import (
    MAX_PIXELS,
    PictureEncoding,
    RemotePicture,
    picture_of,
)
from vagus.integrations.lerobot_zenoh.v1.values import (
    BOUNDS,
    RemoteMap,
    RemoteValue,
    picture_in,
    read_map,
    sendable,
    write_map,
)
from vagus.wire.jpeg import encode_jpeg

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
FRAME = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
tensors = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(
        dtype,
        arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=1, max_side=4),
        elements=None if dtype[0] != "f" else {"allow_nan": False, "allow_infinity": False},
    )
)


def tensor(**changed: object) -> dict[str, object]:
    record: dict[str, object] = {
        "__lerobot_type__": "tensor", "dtype": "float32", "shape": [2], "endianness": "little",
        "data": np.array([1.5, -2.0], "<f4").tobytes(),
    }  # fmt: skip
    return {key: value for key, value in {**record, **changed}.items() if value is not ...}


def picture(**changed: object) -> dict[str, object]:
    record: dict[str, object] = {
        "__lerobot_type__": "rgb", "encoding": "raw", "shape": [6, 8, 3], "dtype": "uint8",
        "channel_order": "RGB", "data": FRAME.tobytes(),
    }  # fmt: skip
    return {key: value for key, value in {**record, **changed}.items() if value is not ...}


def packed(value: object) -> bytes:
    return msgspec.msgpack.encode({"x": value})


def array_in(payload: bytes) -> AnyArray:
    array = read_map(payload)["x"]
    assert isinstance(array, np.ndarray)
    return array


@given(tensors)
def test_a_tensor_comes_back_as_it_was(array: AnyArray) -> None:
    back = array_in(write_map({"x": array}))
    assert (back.dtype, back.shape, back.flags.writeable, back.dtype.isnative) == (
        array.dtype, array.shape, True, True,
    )  # fmt: skip
    np.testing.assert_array_equal(back, array)
    assert back.flags.owndata


def test_the_other_order_of_bytes_is_read() -> None:
    data = np.array([1.5, -2.0], ">f4").tobytes()
    back = array_in(packed(tensor(endianness="big", data=data)))
    assert (back.dtype.isnative, back.tolist()) == (True, [1.5, -2.0])
    assert write_map({"x": np.array([1.5, -2.0], ">f4")}) == packed(tensor())


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda array: array[:, ::-1], lambda array: array.T])
def test_a_tensor_of_any_layout_is_written_row_by_row(layout: Callable[[AnyArray], AnyArray]) -> None:
    array = layout(np.arange(6, dtype=np.int32).reshape(2, 3))
    np.testing.assert_array_equal(array_in(write_map({"x": array})), array)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (tensor(dtype="bfloat16"), "wanted a dtype of bool"),
        (tensor(dtype="<f4"), "wanted a dtype of bool"),
        (tensor(dtype=["float32"]), "wanted a dtype of bool"),
        (tensor(dtype=tensor()), "wanted a dtype of bool"),
        (tensor(endianness="native"), "wanted the endianness"),
        (tensor(endianness=tensor()), "wanted the endianness"),
        (tensor(endianness=...), "wanted a record of"),
        (tensor(shape=...), "wanted a record of"),
        (tensor(extra=1), "wanted a record of"),
        (tensor(shape=[3]), "wanted 12 bytes"),
        (tensor(shape=[]), "wanted 4 bytes"),
        (tensor(shape=[0], data=b""), "wanted sizes of 1 to 16384"),
        (tensor(shape=[16385], data=b""), "wanted sizes of 1 to 16384"),
        (tensor(shape=[-2]), "wanted sizes of 1 to 16384"),
        (tensor(shape=[16384] * 8), "bytes"),
        (tensor(shape=[True, 2]), "wanted a list of at most 8"),
        (tensor(shape=[2.0]), "wanted a list of at most 8"),
        (tensor(shape=[1] * 8 + [2]), "wanted a list of at most 8"),
        (tensor(shape=2), "wanted a list of at most 8"),
        (tensor(data="text"), "wanted 8 bytes"),
        (tensor(data=np.array([1, np.nan], "<f4").tobytes()), "wanted finite numbers"),
        (tensor(data=np.array([1, -np.inf], "<f4").tobytes()), "wanted finite numbers"),
        (tensor(dtype="float16", shape=[4], data=b"\x00\x7c" * 4), "wanted finite numbers"),
        (tensor(dtype="bool", shape=[2], data=b"\x01\x02"), "wanted booleans"),
        (tensor(__lerobot_type__="ndarray"), "wanted a tensor or rgb, got ndarray"),
        (tensor(__lerobot_type__=7), "wanted a tensor or rgb, got 7"),
        (tensor(__lerobot_type__=tensor()), "wanted a tensor or rgb, got ndarray"),
        (picture(encoding="png"), "wanted the encoding raw or jpeg"),
        (picture(encoding=tensor()), "wanted the encoding raw or jpeg"),
        (picture(channel_order="BGR"), "channel order RGB"),
        (picture(dtype="float32"), "wanted uint8"),
        (picture(dtype=tensor()), "wanted uint8"),
        (picture(shape=[6, 8, 4], data=bytes(192)), "wanted bytes and a shape"),
        (picture(shape=[48, 3]), "wanted bytes and a shape"),
        (picture(shape=[8, 8, 3]), "wanted 192 bytes"),
        (picture(data="text"), "wanted bytes and a shape"),
        (picture(shape=[16384, 1025, 3]), f"at most {MAX_PIXELS} pixels"),
        (picture(extra=1), "wanted a record of"),
        (picture(encoding="jpeg"), "JPEG: wanted its start marker"),
        (picture(encoding="jpeg", data=encode_jpeg(FRAME, quality=90), shape=[8, 6, 3]), "announced"),
        (picture(encoding="jpeg", data=encode_jpeg(FRAME, quality=90), shape=[4096, 4096, 3]), "announced"),
    ],
)
def test_a_record_of_another_form_is_refused(record: dict[str, object], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read_map(packed(record))


@pytest.mark.parametrize("encoding", PictureEncoding)
def test_a_picture_comes_back(encoding: PictureEncoding) -> None:
    smooth = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    back = picture_in(read_map(write_map({"x": picture_of(smooth, encoding)}))["x"])
    assert back is not None
    assert (back.encoding, back.shape, back.pixels().flags.writeable) == (encoding, (24, 32, 3), True)
    np.testing.assert_allclose(back.pixels(), smooth, atol=0 if encoding is PictureEncoding.RAW else 3)
    again = sendable(read_map(write_map({"x": back}))["x"])
    assert isinstance(again, RemotePicture)


def test_a_damaged_jpeg_is_refused_when_it_is_decompressed() -> None:
    jpeg = encode_jpeg(np.full((64, 64, 3), 7, np.uint8), quality=90)
    cut = RemotePicture(PictureEncoding.JPEG, 64, 64, jpeg[: len(jpeg) - 40])
    with pytest.raises(ProtocolError, match="JPEG"):
        cut.pixels()


def test_a_picture_of_another_type_is_not_written() -> None:
    frames: list[np.ndarray] = [FRAME.astype(np.float32), FRAME[0], FRAME[:, :, :2]]
    for frame in frames:
        with pytest.raises(ProtocolError, match="wanted uint8"):
            picture_of(frame)


def test_small_files_that_become_too_large_together_are_refused_before_they_are_decompressed() -> None:
    white = encode_jpeg(np.full((4096, 4096, 3), 255, np.uint8), quality=10)
    record = picture(encoding="jpeg", shape=[4096, 4096, 3], data=white)
    assert read_map(packed(record))
    with pytest.raises(ProtocolError, match="decoded bytes"):
        read_map(packed([record, record]))


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (packed(nested(16)), "inside each other"),
        (packed([1] * 4097), "entries in one map or list"),
        (packed([[1] * 4096] * 8), "keys and values"),
        (packed("a" * 16385), "texts of at most 16384 bytes"),
        (msgspec.msgpack.encode({"é" * 8193: 1}), "texts of at most 16384 bytes"),
        (packed(float("nan")), "finite"),
        (packed([float("inf")]), "finite"),
        (b"\x81\xa1x\xca\x7f\x80\x00\x00", "finite"),
        (b"\x81\xc4\x01x\x01", "wanted text as the key"),
        (b"\x81\x01\x01", "wanted text as the key"),
        (b"\x82\xa1x\x01\xa1x\x01", "each key once"),
        (b"\x81\xa1x\x01\x00", "bytes after it"),
        (b"\x81\xa1x\xd4\x01\x00", "extension"),
        (b"\x92\x01\x02", "wanted a map"),
        (msgspec.msgpack.encode(picture()), "wanted a map"),
    ],
)
def test_what_is_over_a_bound_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read_map(payload)


def test_what_is_at_a_bound_is_read() -> None:
    for value in (nested(15), [1] * 4096, [[1] * 4096] * 7, "a" * 16384):
        assert read_map(packed(value)) == {"x": value}


def test_a_message_over_32_mib_is_refused() -> None:
    with pytest.raises(ProtocolError, match="wanted at most 33554432 bytes"):
        read_map(bytes(BOUNDS.payload_bytes + 1))
    with pytest.raises(ProtocolError, match="wanted at most 33554432 bytes"):
        write_map({"x": np.zeros((2048, 16384), np.uint8)})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [1] * 4097,
        [[1] * 4096] * 8,
        "a" * 16385,
        "\ud800",
        1 << 64,
        np.zeros(0, np.float32),
        np.zeros(16385, np.uint8),
        np.zeros((1,) * 9, np.uint8),
        np.array([np.nan], np.float32),
        np.zeros(2, np.complex64),
        np.zeros((2049, 16384), np.uint8),
        [np.zeros((1500, 16384), np.uint8)] * 3,
        [picture_of(np.zeros((4096, 4096, 3), np.uint8))] * 2,
        {"__lerobot_type__": 1},
        {1: 1},
        {"a" * 16385: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_reader_refuses_is_not_written(value: RemoteValue) -> None:
    with pytest.raises(ProtocolError, match="wanted"):
        write_map({"x": value})


def test_what_is_nested_too_deep_is_not_written() -> None:
    deep: RemoteMap = {}
    for _ in range(14):
        deep = {"x": deep}
    assert read_map(write_map({"x": deep}))
    for leaf in (deep, np.zeros(1), picture_of(FRAME)):
        value: RemoteValue = leaf
        for _ in range(15):
            value = [value]
        with pytest.raises(ProtocolError, match="inside each other"):
            write_map({"x": value})


def test_bytes_outside_a_record_cannot_be_sent_on() -> None:
    with pytest.raises(ProtocolError, match="wanted bytes in tensors"):
        sendable(read_map(packed([b"x"])))


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_plain_values_come_back(value: RemoteMap) -> None:
    back = read_map(write_map(value))
    assert back == value
    assert sendable(back) == value
