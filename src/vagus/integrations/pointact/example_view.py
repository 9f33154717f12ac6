"""Depth that a camera would measure if its robot's workspace were full: shows that it can see it (pure)."""

from __future__ import annotations

import numpy as np

from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError
from vagus.integrations.pointact.point_cloud import Workspace
from vagus.types import DepthImage

__all__ = ["example_depth"]


def example_depth(
    camera: Intrinsics, place: Extrinsics, workspace: Workspace, units_per_m: float
) -> DepthImage:
    """Return the depth (height, width) uint16 half-way through the workspace; 0 where a pixel looks past it.

    Raises:
        ConfigError: no pixel looks into the workspace, or the depths do not fit into 16 bits.
    """
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    slopes = np.stack(
        ((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)), -1
    )
    rays = slopes @ place.rotation.T
    rays[np.abs(rays) < 1e-12] = 1e-12  # along a face: as good as never through it
    first = (np.array(workspace.lower) - place.translation) / rays
    second = (np.array(workspace.upper) - place.translation) / rays
    enters = np.maximum(np.max(np.minimum(first, second), axis=-1), 0.0)
    leaves = np.min(np.maximum(first, second), axis=-1)
    depth = np.where(leaves > enters, 0.5 * (enters + leaves), 0.0) * units_per_m
    if not depth.any():
        raise ConfigError(
            "extrinsics",
            wanted=f"a camera that looks into the workspace {workspace.lower} to {workspace.upper} m",
            got="one of which no pixel does",
            fix="check which way the matrix leads, its frame (base or workspace), and the offset",
        )
    if float(np.max(depth)) > np.iinfo(np.uint16).max or float(np.min(depth[depth > 0.0])) < 1.0:
        raise ConfigError(
            "depth_units_per_m",
            wanted="units in which the workspace fits into 1 to 65535",
            got=f"{units_per_m:g} per m",
        )
    return np.rint(depth).astype(np.uint16)
