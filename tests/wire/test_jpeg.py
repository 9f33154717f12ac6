from __future__ import annotations

import numpy as np
import pytest
import simplejpeg

from vagus.errors import ProtocolError
from vagus.types import Image
from vagus.wire.jpeg import check_jpeg, decode_jpeg, encode_jpeg, jpeg_size


def scene(height: int = 48, width: int = 64) -> Image:
    """A smooth scene: red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 64))
    return np.stack(channels, -1).astype(np.uint8)


GOOD = encode_jpeg(scene(), quality=90)
FRAME_AT = GOOD.index(b"\xff\xc0")
SCAN_AT = GOOD.index(b"\xff\xda")


def patched(at: int, insert: bytes, until: int | None = None) -> bytes:
    """GOOD with `insert` in the place of bytes `at` to `until`, or of as many."""
    return GOOD[:at] + insert + GOOD[(at + len(insert) if until is None else until) :]


def test_colour_is_halved_and_the_scene_stays_within_three_levels() -> None:
    assert simplejpeg.decode_jpeg_header(GOOD)[2:] == ("YCbCr", "420")
    error = np.abs(decode_jpeg(GOOD, height=48, width=64).astype(int) - scene())
    assert error.mean() < 3


def test_halved_colour_costs_little_against_full_colour() -> None:
    full = simplejpeg.encode_jpeg(scene(), quality=90, colorspace="RGB", colorsubsampling="444")
    error = [
        np.abs(decode_jpeg(jpeg, height=48, width=64).astype(int) - scene()).mean() for jpeg in (GOOD, full)
    ]
    assert error[0] < error[1] + 1.0
    assert len(GOOD) < len(full)


def test_the_decoded_frame_belongs_to_the_caller() -> None:
    decode_jpeg(memoryview(GOOD), height=48, width=64)[:] = 0


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_other_subsamplings_of_other_senders_are_read(subsampling: str) -> None:
    jpeg = simplejpeg.encode_jpeg(scene(), colorspace="RGB", colorsubsampling=subsampling)
    assert decode_jpeg(jpeg, height=48, width=64).shape == (48, 64, 3)


def test_metadata_before_the_frame_is_read_over() -> None:
    comment = b"\xff\xfe\x00\x07hello"
    decoded = decode_jpeg(patched(2, comment * 20, 2), height=48, width=64)
    np.testing.assert_array_equal(decoded, decode_jpeg(GOOD, height=48, width=64))


def test_the_size_of_a_file_is_known_before_it_is_decompressed() -> None:
    header_alone = GOOD[: SCAN_AT + 2 + 12]
    assert jpeg_size(header_alone) == (48, 64)
    check_jpeg(header_alone, height=48, width=64)
    with pytest.raises(ProtocolError, match="the 48×63 announced, got 48×64"):
        check_jpeg(header_alone, height=48, width=63)


@pytest.mark.parametrize(
    "jpeg", [b"", GOOD[:FRAME_AT], GOOD[:2] + GOOD[SCAN_AT:], GOOD[:2] + b"\xff\xfe\x00\x02" * 300]
)
def test_a_file_without_a_size_before_its_scan_is_refused(jpeg: bytes) -> None:
    with pytest.raises(ProtocolError, match="JPEG: wanted"):
        jpeg_size(jpeg)


BAD = {
    "empty": (b"", "start marker"),
    "png": (b"\x89PNG\r\n\x1a\n", "start marker"),
    "start only": (GOOD[:2], "wanted a scan, got the end"),
    "cut in the tables": (GOOD[:200], "wanted a segment that fits"),
    "cut in the scan": (GOOD[:-40], "Premature end"),
    "no scan": (GOOD[:SCAN_AT], "wanted a scan"),
    "no end marker": (GOOD[:-2], "Premature end"),
    "fill byte": (patched(2, b"\xff\xff", 2), "wanted a segment at byte 2"),
    "junk": (patched(2, b"\x00", 2), "wanted a segment at byte 2"),
    "second start": (patched(2, b"\xff\xd8", 2), "wanted a segment at byte 2"),
    "early end": (patched(2, b"\xff\xd9", 2), "wanted a segment at byte 2"),
    "segment of 1": (patched(4, b"\x00\x01"), "one of 1 at byte 2"),
    "progressive": (patched(FRAME_AT + 1, b"\xc2"), "baseline frame, got frame type 2"),
    "lossless": (patched(FRAME_AT + 1, b"\xc3"), "baseline frame, got frame type 3"),
    "arithmetic": (patched(FRAME_AT + 1, b"\xc9"), "baseline frame, got frame type 9"),
    "12 bit": (patched(FRAME_AT + 4, b"\x0c"), "wanted 3 components of 8 bits, got 3 of 12"),
    "four components": (patched(FRAME_AT + 9, b"\x04"), "got 4 of 8"),
    "taller": (patched(FRAME_AT + 5, b"\x00\x31"), "48×64 announced, got 49×64"),
    "wider": (patched(FRAME_AT + 7, b"\x00\x41"), "48×64 announced, got 48×65"),
    "65535 twice": (patched(FRAME_AT + 5, b"\xff" * 4), "48×64 announced, got 65535×65535"),
    "height unknown": (patched(FRAME_AT + 5, b"\x00\x00"), "48×64 announced, got 0×64"),
    "two frames": (
        patched(FRAME_AT, GOOD[FRAME_AT : FRAME_AT + 19] * 2, FRAME_AT + 19),
        "one frame, got two",
    ),
    "no frame": (patched(FRAME_AT, b"", FRAME_AT + 19), "a frame before the scan, got none"),
    "part of a scan": (patched(SCAN_AT + 4, b"\x01"), "one scan of 3 components"),
    "empty scan": (patched(SCAN_AT + 2, b"\x00\x02"), "one scan of 3 components"),
    "long frame header": (patched(FRAME_AT + 2, b"\x00\x14"), "a frame header of 18 bytes"),
    "many segments": (patched(2, b"\xff\xfe\x00\x02" * 300, 2), "at most 256 segments"),
    "no tables": (GOOD[:2] + GOOD[FRAME_AT : FRAME_AT + 19] + GOOD[SCAN_AT:], "JPEG: "),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_file_is_refused(name: str) -> None:
    jpeg, wanted = BAD[name]
    with pytest.raises(ProtocolError, match=wanted):
        decode_jpeg(jpeg, height=48, width=64)


def test_grey_and_inverted_print_colours_are_refused() -> None:
    grey = simplejpeg.encode_jpeg(
        np.ascontiguousarray(scene()[:, :, :1]), colorspace="GRAY", colorsubsampling="Gray"
    )
    cmyk = simplejpeg.encode_jpeg(np.zeros((48, 64, 4), np.uint8), colorspace="CMYK")
    for jpeg in (grey, cmyk):
        with pytest.raises(ProtocolError, match="wanted 3 components"):
            decode_jpeg(jpeg, height=48, width=64)
