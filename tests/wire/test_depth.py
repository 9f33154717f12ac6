"""Depth frames arrive number by number, or not at all."""

from __future__ import annotations

import tracemalloc
import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fuzz import png_file, png_header
from vagus.errors import ProtocolError, SpecError
from vagus.types import DepthImage
from vagus.wire.codec import decode, encode
from vagus.wire.depth import (
    DEPTH_CODECS,
    decode_depth,
    depth_codec,
    encode_depth,
    max_depth_bytes,
)
from vagus.wire.images import MAX_SIDE
from vagus.wire.schema import DepthMessage

FRAMES = hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)))
GREY16 = (16, 0, 0, 0, 0)
END = (b"IEND", b"")


def scene(height: int = 48, width: int = 64) -> DepthImage:
    """A table that goes away from the camera, and a hole: no two axes or bytes can be mistaken."""
    y, x = np.mgrid[0:height, 0:width]
    depth: DepthImage = (700 + 13 * y + 3 * x).astype(np.uint16)
    depth[height // 4 : height // 2, : width // 3] = 0
    return depth


def sent(frame: DepthImage, codec: str) -> DepthImage:
    message = decode(encode(encode_depth(frame, codec)), DepthMessage)
    return decode_depth(message, height=frame.shape[0], width=frame.shape[1])


@pytest.mark.parametrize("codec", DEPTH_CODECS)
@given(frame=FRAMES)
def test_every_number_survives(codec: str, frame: DepthImage) -> None:
    decoded = sent(frame, codec)
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, frame)


@pytest.mark.parametrize("codec", DEPTH_CODECS)
@pytest.mark.parametrize("value", [0, 1, 255, 256, 32767, 32768, 65535])
def test_every_edge_of_the_numbers_survives_next_to_every_other(codec: str, value: int) -> None:
    frame = np.array([[value, 0, 65535], [0, value, 1], [65535, 32768, value]], np.uint16)
    np.testing.assert_array_equal(sent(frame, codec), frame)


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_views_with_strides_are_sent_whole(codec: str) -> None:
    for view in (scene()[::2, ::3], scene().T, scene()[:, ::-1], np.asfortranarray(scene())):
        np.testing.assert_array_equal(sent(view, codec), view)


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_what_arrives_nobody_can_change_and_sending_changes_nothing(codec: str) -> None:
    frame = scene()
    decoded = sent(frame, codec)
    np.testing.assert_array_equal(frame, scene())
    with pytest.raises(ValueError, match="read-only"):
        decoded[0, 0] = 1


def test_on_the_wire_the_low_byte_comes_first_and_in_a_png_the_high_byte() -> None:
    """Both ends swapped alike would pass a round trip; readers that are not ours see it."""
    frame = np.array([[0x0102]], np.uint16)
    assert bytes(encode_depth(frame, "raw").data) == b"\x02\x01"
    rows = zlib.compress(b"\x00\x01\x02")
    png = png_file(png_header(1, 1, GREY16), (b"IDAT", rows), END)
    np.testing.assert_array_equal(
        decode_depth(DepthMessage("png", 1, 1, memoryview(png)), height=1, width=1), frame
    )


def test_a_delta_frame_is_zlib_over_high_bytes_then_low_bytes_of_folded_differences() -> None:
    """Written out by hand: 1, then down one row −1, then +300; folded 2, 1, 600."""
    planes = bytes([0, 0, 2, 2, 1, 88])
    frame = np.array([[1], [0], [300]], np.uint16)
    assert zlib.decompress(encode_depth(frame, "delta").data) == planes
    message = DepthMessage("delta", 3, 1, memoryview(zlib.compress(planes, 9)))
    np.testing.assert_array_equal(decode_depth(message, height=3, width=1), frame)


@given(FRAMES, st.data())
def test_every_row_filter_of_a_png_that_travels_is_undone(frame: DepthImage, data: st.DataObject) -> None:
    height, width = frame.shape
    filters = data.draw(st.lists(st.integers(0, 2), min_size=height, max_size=height))
    pixels = np.zeros((height + 1, width + 1, 2), int)
    pixels[1:, 1:, 0], pixels[1:, 1:, 1] = frame >> 8, frame & 0xFF
    rows = bytearray()
    for y, kind in enumerate(filters, start=1):
        rows.append(kind)
        for x in range(1, width + 1):
            before = (np.zeros(2, int), pixels[y, x - 1], pixels[y - 1, x])[kind]
            rows += bytes(((pixels[y, x] - before) % 256).tolist())
    png = png_file(png_header(height, width, GREY16), (b"IDAT", zlib.compress(bytes(rows))), END)
    message = DepthMessage("png", height, width, memoryview(png))
    np.testing.assert_array_equal(decode_depth(message, height=height, width=width), frame)


def test_a_scene_takes_fewer_bytes_than_its_numbers_and_delta_fewer_than_a_png() -> None:
    generator = np.random.default_rng(0)
    frame = (scene(240, 320) + generator.normal(0, 3, (240, 320)).round()).clip(0).astype(np.uint16)
    sizes = {codec: len(encode_depth(frame, codec).data) for codec in DEPTH_CODECS}
    assert sizes["raw"] == frame.nbytes
    assert sizes["delta"] * 1.2 < sizes["png"] < 0.7 * sizes["raw"]


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_noise_that_nothing_compresses_stays_within_the_limit_of_a_frame(codec: str) -> None:
    frame = np.random.default_rng(0).integers(0, 1 << 16, (64, 64), dtype=np.uint16)
    assert len(encode_depth(frame, codec).data) < 1.1 * frame.nbytes < max_depth_bytes(64, 64)
    np.testing.assert_array_equal(sent(frame, codec), frame)


def test_frames_on_one_host_travel_raw_and_others_as_differences() -> None:
    assert [depth_codec(codec) for codec in ("raw", "jpeg", "png")] == ["raw", "delta", "delta"]


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((4, 6), np.float32), r"got float32 \(4, 6\); round metres"),
        (np.zeros((4, 6), np.int16), "got int16"),
        (np.zeros((4, 6, 1), np.uint16), r"got uint16 \(4, 6, 1\)"),
        (np.zeros((0, 6), np.uint16), "sides of 1 to 8192"),
        (np.zeros((1, MAX_SIDE + 1), np.uint16), "sides of 1 to 8192"),
    ],
)
def test_what_is_no_depth_frame_is_not_sent(frame: DepthImage, got: str) -> None:
    with pytest.raises(SpecError, match=got):
        encode_depth(frame, "delta")


def test_an_unknown_codec_is_neither_written_nor_read() -> None:
    with pytest.raises(SpecError, match="one of raw, delta, png"):
        encode_depth(scene(), "jpeg")
    with pytest.raises(ProtocolError, match="a codec of raw, delta, png, got 'jpeg'"):
        decode_depth(DepthMessage("jpeg", 2, 2, memoryview(bytes(8))), height=2, width=2)


PLANES = zlib.compress(bytes(8))
GOOD = {
    "raw": bytes(8),
    "delta": PLANES,
    "png": png_file(png_header(2, 2, GREY16), (b"IDAT", zlib.compress(bytes(10))), END),
}


@pytest.mark.parametrize("codec", GOOD)
def test_the_good_frame_of_the_cases_below_is_good(codec: str) -> None:
    message = DepthMessage(codec, 2, 2, memoryview(GOOD[codec]))
    assert not decode_depth(message, height=2, width=2).any()


BAD = {
    "raw, short": ("raw", bytes(7), "8 bytes for 2×2, got 7"),
    "raw, long": ("raw", bytes(9), "8 bytes for 2×2, got 9"),
    "delta, empty": ("delta", b"", "got 0 in a stream cut short"),
    "delta, no zlib": ("delta", bytes(20), "broken compression"),
    "delta, cut": ("delta", PLANES[:-1], "got 8 in a stream cut short"),
    "delta, checksum": ("delta", PLANES[:-1] + b"\xff", "broken compression"),
    "delta, short": ("delta", zlib.compress(bytes(7)), "wanted 8 bytes of pixels, got 7"),
    "delta, long": ("delta", zlib.compress(bytes(9)), "more than the 8 bytes"),
    "delta, goes on": ("delta", PLANES + b"x", "more than the 8 bytes"),
    "png, colour": (
        "png",
        png_file(png_header(2, 2), (b"IDAT", zlib.compress(bytes(14))), END),
        "wanted 16-bit grey",
    ),
    "png, 8 bit": (
        "png",
        png_file(png_header(2, 2, (8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(6))), END),
        "wanted 16-bit grey",
    ),
    "png, other size": ("png", png_file(png_header(2, 3, GREY16), END), "2×2 announced, got 2×3"),
    "png, paeth": (
        "png",
        png_file(png_header(2, 2, GREY16), (b"IDAT", zlib.compress(b"\x04" + bytes(9))), END),
        "row filters 0 to 2",
    ),
    "too long": ("png", bytes(max_depth_bytes(2, 2) + 1), "at most 131088 bytes for 2×2"),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_frame_is_refused(name: str) -> None:
    codec, data, said = BAD[name]
    with pytest.raises(ProtocolError, match=said):
        decode_depth(DepthMessage(codec, 2, 2, memoryview(data)), height=2, width=2)


@pytest.mark.parametrize("height", [-2, 0, 3, 2**40])
def test_a_frame_of_another_size_than_agreed_is_refused_before_it_is_decoded(height: int) -> None:
    message = msgspec.structs.replace(encode_depth(scene(2, 2), "delta"), height=height)
    with pytest.raises(ProtocolError, match=r"depth frame: wanted 2×2, got .*; depth is never scaled"):
        decode_depth(message, height=2, width=2)


def test_no_frame_with_a_longer_side_is_decoded_whatever_was_agreed() -> None:
    side = MAX_SIDE + 1
    with pytest.raises(ProtocolError, match="sides of 1 to 8192"):
        decode_depth(DepthMessage("raw", 1, side, memoryview(bytes(2 * side))), height=1, width=side)


@pytest.mark.parametrize("codec", ["delta", "png"])
def test_a_decompression_bomb_is_inflated_no_further_than_the_frame(codec: str) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    data = bomb if codec == "delta" else png_file(png_header(2, 2, GREY16), (b"IDAT", bomb), END)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="more than the"):
            decode_depth(DepthMessage(codec, 2, 2, memoryview(data)), height=2, width=2)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
