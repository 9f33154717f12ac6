"""Pictures keep their pixels through other axes and colors, and change size only as a profile says."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from vagus.errors import ConfigError, ProtocolError
from vagus.gateways.pictures import picture_from, picture_to
from vagus.gateways.profile import ColorOrder, ImageLayout, ResizeRule, WireImage

FRONT = WireImage(key=("front",), name="front", height=2, width=4)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 3), np.uint8)
PAD, STRETCH = replace(FRONT, resize=ResizeRule.PAD), replace(FRONT, resize=ResizeRule.STRETCH)


def white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


@pytest.mark.parametrize("layout", ImageLayout)
@pytest.mark.parametrize("color", ColorOrder)
def test_axes_and_colors_are_turned_both_ways(layout: ImageLayout, color: ColorOrder) -> None:
    image = replace(FRONT, layout=layout, color=color)
    sent = picture_to(PIXELS, image, "openpi")
    upright = sent.transpose(1, 2, 0) if layout is ImageLayout.CHW else sent
    np.testing.assert_array_equal(upright, PIXELS[:, :, ::-1] if color is ColorOrder.BGR else PIXELS)
    np.testing.assert_array_equal(picture_from(sent, image, "openpi"), PIXELS)
    for picture in (sent, picture_from(sent, image, "openpi")):
        assert picture.flags.c_contiguous
        assert picture.flags.writeable
        assert not np.shares_memory(picture, PIXELS)


def test_a_picture_that_cannot_be_written_to_is_copied() -> None:
    received = PIXELS.copy()
    received.flags.writeable = False
    assert picture_from(received, FRONT, "openpi").flags.writeable


def test_another_size_is_refused_unless_the_profile_says_what_to_do() -> None:
    for convert in (picture_from, picture_to):
        with pytest.raises(ProtocolError, match=r"camera 'front' at front: wanted 2×4 pixels .*got 4×2"):
            convert(white(4, 2), FRONT, "openpi")


@pytest.mark.parametrize(
    "picture", [None, "x", b"x", [[0]], np.zeros((2, 4)), np.zeros((2, 4, 3)), white(0, 4)]
)
def test_what_is_no_picture_is_refused_both_ways(picture: object) -> None:
    for convert in (picture_from, picture_to):
        with pytest.raises(ProtocolError, match="camera 'front' at front: wanted"):
            convert(picture, PAD, "openpi")


def test_a_picture_with_a_side_too_long_is_refused() -> None:
    with pytest.raises(ProtocolError, match="wanted sides of 1 to 8192 pixels, got 1×8193"):
        picture_from(white(1, 8193), PAD, "openpi")


def test_a_stretched_picture_fills_the_size() -> None:
    pytest.importorskip("PIL")
    got = picture_from(white(10, 10), STRETCH, "openpi")
    assert got.shape == (2, 4, 3)
    assert (got == 255).all()
    assert got.flags.writeable


@pytest.mark.parametrize(
    ("height", "width", "black"),
    [
        (8, 8, np.s_[:, [0, 3]]),  # a square in the middle of a wide one
        (2, 16, np.s_[[1], :]),  # half a row is no row: what remains is below
        (1, 400, np.s_[[1], :]),  # never thinner than a pixel
    ],
)
def test_a_padded_picture_keeps_its_aspect_ratio_on_black(height: int, width: int, black: object) -> None:
    pytest.importorskip("PIL")
    got = picture_from(white(height, width), PAD, "openpi")
    wanted = white(2, 4)
    wanted[black] = 0  # type: ignore[call-overload] # an index that numpy's stubs do not see in a parameter
    np.testing.assert_array_equal(got, wanted)


def test_a_padded_picture_is_that_of_openpi_s_clients() -> None:
    """Computed with `resize_with_pad` of openpi-client 0.1.2; an odd column remains on the right."""
    pytest.importorskip("PIL")
    pixels = (np.arange(7 * 5 * 3) * 37 % 256).astype(np.uint8).reshape(7, 5, 3)
    got = picture_from(pixels, replace(PAD, height=4, width=5), "openpi")
    assert got[:, 1:3, 0].tolist() == [[94, 138], [130, 113], [132, 147], [118, 131]]
    assert got[:, 1:3, 2].tolist() == [[133, 103], [117, 132], [151, 134], [126, 127]]
    assert not got[:, [0, 3, 4]].any()


def test_a_padded_picture_is_turned_too() -> None:
    pytest.importorskip("PIL")
    image = replace(PAD, layout=ImageLayout.CHW, color=ColorOrder.BGR)
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    sent = picture_to(red, image, "openpi")
    assert sent.shape == (3, 2, 4)
    assert sent[:, 0, 1].tolist() == [0, 0, 200]
    got = picture_from(np.ascontiguousarray(red[:, :, ::-1].transpose(2, 0, 1)), image, "openpi")
    assert got[0, 1].tolist() == [200, 0, 0]


def test_without_pillow_a_picture_of_another_size_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigError, match=r'resize: wanted Pillow.*pip install "vagus\[lerobot-grpc\]"'):
        picture_from(white(4, 4), PAD, "lerobot_grpc")
    np.testing.assert_array_equal(picture_from(PIXELS, PAD, "openpi"), PIXELS)
