from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from fuzz import png_file, png_header
from vagus.errors import ProtocolError, SpecError
from vagus.types import Image
from vagus.wire.codec import decode, encode
from vagus.wire.images import CODECS, MAX_SIDE, decode_image, encode_image
from vagus.wire.schema import ImageMessage

MAX_PIXELS = 640 * 480
TOLERANCE = {"raw": 0.0, "png": 0.0, "jpeg": 6.0}


def scene(height: int = 48, width: int = 64) -> Image:
    """Left half red, right half blue, bright above: no two axes or channels can be mistaken."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, : width // 2, 0] = 220
    frame[:, width // 2 :, 2] = 220
    frame[: height // 4] //= 2
    return frame


def image(codec: str, data: bytes, height: int = 2, width: int = 2) -> ImageMessage:
    return ImageMessage(codec, height, width, memoryview(data))


def error_of(codec: str, sent: Image, wanted: Image) -> float:
    message = decode(encode(encode_image(sent, codec)), ImageMessage)
    decoded = decode_image(message, max_pixels=MAX_PIXELS)
    assert decoded.dtype == np.uint8
    assert decoded.shape == wanted.shape
    return float(np.abs(decoded.astype(int) - wanted).mean())


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_survives_within_the_loss_of_its_codec(codec: str) -> None:
    assert error_of(codec, scene(), scene()) <= TOLERANCE[codec]


@pytest.mark.parametrize("codec", CODECS)
def test_a_red_blue_swap_or_a_turned_frame_would_be_seen(codec: str) -> None:
    for wrong in (scene()[:, :, ::-1], scene()[::-1], scene()[:, ::-1]):
        assert error_of(codec, np.ascontiguousarray(wrong), scene()) > 2 * TOLERANCE[codec] + 6


def test_on_the_wire_red_comes_first() -> None:
    """Both ends swapped alike would pass a round trip; readers that are not ours see it."""
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 255
    assert bytes(encode_image(red, "raw").data[:3]) == b"\xff\x00\x00"
    png = bytes(encode_image(red, "png").data)
    at = png.index(b"IDAT")
    assert zlib.decompressobj().decompress(png[at + 4 :])[1:4] == b"\xff\x00\x00"
    pixel = simplejpeg.decode_jpeg(encode_image(red, "jpeg").data, colorspace="RGB")[8, 8]
    assert pixel[0] > 240
    assert pixel[2] < 16


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "view",
    [
        lambda frame: frame[::-1],
        lambda frame: frame[:, ::-1],
        lambda frame: frame[:, :, ::-1],
        lambda frame: frame[::2, ::3],
        lambda frame: frame.transpose(1, 0, 2),
        np.asfortranarray,
        lambda frame: np.broadcast_to(frame[:1], frame.shape),
    ],
    ids=["upside down", "mirrored", "bgr", "strided", "transposed", "fortran", "broadcast"],
)
def test_a_view_is_sent_as_its_pixels(codec: str, view: object) -> None:
    assert callable(view)
    sent = view(scene())
    assert error_of(codec, sent, sent) <= 2 * TOLERANCE[codec]


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(CODECS), st.integers(0, 2**32 - 1))
def test_any_size_keeps_its_size_and_lossless_codecs_their_pixels(
    height: int, width: int, codec: str, seed: int
) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    decoded = decode_image(encode_image(frame, codec), max_pixels=1600)
    assert decoded.shape == frame.shape
    if codec != "jpeg":
        np.testing.assert_array_equal(decoded, frame)


def test_raw_is_neither_copied_nor_writable() -> None:
    frame = scene()
    message = encode_image(frame, "raw")
    decoded = decode_image(message, max_pixels=MAX_PIXELS)
    assert np.shares_memory(decoded, frame)
    assert not decoded.flags.writeable
    assert frame.flags.writeable


def test_quality_trades_bytes_for_pixels() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    sizes = [len(encode_image(noisy, "jpeg", quality=quality).data) for quality in (1, 50, 100)]
    assert sizes == sorted(sizes)
    for quality in (1, 100):
        decode_image(encode_image(noisy, "jpeg", quality=quality), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("quality", [0, 101, -1])
def test_a_quality_out_of_range_is_refused(quality: int) -> None:
    with pytest.raises(SpecError, match=f"JPEG quality: wanted 1 to 100, got {quality}"):
        encode_image(scene(), "jpeg", quality=quality)


@pytest.mark.parametrize("codec", ["auto", "", "JPEG", "webp"])
def test_an_unknown_codec_is_refused_with_the_known_ones(codec: str) -> None:
    with pytest.raises(SpecError, match=f"wanted one of raw, jpeg, png, got '{codec}'"):
        encode_image(scene(), codec)
    with pytest.raises(ProtocolError, match=f"wanted a codec of raw, jpeg, png, got '{codec}'"):
        decode_image(image(codec, bytes(12)), max_pixels=4)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((4, 4), np.uint8), r"got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 1), np.uint8), r"got uint8 \(4, 4, 1\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \(4, 4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"got uint8 \(3, 4, 4\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"got uint8 \(1, 4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.float32), r"got float32 \(4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int8), r"got int8 \(4, 4, 3\)"),
    ],
)
def test_what_is_no_rgb_frame_is_refused_with_wanted_and_got(codec: str, frame: np.ndarray, got: str) -> None:
    with pytest.raises(SpecError, match=rf"wanted uint8 RGB \(height, width, 3\), {got}"):
        encode_image(frame, codec)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (1, MAX_SIDE + 1, 3), (MAX_SIDE + 1, 1, 3)])
def test_a_frame_without_pixels_or_too_long_is_not_sent(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=f"wanted sides of 1 to {MAX_SIDE} pixels"):
        encode_image(np.zeros(shape, np.uint8), "raw")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "size", [(0, 2), (2, 0), (-2, -2), (1, MAX_SIDE + 1), (MAX_SIDE + 1, 1), (2**63, 2**63)]
)
def test_sides_that_no_camera_has_are_refused(codec: str, size: tuple[int, int]) -> None:
    with pytest.raises(ProtocolError, match="wanted sides of 1 to"):
        decode_image(image(codec, b"", *size), max_pixels=2**62)


@pytest.mark.parametrize("codec", CODECS)
def test_the_pixel_limit_is_exact(codec: str) -> None:
    message = encode_image(scene(), codec)
    decode_image(message, max_pixels=48 * 64)
    with pytest.raises(ProtocolError, match="wanted at most 3071 pixels, got 48×64 = 3072"):
        decode_image(message, max_pixels=48 * 64 - 1)


@pytest.mark.parametrize("size", [0, 11, 13])
def test_raw_bytes_that_do_not_fill_the_frame_are_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"wanted 12 bytes for 2×2, got {size}"):
        decode_image(image("raw", bytes(size)), max_pixels=4)


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_an_encoded_frame_far_larger_than_its_pixels_is_refused_unread(codec: str) -> None:
    with pytest.raises(ProtocolError, match="wanted at most 131096 bytes for 2×2, got 131097"):
        decode_image(image(codec, bytes(131097)), max_pixels=4)


def huge_jpeg() -> bytes:
    jpeg = bytearray(encode_image(scene(), "jpeg").data)
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(jpeg)


HUGE = {
    "jpeg": huge_jpeg(),
    "png": png_file(png_header(65535, 65535), (b"IDAT", b"x"), (b"IEND", b"")),
    "raw": bytes(12),
}


@pytest.mark.parametrize("codec", HUGE)
@pytest.mark.parametrize("size", [(65535, 65535), (48, 64)])
def test_a_claim_of_65535_squared_is_refused_before_decoding(codec: str, size: tuple[int, int]) -> None:
    """Whether the message claims it, or only the file inside."""
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=r"wanted (sides of|the 48×64 announced|9216 bytes)"):
            decode_image(image(codec, HUGE[codec], *size), max_pixels=MAX_PIXELS)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
