from __future__ import annotations

import numpy as np

from vagus.errors import ProtocolError
from vagus.types import Image
from vagus.viewing.description import Picture
from vagus.viewing.thumbnails import colour_of_depth, shrunk, thumbnails_of


def gone() -> Image:
    raise ProtocolError("front.jpg is gone")


def picture(camera: str, at_s: float) -> Picture:
    return Picture(camera, "colour", at_s, lambda: np.full((30, 40, 3), 7, np.uint8))


def test_an_image_is_made_smaller_by_the_means_of_its_blocks() -> None:
    image = np.zeros((41, 80, 3), np.uint8)
    image[:, ::2] = 100
    small = shrunk(image, 20)
    assert small.shape == (10, 20, 3)
    assert (small == 50).all()
    assert shrunk(image, 80) is image
    assert shrunk(np.zeros((1, 100, 3), np.uint8), 10).shape == (1, 10, 3)


def test_depth_is_light_near_dark_far_and_blue_where_nothing_was_measured() -> None:
    depth = np.array([[0, 400, 2000]], np.uint16)
    unknown, near, far = colour_of_depth(depth)[0].tolist()
    assert near[0] > far[0]
    assert unknown[2] > unknown[0]
    assert colour_of_depth(np.zeros((2, 2), np.uint16)).tolist() == [[unknown] * 2] * 2
    assert colour_of_depth(np.full((1, 1), 5, np.uint16)).shape == (1, 1, 3)


def test_each_camera_has_its_share_and_what_cannot_be_read_is_told() -> None:
    pictures = [picture("front", k) for k in range(50)] + [Picture("wrist", "colour", 1.0, gone)]
    made, warnings = thumbnails_of(pictures, most=5, width=20)
    assert [thumbnail.camera for thumbnail in made] == ["front"] * 5
    assert [made[0].at_s, made[-1].at_s] == [0, 49]
    assert made[0].image.shape == (15, 20, 3)
    assert warnings == ("1 frames could not be read, the first: front.jpg is gone",)
