"""Small pictures of camera frames for a page or a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.errors import VagusError
from vagus.types import Image
from vagus.viewing.description import Picture
from vagus.viewing.thinning import evenly

__all__ = ["Thumbnail", "colour_of_depth", "shrunk", "thumbnails_of"]

DEPTH_DIMENSIONS = 2
_NEAR, _FAR = 2.0, 98.0
"""Percentiles of a depth frame that are drawn light and dark."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """Small frame of a camera: (height, width, 3) uint8 RGB."""

    camera: str
    at_s: float
    image: Image


def thumbnails_of(
    pictures: Sequence[Picture], *, most: int, width: int
) -> tuple[tuple[Thumbnail, ...], tuple[str, ...]]:
    """Return at most `most` small pictures per camera, spread evenly, and a warning about unreadable frames.

    Args:
        pictures: in order of time.
        most: per camera, 1 or more.
        width: greatest width of a small picture, pixels.
    """
    found: list[Thumbnail] = []
    failures: list[str] = []
    for camera in dict.fromkeys(picture.camera for picture in pictures):
        own = [picture for picture in pictures if picture.camera == camera]
        for picture in evenly(own, most):
            made = _made(picture, width)
            if isinstance(made, Thumbnail):
                found.append(made)
            else:
                failures.append(made)
    return tuple(found), _told(failures)


def _made(picture: Picture, width: int) -> Thumbnail | str:
    """Return the small picture, or why there is none."""
    try:
        image = shrunk(_colours(picture), width)
    except (VagusError, OSError) as error:
        return str(error)
    return Thumbnail(picture.camera, picture.at_s, image)


def _told(failures: Sequence[str]) -> tuple[str, ...]:
    return (f"{len(failures)} frames could not be read, the first: {failures[0]}",) if failures else ()


def _colours(picture: Picture) -> Image:
    frame = picture.load()
    return colour_of_depth(frame) if frame.ndim == DEPTH_DIMENSIONS else frame.astype(np.uint8, copy=False)


def colour_of_depth(depth: NDArray[np.uint16] | NDArray[np.uint8]) -> Image:
    """Return a depth frame in greys, near light and far dark, what was not measured in dark blue."""
    measured = depth[depth > 0]
    image = np.empty((*depth.shape, 3), np.uint8)
    image[:] = (16, 24, 64)
    if measured.size:
        near, far = np.percentile(measured, (_NEAR, _FAR))
        share = np.clip((depth - near) / max(far - near, 1.0), 0.0, 1.0)
        greys = (235 - 190 * share).astype(np.uint8)
        image[depth > 0] = greys[depth > 0, None]
    return image


def shrunk(image: Image, width: int) -> Image:
    """Return the image with at most `width` columns: the means of square blocks."""
    block = -(-image.shape[1] // width)
    if block <= 1:
        return image
    rows, columns = (max(side // block, 1) for side in image.shape[:2])
    tall, wide = min(rows * block, image.shape[0]), columns * block
    cut = image[:tall, :wide].astype(np.float32)
    blocks = cut.reshape(rows, tall // rows, columns, block, 3)
    result: Image = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return result
