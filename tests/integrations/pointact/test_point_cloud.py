"""Points of a scene of known geometry: a table at z = 0 with a ball on it, seen from above at a slant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError, FrameError
from vagus.integrations.pointact.depth import depth_in_m
from vagus.integrations.pointact.point_cloud import (
    CloudRules,
    Points,
    Workspace,
    cloud_of,
    coloured_points,
    thinned,
    voxel_means,
)
from vagus.integrations.pointact.resize import resized_depth, resized_picture

CAMERA = Intrinsics(width=160, height=120, fx=150.0, fy=140.0, cx=81.3, cy=57.8)
PLACE = Extrinsics(rotation_of([math.pi + 0.3, 0.05, 0.02]), np.array([0.02, -0.2, 0.6]))
CENTRE, RADIUS = np.array([0.0, 0.0, 0.06]), 0.06


@dataclass(frozen=True)
class Scene:
    """What the camera sees: depth in m, and a picture whose red and green are the x and y of the place."""

    depth: NDArray[np.float32]
    picture: NDArray[np.uint8]


def scene(camera: Intrinsics) -> Scene:
    """Return the scene, by rays from the camera that hit the ball, else the table."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    slopes = np.stack(
        ((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)), -1
    )
    rays = slopes @ PLACE.rotation.T
    depth = -PLACE.translation[2] / rays[..., 2]
    start = PLACE.translation - CENTRE
    a, b, c = (rays**2).sum(-1), 2.0 * rays @ start, start @ start - RADIUS**2
    inside = b * b - 4.0 * a * c
    ball = (-b - np.sqrt(np.maximum(inside, 0.0))) / (2.0 * a)
    depth = np.where(inside >= 0.0, ball, depth)
    places = PLACE.translation + depth[..., None] * rays
    picture = np.zeros((*depth.shape, 3), np.uint8)
    picture[..., :2] = np.clip(np.rint((places[..., :2] + 1.0) * 127.5), 0, 255)
    return Scene(depth.astype(np.float32), picture)


SEEN = scene(CAMERA)


def height_error(points: Points) -> NDArray[np.float64]:
    """Return how far each point is from the table or from the ball, whichever is nearer, in m."""
    places = points[:, :3].astype(np.float64)
    from_ball = np.abs(np.linalg.norm(places - CENTRE, axis=1) - RADIUS)
    error: NDArray[np.float64] = np.minimum(np.abs(places[:, 2]), from_ball)
    return error


def colour_error(points: Points) -> NDArray[np.float64]:
    """Return how far each point is from the place that its colour says, in m."""
    places = points[:, :3].astype(np.float64)
    error: NDArray[np.float64] = np.abs(points[:, 3:5] * 2.0 - 1.0 - places[:, :2]).max(axis=1)
    return error


def test_one_pixel_by_hand() -> None:
    camera = Intrinsics(width=2, height=2, fx=2.0, fy=4.0, cx=0.5, cy=0.5)
    depth = np.array([[0.0, 0.0], [0.0, 2.0]], np.float32)
    picture = np.full((2, 2, 3), (255, 0, 51), np.uint8)
    quarter = Extrinsics(rotation_of([0.0, 0.0, math.pi / 2]), np.array([10.0, 0.0, 0.0]))
    points = coloured_points(depth, picture, camera, quarter)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, [[9.75, 0.5, 2.0, 1.0, 0.0, 0.2]], rtol=1e-6)


def test_every_point_of_the_scene_is_on_the_table_or_the_ball_with_its_colour() -> None:
    points = coloured_points(SEEN.depth, SEEN.picture, CAMERA, PLACE)
    assert points.shape == (CAMERA.width * CAMERA.height, 6)
    assert float(np.max(height_error(points))) < 1e-6
    assert float(np.max(colour_error(points))) < 0.005  # a byte of colour is 8 mm
    assert float(np.max(points[:, 2])) == pytest.approx(0.12, abs=0.002)  # the top of the ball


def test_the_picture_and_its_intrinsics_are_scaled_along() -> None:
    small = CAMERA.scaled(width=64, height=64)
    picture = resized_picture(SEEN.picture, width=64, height=64)
    points = coloured_points(scene(small).depth, picture, small, PLACE)
    assert float(np.quantile(colour_error(points), 0.95)) < 0.006  # but where the ball hides the table
    wrong = coloured_points(
        scene(small).depth,
        picture,
        Intrinsics(width=64, height=64, fx=60.0, fy=60.0, cx=40.0, cy=25.0),
        PLACE,
    )
    assert float(np.quantile(colour_error(wrong), 0.5)) > 0.02


def test_depth_resized_stays_on_the_scene() -> None:
    small = CAMERA.scaled(width=80, height=60)  # an even factor: half a pixel beside
    points = coloured_points(
        resized_depth(SEEN.depth, width=80, height=60), np.zeros((60, 80, 3), np.uint8), small, PLACE
    )
    assert float(np.quantile(height_error(points), 0.95)) < 0.004


def test_mm_of_a_real_camera_make_the_same_scene() -> None:
    frame = np.rint(SEEN.depth * 1000.0).astype(np.uint16)
    points = coloured_points(depth_in_m(frame, units_per_m=1000.0), SEEN.picture, CAMERA, PLACE)
    assert float(np.max(height_error(points))) < 0.001


def test_pixels_without_depth_have_no_point() -> None:
    depth = SEEN.depth.copy()
    depth[:60], depth[60, 0], depth[60, 1] = 0.0, np.nan, -1.0
    assert len(coloured_points(depth, SEEN.picture, CAMERA, PLACE)) == 60 * 160 - 2


def test_frames_of_another_size_than_the_intrinsics_are_refused() -> None:
    half = CAMERA.scaled(width=80, height=60)
    for depth, picture, camera in (
        (SEEN.depth, SEEN.picture, half),
        (SEEN.depth[:60], SEEN.picture, CAMERA),
        (SEEN.depth, SEEN.picture[..., :1], CAMERA),
    ):
        with pytest.raises(FrameError, match="as the intrinsics are for"):
            coloured_points(depth, picture, camera, PLACE)
    with pytest.raises(FrameError, match="uint8 RGB"):
        coloured_points(SEEN.depth, SEEN.picture.astype(np.float32), CAMERA, PLACE)


def test_what_a_policy_gets_is_cropped_one_per_voxel_and_not_too_much() -> None:
    box = Workspace((-0.21, -0.35, 0.025), (0.23, 0.3, 0.4))
    assert CloudRules(most=9).workspace == box
    points = cloud_of(SEEN.depth, SEEN.picture, CAMERA, PLACE, CloudRules(most=1000))
    assert 50 < len(points) <= 1000
    assert len(box.crop(points)) == len(points)
    assert float(np.min(points[:, 2])) >= 0.025  # the table is gone, the ball is left
    assert float(np.max(height_error(points))) < 0.004  # the mean of a curved piece is a little inside
    assert len(np.unique(np.floor(points[:, :3].astype(np.float64) / 0.01), axis=0)) == len(points)
    assert len(cloud_of(SEEN.depth, SEEN.picture, CAMERA, PLACE, CloudRules(most=20))) == 20


def test_a_workspace_without_a_point_is_an_error_and_no_empty_cloud() -> None:
    rules = CloudRules(most=9, workspace=Workspace((5.0, 5.0, 5.0), (6.0, 6.0, 6.0)))
    with pytest.raises(
        FrameError, match=r"wanted points in the workspace .* got none of 19200; check the extrinsics"
    ):
        cloud_of(SEEN.depth, SEEN.picture, CAMERA, PLACE, rules)


def points_of(*places: tuple[float, float, float]) -> Points:
    return np.array([[*place, 0.5, 0.5, 0.5] for place in places], np.float32)


def test_points_on_the_faces_of_a_workspace_are_inside() -> None:
    box = Workspace((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    kept = box.crop(
        points_of((0.0, 1.0, 0.5), (1.0, 0.0, 1.0), (1.1, 0.5, 0.5), (0.5, -0.1, 0.5), (0.5, 0.5, 2.0))
    )
    assert kept[:, :3].tolist() == [[0.0, 1.0, 0.5], [1.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ((0.0, 0.0, 1.0), (1.0, 1.0, 0.0)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 0.0)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, math.inf)),
        ((math.nan, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ],
)
def test_a_workspace_that_is_none_is_refused(
    lower: tuple[float, float, float], upper: tuple[float, float, float]
) -> None:
    with pytest.raises(ConfigError, match="workspace: wanted finite x, y, z"):
        Workspace(lower, upper)


def test_a_voxel_is_the_mean_of_its_points_and_stands_still() -> None:
    pair = points_of((0.011, -0.011, 0.0), (0.019, -0.019, 0.008))
    pair[0, 3:], pair[1, 3:] = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    wanted = [0.015, -0.015, 0.004, 0.5, 0.5, 0.0]
    np.testing.assert_allclose(voxel_means(pair, 0.01), [wanted], rtol=1e-6)
    with_another = voxel_means(np.vstack((pair, points_of((-3.333, 2.777, 1.111)))), 0.01)
    assert len(with_another) == 2
    np.testing.assert_allclose(with_another[1], wanted, rtol=1e-6)


cloud = st.lists(st.tuples(*(st.floats(-0.5, 0.5, width=32) for _ in range(3))), min_size=1, max_size=40)


@given(cloud, st.sampled_from([0.01, 0.1, 0.25]))
def test_each_voxel_with_points_has_one_inside_it(
    places: list[tuple[float, float, float]], side: float
) -> None:
    points = points_of(*places)
    means = voxel_means(points, side)
    cells = {tuple(cell) for cell in np.floor(points[:, :3].astype(np.float64) / side).tolist()}
    assert len(means) == len(cells)
    assert np.isfinite(means).all()
    lower, upper = np.array(sorted(cells)) * side, (np.array(sorted(cells)) + 1.0) * side
    assert (means[:, :3] >= lower - 1e-6).all()
    assert (means[:, :3] <= upper + 1e-6).all()


def test_voxels_that_are_none_are_refused() -> None:
    for side in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="voxel: wanted a side above 0 m"):
            voxel_means(points_of((0.0, 0.0, 0.0)), side)
    with pytest.raises(ConfigError, match="crop the points to a workspace first"):
        voxel_means(points_of((0.0, 0.0, 0.0), (1e6, 0.0, 0.0)), 0.01)
    assert voxel_means(np.zeros((0, 6), np.float32), 0.01).shape == (0, 6)


@pytest.mark.parametrize(
    ("most", "wanted"), [(1, [0]), (3, [0, 3, 6]), (10, list(range(10))), (11, list(range(10)))]
)
def test_thinned_points_are_spread_over_all(most: int, wanted: list[int]) -> None:
    points = points_of(*((float(at), 0.0, 0.0) for at in range(10)))
    assert thinned(points, most)[:, 0].tolist() == wanted


def test_no_points_at_all_are_no_choice() -> None:
    with pytest.raises(ConfigError, match="points: wanted at least 1 point"):
        thinned(points_of((0.0, 0.0, 0.0)), 0)
