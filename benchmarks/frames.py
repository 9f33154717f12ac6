"""Camera frames that cost what real ones cost: the simulated arm's, with texture and sensor noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vagus.demo.scene import Scene
from vagus.types import Image

__all__ = ["CAMERAS", "HEIGHT", "WIDTH", "make_frames", "save_frames"]

HEIGHT, WIDTH = 480, 640
CAMERAS = ("front", "side", "wrist")

TEXTURES = ((4, 30.0), (12, 18.0), (40, 9.0), (120, 5.0))
"""Cells across the frame, and grey levels: large shades down to the weave of a cloth."""
NOISE = 1.4
"""Grey levels of sensor noise; with the texture a frame has about 50 kB as JPEG of quality 90."""


def make_frames(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return (count, 3, 480, 640, 3) uint8 RGB: `count` moments of three cameras, the same for a seed."""
    random = np.random.default_rng(seed)
    scene = Scene()
    textures = [_texture(random) for _ in CAMERAS]
    frames = np.empty((count, len(CAMERAS), HEIGHT, WIDTH, 3), np.uint8)
    for moment in range(count):
        joints = random.uniform(-0.6, 0.6, 6)
        drawn = list(scene.draw(joints, np.array([0.3, random.uniform(-0.2, 0.2), 0.2])).values())
        for camera, texture in enumerate(textures):
            clean = np.roll(drawn[camera % len(drawn)], 37 * camera, axis=1)
            frames[moment, camera] = _as_seen(clean, texture, random)
    return frames


def save_frames(path: Path, count: int) -> None:
    """Write `make_frames(count)` for the processes of a benchmark."""
    np.save(path, make_frames(count))


def _as_seen(clean: Image, texture: NDArray[np.float32], random: np.random.Generator) -> Image:
    noise = random.normal(0.0, NOISE, (HEIGHT, WIDTH, 1)).astype(np.float32)
    seen: Image = np.clip(clean + texture + noise, 0, 255).astype(np.uint8)
    return seen


def _texture(random: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth noise of several sizes, (480, 640, 3)."""
    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells, levels in TEXTURES:
        grid = random.normal(0.0, levels, (cells * 3 // 4 + 2, cells + 2, 3)).astype(np.float32)
        total += _stretched(grid, cells)
    return total


def _stretched(grid: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Return `grid` at full size, by bilinear interpolation."""
    row, down = _places(HEIGHT, cells * 3 / 4)
    column, right = _places(WIDTH, cells)
    upper = grid[row] * (1 - down)[:, None, None] + grid[row + 1] * down[:, None, None]
    left, after = upper[:, column], upper[:, column + 1]
    return (left * (1 - right)[:, None] + after * right[:, None]).astype(np.float32)


def _places(size: int, cells: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    place = np.arange(size, dtype=np.float32) * np.float32(cells / size)
    index = place.astype(np.int64)
    return index, (place - index).astype(np.float32)
