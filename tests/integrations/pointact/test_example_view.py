"""Depth of a full workspace: its points are in it, and a camera that looks elsewhere is found out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError
from vagus.integrations.pointact.example_view import example_depth
from vagus.integrations.pointact.point_cloud import Workspace, coloured_points

CAMERA = Intrinsics(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
BOX = Workspace((-0.2, -0.3, 0.0), (0.2, 0.3, 0.4))
DOWN = rotation_of([math.pi, 0.0, 0.0])


def test_straight_from_above_it_is_the_middle_of_the_box() -> None:
    depth = example_depth(CAMERA, Extrinsics(DOWN, np.array([0.0, 0.0, 1.0])), BOX, 1000.0)
    assert depth.dtype == np.uint16
    assert depth[24, 32] == pytest.approx(800, abs=1)
    assert depth[0, 0] == 0  # past the box


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        ([math.pi + 0.4, 0.1, 0.3], [0.0, -0.4, 0.9]),
        ([math.pi, 0.0, 0.0], [0.0, 0.0, 0.3]),  # inside the box
        ([-math.pi / 2, 0.0, 0.0], [0.0, -0.9, 0.2]),  # along y
    ],
)
def test_every_point_of_it_is_in_the_workspace(turn: list[float], place: list[float]) -> None:
    there = Extrinsics(rotation_of(turn), np.array(place))
    depth = example_depth(CAMERA, there, BOX, 10000.0)
    points = coloured_points(
        (depth / 10000.0).astype(np.float32), np.zeros((48, 64, 3), np.uint8), CAMERA, there
    )
    assert len(points) > 100
    wide = Workspace(tuple(x - 2e-4 for x in BOX.lower), tuple(x + 2e-4 for x in BOX.upper))  # type: ignore[arg-type]
    assert len(wide.crop(points)) == len(points)


def test_a_camera_that_looks_away_is_refused() -> None:
    up = Extrinsics(np.eye(3), np.array([0.0, 0.0, 1.0]))
    with pytest.raises(ConfigError, match=r"wanted a camera that looks into.*which way the matrix"):
        example_depth(CAMERA, up, BOX, 1000.0)


@pytest.mark.parametrize("units", [1.0, 1e6])
def test_units_in_which_the_workspace_does_not_fit_are_refused(units: float) -> None:
    with pytest.raises(ConfigError, match="depth_units_per_m: wanted units in which the workspace fits"):
        example_depth(CAMERA, Extrinsics(DOWN, np.array([0.0, 0.0, 1.0])), BOX, units)
