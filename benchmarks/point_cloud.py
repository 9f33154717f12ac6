"""Cost of the points that a PointAct policy is asked with: numpy, against Open3D where that is installed."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns
from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.integrations.pointact.depth import depth_in_m
from vagus.integrations.pointact.point_cloud import CloudRules, Points, cloud_of, coloured_points, voxel_means
from vagus.integrations.pointact.resize import resized_depth, resized_picture
from vagus.types import DepthImage, Image

__all__ = ["Contestant", "run", "seen"]

CAMERA = Intrinsics(width=640, height=480, fx=600.0, fy=600.0, cx=319.5, cy=239.5)
PLACE = Extrinsics(rotation_of([math.pi, 0.0, 0.0]), np.array([0.0, 0.0, 0.6]))
RULES = CloudRules(most=4096)
SIDE = 256
Voxels = Callable[[Points], Points]


@dataclass(slots=True)
class Contestant:
    """Something that takes points or frames, and its times."""

    name: str
    work: Callable[[], Points]
    times_ms: list[float] = field(default_factory=list)
    points: int = 0

    def take_turn(self) -> None:
        """Work once, and note the time."""
        begin_s = time.perf_counter()
        self.points = len(self.work())
        self.times_ms.append(1000.0 * (time.perf_counter() - begin_s))


def seen(seed: int = 0) -> tuple[Image, DepthImage]:
    """Return colour and depth in mm, 480×640: a table with boxes, from above, with a sensor's noise."""
    random = np.random.default_rng(seed)
    depth = np.full((CAMERA.height, CAMERA.width), 600.0)
    for _ in range(12):
        row, column = random.integers(0, 400), random.integers(0, 560)
        depth[row : row + 80, column : column + 80] = 600.0 - random.uniform(30.0, 150.0)
    depth += random.normal(0.0, 1.5, depth.shape)
    picture = random.integers(0, 256, (*depth.shape, 3)).astype(np.uint8)
    return picture, depth.round().astype(np.uint16)


def run(*, quick: bool) -> Report:
    """Return the times of the voxels in numpy and Open3D, and of everything between frames and points."""
    report = Report("point_cloud")
    picture, depth = seen()
    small = _points(SIDE, SIDE)
    contestants = [
        Contestant("numpy, 256×256 pixels", lambda: voxel_means(small, RULES.voxel_m)),
        Contestant("frames to points, 640×480 to 256×256", lambda: _whole(picture, depth)),
    ]
    peer = _open3d()
    if peer is None:
        report.notes.append("Open3D is not measured: it is not installed here (pip install open3d).")
    else:
        contestants.insert(1, Contestant("Open3D, 256×256 pixels", lambda: peer(small)))
    for contestant in turns(contestants, 3 if quick else 200):
        contestant.take_turn()
    base = percentile(contestants[0].times_ms, 50.0)
    rows = [
        [
            one.name,
            number(percentile(one.times_ms, 50.0) / base),
            number(percentile(one.times_ms, 50.0)),
            number(percentile(one.times_ms, 99.0)),
            f"{one.points}",
        ]
        for one in contestants
    ]
    columns = ("", "p50 ratio", "p50 ms", "p99 ms", "points left")
    report.tables.append(Table(f"{len(small)} points in the workspace, voxels of 0.01 m", columns, rows))
    return report


def _points(width: int, height: int) -> Points:
    picture, depth = seen()
    small = resized_picture(picture, width=width, height=height)
    depth_m = resized_depth(depth_in_m(depth, units_per_m=1000.0), width=width, height=height)
    everywhere = coloured_points(depth_m, small, CAMERA.scaled(width=width, height=height), PLACE)
    return RULES.workspace.crop(everywhere)


def _whole(picture: Image, depth: DepthImage) -> Points:
    small = resized_picture(picture, width=SIDE, height=SIDE)
    depth_m = resized_depth(depth_in_m(depth, units_per_m=1000.0), width=SIDE, height=SIDE)
    return cloud_of(depth_m, small, CAMERA.scaled(width=SIDE, height=SIDE), PLACE, RULES)


def _open3d() -> Voxels | None:
    """Return the voxels of Open3D, from and to our array; None: it is not installed."""
    try:
        open3d = importlib.import_module("open3d")
    except ImportError:
        return None

    def voxels(points: Points) -> Points:
        cloud = open3d.geometry.PointCloud()
        cloud.points = open3d.utility.Vector3dVector(points[:, :3].astype(np.float64))
        cloud.colors = open3d.utility.Vector3dVector(points[:, 3:].astype(np.float64))
        small = cloud.voxel_down_sample(RULES.voxel_m)
        return np.hstack((np.asarray(small.points), np.asarray(small.colors))).astype(np.float32)

    return voxels
