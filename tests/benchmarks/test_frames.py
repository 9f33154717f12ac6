from __future__ import annotations

import numpy as np

from benchmarks.frames import CAMERAS, HEIGHT, WIDTH, make_frames
from vagus.wire.images import encode_image


def test_frames_cost_what_real_ones_cost() -> None:
    frames = make_frames(2)
    assert frames.shape == (2, len(CAMERAS), HEIGHT, WIDTH, 3)
    sizes = [len(encode_image(frame, "jpeg").data) for moment in frames for frame in moment]
    assert all(35_000 < size < 75_000 for size in sizes), sizes


def test_frames_are_the_same_for_a_seed_and_differ_between_moments() -> None:
    frames = make_frames(2, seed=3)
    assert np.array_equal(frames, make_frames(2, seed=3))
    assert not np.array_equal(frames[0], frames[1])
