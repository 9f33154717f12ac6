"""Coloured points of a depth camera, in the robot's frame: cropped, one per voxel, and not too many (pure).

Points are (count, 6) float32: x, y, z in m, then red, green and blue from 0 to 1. No step is random: the same
frames give the same points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError, FrameError
from vagus.types import Image

__all__ = ["CloudRules", "Points", "Workspace", "cloud_of", "coloured_points", "thinned", "voxel_means"]

Points: TypeAlias = NDArray[np.float32]

_MAX_VOXELS: Final = 1 << 20
"""Along one axis: three such numbers make one key of 60 bits."""


@dataclass(frozen=True)
class Workspace:
    """A box in the robot's frame, in m; points on its faces are inside.

    Attributes:
        lower: smallest x, y, z.
        upper: largest x, y, z.
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Check that the box is one."""
        sides = list(zip(self.lower, self.upper, strict=True))
        if not all(-math.inf < low < high < math.inf for low, high in sides):
            raise ConfigError(
                "workspace",
                wanted="finite x, y, z, each lower below its upper",
                got=f"{self.lower} to {self.upper}",
            )

    def crop(self, points: Points) -> Points:
        """Return the points inside."""
        places = points[:, :3]
        lower, upper = np.array(self.lower), np.array(self.upper)
        return points[((places >= lower) & (places <= upper)).all(axis=1)]


@dataclass(frozen=True, kw_only=True)
class CloudRules:
    """What becomes of the points of a camera; workspace and voxel are those of PointAct's plan.

    Attributes:
        most: most points.
        workspace: where points are kept.
        voxel_m: side of a voxel, in m.
    """

    most: int
    workspace: Workspace = Workspace((-0.21, -0.35, 0.025), (0.23, 0.3, 0.4))
    voxel_m: float = 0.01

    def __post_init__(self) -> None:
        """Check the voxel: a mistake is told before anything is asked."""
        sides = np.array(self.workspace.upper) - np.array(self.workspace.lower)
        _check_voxel(self.voxel_m, float(sides.max()))


def cloud_of(
    depth_m: NDArray[np.float32],
    picture: Image,
    intrinsics: Intrinsics,
    extrinsics: Extrinsics,
    rules: CloudRules,
) -> Points:
    """Return the points that a policy gets of one pair of frames, at least one.

    Raises:
        FrameError: frames of another size than the intrinsics, or no point in the workspace.
        ConfigError: rules that are none.
    """
    seen = coloured_points(depth_m, picture, intrinsics, extrinsics)
    box = rules.workspace
    inside = box.crop(seen)
    if not len(inside):
        raise FrameError(
            f"point cloud: wanted points in the workspace {box.lower} to {box.upper} m, "
            f"got none of {len(seen)}; check the extrinsics, or whether something is before the camera"
        )
    return thinned(voxel_means(inside, rules.voxel_m), rules.most)


def coloured_points(
    depth_m: NDArray[np.float32], picture: Image, intrinsics: Intrinsics, extrinsics: Extrinsics
) -> Points:
    """Return the point of each pixel whose depth was measured, row by row.

    Args:
        depth_m: (height, width) m along the optical axis; 0: not measured.
        picture: (height, width, 3) uint8 RGB, of the same pixels.
        intrinsics: of both frames.
        extrinsics: of the camera.

    Raises:
        FrameError: another size, or another type of picture.
    """
    size = (intrinsics.height, intrinsics.width)
    if depth_m.shape != size or picture.shape != (*size, 3) or picture.dtype != np.uint8:
        raise FrameError(
            f"point cloud: wanted depth and picture (uint8 RGB) of {size} pixels (height, width), as the "
            f"intrinsics are for, got {depth_m.shape} and {picture.dtype} {picture.shape}"
        )
    rows, columns = np.nonzero(np.isfinite(depth_m) & (depth_m > 0.0))
    ahead = depth_m[rows, columns].astype(np.float64)
    across = (columns - intrinsics.cx) / intrinsics.fx * ahead
    down = (rows - intrinsics.cy) / intrinsics.fy * ahead
    places = np.column_stack((across, down, ahead)) @ extrinsics.rotation.T + extrinsics.translation
    return np.hstack((places, picture[rows, columns] / 255.0)).astype(np.float32)


def voxel_means(points: Points, side_m: float) -> Points:
    """Return one point for each voxel with points in it: their mean place and colour.

    The voxels stand still in the robot's frame, so that a new point elsewhere moves no other one.

    Raises:
        ConfigError: a side that is none, or so small that the points span too many voxels.
    """
    _check_voxel(side_m, 0.0)
    if not len(points):
        return points
    exact = points.astype(np.float64)
    cells = np.floor(exact[:, :3] / side_m)
    cells -= cells.min(axis=0)
    _check_voxel(side_m, float(cells.max()) * side_m)
    x, y, z = cells.astype(np.int64).T
    _, which, counts = np.unique(
        (x * _MAX_VOXELS + y) * _MAX_VOXELS + z, return_inverse=True, return_counts=True
    )
    sums = [np.bincount(which.reshape(-1), column) for column in exact.T]
    return (np.column_stack(sums) / counts[:, np.newaxis]).astype(np.float32)


def thinned(points: Points, most: int) -> Points:
    """Return at most `most` points, taken evenly from the order of `points`.

    Raises:
        ConfigError: `most` below 1.
    """
    if most < 1:
        raise ConfigError("points", wanted="at least 1 point", got=f"{most}")
    if len(points) <= most:
        return points
    return points[(np.arange(most) * len(points)) // most]


def _check_voxel(side_m: float, length_m: float) -> None:
    """Raise ConfigError for a side that is none, or that makes too many voxels along a length."""
    if not 0.0 < side_m < math.inf:
        raise ConfigError("voxel", wanted="a side above 0 m", got=f"{side_m}")
    if not length_m / side_m < _MAX_VOXELS:
        raise ConfigError(
            "voxel",
            wanted=f"at most {_MAX_VOXELS} voxels along an axis",
            got=f"a side of {side_m:g} m, which makes more",
            fix="crop the points to a workspace first, or state a larger side",
        )
