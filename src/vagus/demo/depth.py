"""Depth frames of the simulated arm, measured in its true geometry: rounded cones, a ball and a floor."""

from __future__ import annotations

import numpy as np

from vagus.demo.arm import TARGET_RADIUS_M, Camera, Floats, arm_points
from vagus.demo.scene import ENDS, LIMBS
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import DepthImage

__all__ = ["DEPTH_CAMERA", "DEPTH_SPEC", "MAX_RANGE_M", "DepthScene"]

DEPTH_CAMERA = Camera.looking_at(
    CameraSpec("front_depth", 240, 320), position=(1.35, -0.45, 0.6), at=(0.22, 0.0, 0.24), focal_px=350.0
)
"""Stands where the colour camera "front" stands and looks the same way, with half its pixels a side."""
DEPTH_SPEC = DepthCameraSpec("front_depth", 240, 320, units_per_m=1000.0, may_repeat=True)
FLAT = 1e-12
"""A ray that is as slanted as the side of a cone meets it once, or nowhere: its ends tell."""
MAX_RANGE_M = 4.0
"""What is farther away than this is not measured, as with a real camera."""


class DepthScene:
    """What a depth camera measures: how far ahead of the lens, along its axis. Any thread may call it."""

    def __init__(self, camera: Camera = DEPTH_CAMERA, spec: DepthCameraSpec = DEPTH_SPEC) -> None:
        self._camera = camera
        self._units_per_m = spec.units_per_m
        self._rays = _rays(camera)
        self._floor = self._floor_depth()

    def measure(self, joints: Floats, target: Floats) -> DepthImage:
        """Return a new frame, (height, width) uint16, for joint angles (6,) and the target's place (3,)."""
        points = self._local(arm_points(joints))
        nearest = np.minimum(self._floor, _ball_depth(self._rays, self._local(target), TARGET_RADIUS_M))
        for first, last, first_m, last_m, _ in LIMBS:
            ends = points[ENDS[first]], points[ENDS[last]]
            window = self._window(np.stack(ends), max(first_m, last_m))
            limb = _limb_depth(self._rays[window], *ends, first_m, last_m)
            nearest[window] = np.minimum(nearest[window], limb)
        units = np.rint(np.where(nearest <= MAX_RANGE_M, nearest, 0.0) * self._units_per_m)
        frame: DepthImage = units.astype(np.uint16)
        return frame

    def _local(self, points: Floats) -> Floats:
        """Return points (..., 3) in the camera's frame: x right, y down, z ahead."""
        local: Floats = (points - self._camera.position) @ self._camera.rotation.T
        return local

    def _window(self, points: Floats, radius_m: float) -> tuple[slice, slice]:
        """Return the rows and columns in which the hull of balls around `points` (n, 3) can be seen."""
        height, width = self._floor.shape
        ahead = points[:, 2:]
        if np.min(ahead) <= 2 * radius_m:
            return slice(height), slice(width)  # beside or behind the lens
        places = points[:, :2] / ahead * self._camera.focal_px + np.array([width - 1, height - 1]) / 2
        reach = 1 + 1.5 * radius_m * self._camera.focal_px / (ahead - radius_m)  # 1.5: seen aslant
        left, top = np.floor((places - reach).min(axis=0)).clip(0).astype(int)
        right, bottom = np.ceil((places + reach).max(axis=0)).clip(0).astype(int) + 1
        return slice(top, bottom), slice(left, right)

    def _floor_depth(self) -> Floats:
        """Return the depth of the floor, z = 0, at each pixel; infinite above the horizon."""
        sinking = -self._rays @ self._camera.rotation[:, 2]  # metres down per metre ahead
        depth: Floats = np.full(sinking.shape, np.inf)
        np.divide(self._camera.position[2], sinking, out=depth, where=sinking > 0)
        return depth


def _rays(camera: Camera) -> Floats:
    """Return the direction of each pixel, (height, width, 3), in the camera's frame, one metre ahead."""
    height, width = camera.spec.height, camera.spec.width
    y, x = np.mgrid[0:height, 0:width]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    ahead = np.ones((height, width))
    rays: Floats = np.stack(
        [(x - middle_x) / camera.focal_px, (y - middle_y) / camera.focal_px, ahead], axis=-1
    )
    return rays


def _ball_depth(rays: Floats, centre: Floats, radius_m: float) -> Floats:
    """Return where each ray enters a ball; infinite where it misses, and where that is behind the lens."""
    along = rays @ centre
    squared = np.einsum("...i,...i", rays, rays)
    left = along**2 - squared * (centre @ centre - radius_m**2)
    depth: Floats = np.full(along.shape, np.inf)
    hit = left >= 0
    depth[hit] = (along[hit] - np.sqrt(left[hit])) / squared[hit]
    depth[depth <= 0] = np.inf
    return depth


def _limb_depth(rays: Floats, first: Floats, last: Floats, first_m: float, last_m: float) -> Floats:
    """Return where each ray enters the hull of two balls; infinite where it misses.

    A point is inside if a ball between both ends holds it: |q − s·axis|² < (radius + s·growth)² for an s from
    0 to 1, with q from the first centre. The left side less the right is A·s² − 2·B·s + C; on the surface
    between the balls it touches 0, so B² = A·C, at s = B / A. Along a ray B is linear, and C quadratic.
    """
    axis, growth = last - first, last_m - first_m
    a = axis @ axis - growth**2
    ahead, offset = rays @ axis, first_m * growth - first @ axis  # B = depth · ahead + offset
    squared, along = np.einsum("...i,...i", rays, rays), rays @ first
    two = ahead**2 - a * squared
    one = ahead * offset + a * along
    nil = offset**2 - a * (first @ first - first_m**2)
    depth = np.minimum(_ball_depth(rays, first, first_m), _ball_depth(rays, last, last_m))
    left = one**2 - two * nil
    hit = (left >= 0) & (np.abs(two) > FLAT)
    for sign in (-1.0, 1.0):
        side = (-one[hit] + sign * np.sqrt(left[hit])) / two[hit]
        share = (side * ahead[hit] + offset) / a
        is_surface = (side > 0) & (share >= 0) & (share <= 1)
        depth[hit] = np.where(is_surface, np.minimum(depth[hit], side), depth[hit])
    return depth
