"""Pictures and depth in another size, compared with Pillow where there is one to compare with."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import ConfigError, FrameError
from vagus.integrations.pointact.resize import resized_depth, resized_picture

NOISE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "height"), [(25, 25), (64, 48), (200, 31), (1, 1)])
def test_a_picture_is_what_pillow_makes_of_it(width: int, height: int) -> None:
    pillow = pytest.importorskip("PIL.Image")
    wanted = np.asarray(pillow.fromarray(NOISE).resize((width, height), 2), np.int64)
    mine = resized_picture(NOISE, width=width, height=height)
    assert (mine.dtype, mine.shape) == (np.dtype(np.uint8), (height, width, 3))
    assert mine.flags.c_contiguous
    assert int(np.abs(mine - wanted).max()) <= 1  # Pillow rounds after each axis


def test_a_smaller_picture_is_a_mean_and_the_same_size_the_same() -> None:
    checks = np.zeros((8, 8, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 200
    assert set(resized_picture(checks, width=2, height=2).reshape(-1).tolist()) <= set(range(90, 111))
    assert resized_picture(NOISE, width=64, height=48).tobytes() == NOISE.tobytes()


def test_depth_is_of_one_pixel_never_between_two() -> None:
    depth = np.array([[0.3, 0.3, 2.0, 2.0], [0.3, 0.0, 0.0, 2.0]], np.float32)
    assert resized_depth(depth, width=2, height=1).tolist() == [[0.0, 2.0]]
    assert resized_depth(depth, width=4, height=2).tobytes() == depth.tobytes()
    assert set(np.unique(resized_depth(depth, width=9, height=7))) == set(np.unique(depth))


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_pictures_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(FrameError, match="picture: wanted uint8"):
        resized_picture(picture, width=2, height=2)


@pytest.mark.parametrize("depth", [np.zeros((4, 4, 1), np.float32), np.zeros((0, 4), np.float32)])
def test_other_depth_is_refused(depth: np.ndarray) -> None:
    with pytest.raises(FrameError, match="depth: wanted"):
        resized_depth(depth, width=2, height=2)


@pytest.mark.parametrize(("width", "height"), [(0, 4), (4, -1), (8193, 4)])
def test_sizes_of_no_picture_are_refused(width: int, height: int) -> None:
    with pytest.raises(ConfigError, match="resize: wanted sides"):
        resized_picture(NOISE, width=width, height=height)
    with pytest.raises(ConfigError, match="resize: wanted sides"):
        resized_depth(np.ones((4, 4), np.float32), width=width, height=height)
