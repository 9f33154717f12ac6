from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fuzz import png_chunk, png_file, png_header, png_of_rows
from vagus.errors import ProtocolError
from vagus.types import Image
from vagus.wire.png import decode_png, encode_png

END = (b"IEND", b"")
FRAMES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def filtered_rows(frame: Image, filters: list[int]) -> bytes:
    """Filter one byte at a time, as slow and as plain as the specification."""
    height, width, _ = frame.shape
    pixels = np.zeros((height + 1, width + 1, 3), int)
    pixels[1:, 1:] = frame
    rows = bytearray()
    for y, kind in enumerate(filters):
        rows.append(kind)
        for x in range(width):
            for left, up, value in zip(pixels[y + 1, x], pixels[y, x + 1], pixels[y + 1, x + 1], strict=True):
                rows.append(int(value - (0, left, up)[kind]) % 256)
    return bytes(rows)


@given(FRAMES)
def test_a_frame_survives(frame: Image) -> None:
    height, width, _ = frame.shape
    np.testing.assert_array_equal(decode_png(encode_png(frame), height=height, width=width), frame)


@given(FRAMES, st.data())
def test_every_filter_that_travels_is_undone(frame: Image, data: st.DataObject) -> None:
    height, width, _ = frame.shape
    filters = data.draw(st.lists(st.integers(0, 2), min_size=height, max_size=height))
    png = png_of_rows(filtered_rows(frame, filters), height, width)
    np.testing.assert_array_equal(decode_png(png, height=height, width=width), frame)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (25, 17)])
def test_one_filter_in_all_rows_is_undone(kind: int, shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(kind).integers(0, 256, (*shape, 3), dtype=np.uint8)
    png = png_of_rows(filtered_rows(frame, [kind] * shape[0]), *shape)
    np.testing.assert_array_equal(decode_png(png, height=shape[0], width=shape[1]), frame)


def test_the_decoded_frame_belongs_to_the_caller() -> None:
    frame = decode_png(encode_png(np.zeros((2, 2, 3), np.uint8)), height=2, width=2)
    frame[:] = 1


def test_ancillary_chunks_and_split_pixels_are_read_over() -> None:
    stream = zlib.compress(bytes(7) * 2)
    png = png_file(
        png_header(2, 2),
        (b"gAMA", b"\x00\x00\xb1\x8f"),
        (b"PLTE", b"\x00\x00\x00"),
        *((b"IDAT", stream[i : i + 1]) for i in range(len(stream))),
        (b"IDAT", b""),
        (b"tEXt", b"Comment\x00hello"),
        END,
    )
    assert not decode_png(png, height=2, width=2).any()


HEADER = png_header(2, 2)
PIXELS = (b"IDAT", zlib.compress(bytes(14)))
GOOD = png_file(HEADER, PIXELS, END)
STREAM = PIXELS[1]


def test_the_good_file_of_the_cases_below_is_good() -> None:
    assert decode_png(GOOD, height=2, width=2).shape == (2, 2, 3)


BAD = {
    "empty": (b"", "signature"),
    "another signature": (b"\x89PNG\r\n\x1a\r" + GOOD[8:], "signature"),
    "signature only": (GOOD[:8], "ends before its IEND"),
    "no end": (png_file(HEADER, PIXELS), "ends before its IEND"),
    "cut short": (GOOD[:-1], "ends before its IEND"),
    "cut in a chunk": (GOOD[:50], r"a chunk claims \d+ bytes"),
    "a chunk of 4 GB": (GOOD[:8] + b"\xff\xff\xff\xffIHDR" + bytes(30), "claims 4294967295 bytes"),
    "bad checksum": (GOOD[:-1] + b"\x00", "wrong checksum of chunk b'IEND'"),
    "bad pixel": (GOOD[:45] + b"\xee" + GOOD[46:], "wrong checksum of chunk b'IDAT'"),
    "trailing": (GOOD + b"\x00", "bytes after its end"),
    "end with a body": (png_file(HEADER, PIXELS, (b"IEND", b"x")), "bytes after its end"),
    "pixels first": (png_file(PIXELS, HEADER, END), "IHDR of 13 bytes first"),
    "short header": (png_file((b"IHDR", HEADER[1][:-1]), PIXELS, END), "IHDR of 13 bytes first"),
    "two headers": (png_file(HEADER, HEADER, PIXELS, END), "unknown critical chunk b'IHDR'"),
    "unknown critical": (png_file(HEADER, (b"ABCD", b""), PIXELS, END), "unknown critical chunk b'ABCD'"),
    "pixels apart": (png_file(HEADER, PIXELS, (b"tEXt", b""), (b"IDAT", b""), END), "together"),
    "no pixels": (png_file(HEADER, END), "got 0 in a stream cut short"),
    "too few": (
        png_file(HEADER, (b"IDAT", zlib.compress(bytes(13))), END),
        "wanted 14 bytes of pixels, got 13",
    ),
    "too many": (png_file(HEADER, (b"IDAT", zlib.compress(bytes(15))), END), "more than the 14 bytes"),
    "stream goes on": (png_file(HEADER, PIXELS, (b"IDAT", b"x"), END), "more than the 14 bytes"),
    "junk after": (png_file(HEADER, (b"IDAT", STREAM + b"x"), END), "more than the 14 bytes"),
    "no stream end": (png_file(HEADER, (b"IDAT", STREAM[:-1]), END), "got 14 in a stream cut short"),
    "no zlib": (png_file(HEADER, (b"IDAT", b"\x00" * 20), END), "broken compression"),
    "another checksum": (png_file(HEADER, (b"IDAT", STREAM[:-1] + b"\xff"), END), "broken compression"),
    "average": (png_of_rows(bytes(7) + b"\x03" + bytes(6), 2, 2), r"row filters 0 to 2 \(none.*got 3"),
    "paeth": (png_of_rows(b"\x04" + bytes(13), 2, 2), r"row filters 0 to 2 \(none.*got 4"),
    "filter 255": (png_of_rows(b"\xff" + bytes(13), 2, 2), r"row filters 0 to 2 \(none.*got 255"),
    "16 bit": (png_file(png_header(2, 2, (16, 2, 0, 0, 0)), PIXELS, END), "wanted 8-bit RGB"),
    "grey": (png_file(png_header(2, 2, (8, 0, 0, 0, 0)), PIXELS, END), "wanted 8-bit RGB"),
    "palette": (png_file(png_header(2, 2, (8, 3, 0, 0, 0)), PIXELS, END), "wanted 8-bit RGB"),
    "alpha": (png_file(png_header(2, 2, (8, 6, 0, 0, 0)), PIXELS, END), "wanted 8-bit RGB"),
    "interlaced": (png_file(png_header(2, 2, (8, 2, 0, 0, 1)), PIXELS, END), "wanted 8-bit RGB"),
    "other compression": (png_file(png_header(2, 2, (8, 2, 1, 0, 0)), PIXELS, END), "wanted 8-bit RGB"),
    "taller": (png_file(png_header(3, 2), PIXELS, END), "2×2 announced, got 3×2"),
    "wider": (png_file(png_header(2, 3), PIXELS, END), "2×2 announced, got 2×3"),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_file_is_refused(name: str) -> None:
    png, wanted = BAD[name]
    with pytest.raises(ProtocolError, match=wanted):
        decode_png(png, height=2, width=2)


def test_a_file_of_empty_chunks_is_given_up() -> None:
    with pytest.raises(ProtocolError, match="at most 2048 chunks"):
        decode_png(png_file(HEADER) + png_chunk(b"tEXt", b"") * 20_000 + png_chunk(*END), height=2, width=2)


def test_a_decompression_bomb_is_inflated_no_further_than_the_frame() -> None:
    bomb = png_file(HEADER, (b"IDAT", zlib.compress(bytes(50_000_000))), END)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="more than the 14 bytes"):
            decode_png(bomb, height=2, width=2)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
