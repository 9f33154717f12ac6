"""Camera frames of the simulated arm, drawn from its true state: flat shapes, the most distant first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.demo.arm import CAMERAS, TARGET_RADIUS_M, Camera, Floats, arm_points
from vagus.types import Image

__all__ = ["Scene"]

Colour: TypeAlias = tuple[int, int, int]
Disc: TypeAlias = tuple[float, float, float]
"""Column, row and radius in pixels."""

TARGET: Colour = (232, 44, 58)
TARGET_LIGHT: Colour = (255, 96, 104)
FLOOR: Colour = (196, 200, 204)
GRID: Colour = (172, 178, 184)
SHADOW: Colour = (140, 145, 150)
LIMBS = (
    ("foot", "shoulder", 0.055, 0.050, (70, 78, 92)),
    ("shoulder", "elbow", 0.042, 0.034, (228, 232, 236)),
    ("elbow", "wrist", 0.033, 0.026, (206, 214, 224)),
    ("wrist", "flange", 0.024, 0.022, (70, 78, 92)),
    ("flange", "tip", 0.014, 0.006, (88, 128, 190)),
    ("jaw_left", "jaw_right", 0.007, 0.007, (52, 60, 74)),
)
"""Limbs of the arm: points at both ends, radii there in metres, colour."""
ENDS = {
    "foot": 0, "shoulder": 1, "elbow": 2, "wrist": 3, "flange": 4, "tip": 5, "jaw_left": 6, "jaw_right": 7,
}  # fmt: skip
GRID_STEP_M = 0.1
GRID_REACH_M = 1.0
SHADOW_POINTS = 24


class Scene:
    """Scene that the two cameras see. Several threads may call `draw` at once."""

    def __init__(self, cameras: Iterable[Camera] = CAMERAS) -> None:
        self._cameras = tuple(cameras)
        self._backgrounds = tuple(_draw_background(camera) for camera in self._cameras)

    def draw(self, joints: Floats, target: Floats) -> dict[str, Image]:
        """Return a new RGB frame of every camera for joint angles (6,) and the target's position (3,)."""
        points = arm_points(joints)
        return {
            camera.spec.name: _draw_frame(camera, background.copy(), points, target)
            for camera, background in zip(self._cameras, self._backgrounds, strict=True)
        }


def _draw_frame(camera: Camera, frame: Image, points: Floats, target: Floats) -> Image:
    _fill_polygon(frame, camera.project(_shadow_outline(target))[:, :2], SHADOW)
    seen = camera.project(points)
    radius_px = camera.focal_px / seen[:, 2]
    limbs = sorted(LIMBS, key=lambda limb: -(seen[ENDS[limb[0]], 2] + seen[ENDS[limb[1]], 2]) / 2)
    ball = camera.project(target)
    is_ball_due = True
    for first, last, first_m, last_m, colour in limbs:
        a, b = ENDS[first], ENDS[last]
        if is_ball_due and (seen[a, 2] + seen[b, 2]) / 2 < ball[2]:
            _draw_ball(frame, camera, ball)
            is_ball_due = False
        _fill_limb(
            frame,
            (seen[a, 0], seen[a, 1], first_m * radius_px[a]),
            (seen[b, 0], seen[b, 1], last_m * radius_px[b]),
            colour,
        )
    if is_ball_due:
        _draw_ball(frame, camera, ball)
    return frame


def _draw_ball(frame: Image, camera: Camera, ball: Floats) -> None:
    radius = TARGET_RADIUS_M * camera.focal_px / ball[2]
    _fill_disc(frame, (ball[0], ball[1], radius), TARGET)
    _fill_disc(frame, (ball[0] - 0.25 * radius, ball[1] - 0.3 * radius, 0.45 * radius), TARGET_LIGHT)


def _shadow_outline(target: Floats) -> Floats:
    angle = np.linspace(0.0, 2.0 * np.pi, SHADOW_POINTS, endpoint=False)
    ring: Floats = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    outline: Floats = ring * TARGET_RADIUS_M + np.array([target[0], target[1], 0.0])
    return outline


def _fill_limb(frame: Image, first: Disc, last: Disc, colour: Colour) -> None:
    """Fill two discs and the area between them."""
    _fill_disc(frame, first, colour)
    _fill_disc(frame, last, colour)
    along = np.array([last[0] - first[0], last[1] - first[1]])
    length = float(np.hypot(*along))
    if length < 1.0:
        return
    across = np.array([-along[1], along[0]]) / length
    a, b = np.array(first[:2]), np.array(last[:2])
    corners = [a + across * first[2], b + across * last[2], b - across * last[2], a - across * first[2]]
    _fill_polygon(frame, np.array(corners), colour)


def _fill_disc(frame: Image, disc: Disc, colour: Colour) -> None:
    column, row, radius = disc
    rows = np.arange(max(0, int(np.ceil(row - radius))), min(frame.shape[0], int(row + radius) + 1))
    half = np.sqrt(np.maximum(radius * radius - (rows - row) ** 2, 0.0))
    _fill_rows(frame, rows, column - half, column + half, colour)


def _fill_polygon(frame: Image, corners: Floats, colour: Colour) -> None:
    """Fill a convex polygon, corners (n, 2) in order."""
    top, bottom = np.min(corners[:, 1]), np.max(corners[:, 1])
    rows = np.arange(max(0, int(np.ceil(top))), min(frame.shape[0], int(np.floor(bottom)) + 1))
    if rows.size == 0:
        return
    left, right = np.full(rows.size, np.inf), np.full(rows.size, -np.inf)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        begin, end = np.searchsorted(rows, [min(y0, y1), max(y0, y1) + 1e-9])
        x = x0 + (rows[begin:end] - y0) * ((x1 - x0) / (y1 - y0))
        np.minimum(left[begin:end], x, out=left[begin:end])
        np.maximum(right[begin:end], x, out=right[begin:end])
    _fill_rows(frame, rows, left, right, colour)


def _fill_rows(frame: Image, rows: NDArray[np.int64], left: Floats, right: Floats, colour: Colour) -> None:
    width = frame.shape[1]
    begin = np.clip(np.ceil(left), 0, width).astype(np.int64).tolist()
    end = np.clip(np.floor(right) + 1, 0, width).astype(np.int64).tolist()
    paint = np.array(colour, dtype=np.uint8)
    for row, first, last in zip(rows.tolist(), begin, end, strict=True):
        frame[row, first:last] = paint


def _draw_background(camera: Camera) -> Image:
    """Return the picture of floor, wall and grid, which is drawn once."""
    spec = camera.spec
    frame = np.empty((spec.height, spec.width, 3), dtype=np.uint8)
    shade = np.linspace(0.82, 1.0, spec.height)[:, None, None]
    frame[:] = np.clip(shade * np.array(FLOOR), 0, 255).astype(np.uint8)
    lines = np.arange(-GRID_REACH_M, GRID_REACH_M + GRID_STEP_M / 2, GRID_STEP_M)
    along = np.linspace(-GRID_REACH_M, GRID_REACH_M, 4000)
    for line in lines:
        fixed = np.full_like(along, line)
        for x, y in ((fixed, along), (along, fixed)):
            _dot(camera, frame, np.stack([x, y, np.zeros_like(x)], axis=-1))
    return frame


def _dot(camera: Camera, frame: Image, points: Floats) -> None:
    seen = camera.project(points)
    place = np.rint(seen[:, :2]).astype(np.int64)
    height, width = frame.shape[:2]
    inside = (seen[:, 2] > 0) & (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
    frame[place[inside, 1], place[inside, 0]] = GRID
