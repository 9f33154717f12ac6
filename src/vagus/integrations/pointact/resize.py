"""Pictures and depth resized without a border, as the intrinsics are scaled (pure)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, FrameError
from vagus.types import Image
from vagus.wire.images import MAX_SIDE

__all__ = ["resized_depth", "resized_picture"]


def resized_picture(picture: Image, *, width: int, height: int) -> Image:
    """Return a picture (height, width, 3) uint8 in another size: bilinear, the mean of more when smaller.

    Raises:
        FrameError: another picture.
        ConfigError: a size that no picture has.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise FrameError(f"picture: wanted uint8 (height, width, 3), got {picture.dtype} {picture.shape}")
    _check_size(width, height)
    down, across = _weights(picture.shape[0], height), _weights(picture.shape[1], width)
    low = np.tensordot(down, picture.astype(np.float32), axes=(1, 0))
    small = np.tensordot(across, low, axes=(1, 1)).transpose(1, 0, 2)
    return np.ascontiguousarray(np.clip(np.rint(small), 0, 255).astype(np.uint8))


def resized_depth(depth_m: NDArray[np.float32], *, width: int, height: int) -> NDArray[np.float32]:
    """Return depth (height, width) in another size: of the nearest pixel, never a mean over an edge.

    Raises:
        FrameError: other depth.
        ConfigError: a size that no picture has.
    """
    if depth_m.ndim != 2 or not depth_m.size:
        raise FrameError(f"depth: wanted (height, width), got {depth_m.shape}")
    _check_size(width, height)
    rows = ((2 * np.arange(height) + 1) * depth_m.shape[0]) // (2 * height)
    columns = ((2 * np.arange(width) + 1) * depth_m.shape[1]) // (2 * width)
    return depth_m[np.ix_(rows, columns)]


def _check_size(width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ConfigError("resize", wanted=f"sides of 1 to {MAX_SIDE} pixels", got=f"{width}×{height}")


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """Return the share of each of `old` pixels in each of `new`, (new, old): a triangle around its centre."""
    ratio = old / new
    reach = max(ratio, 1.0)
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    distances = np.abs(np.arange(old)[np.newaxis, :] - centres[:, np.newaxis])
    weights = np.maximum(1.0 - distances / reach, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
