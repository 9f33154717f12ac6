"""Depth of the simulated arm is that of its geometry, to the rounding of a millimetre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vagus.demo.arm import (
    CAMERAS,
    HOME,
    LOWER,
    TARGET_RADIUS_M,
    UPPER,
    Camera,
    Floats,
    arm_points,
    random_target,
)
from vagus.demo.depth import DEPTH_CAMERA, DEPTH_SPEC, MAX_RANGE_M, DepthScene
from vagus.demo.scene import ENDS, LIMBS, TARGET, TARGET_LIGHT, Scene
from vagus.types import DepthImage

AWAY = np.array([0.0, 0.0, -9.0])
"""A place of the target where no camera sees it."""
HALF_UNIT_M = 0.5 / DEPTH_SPEC.units_per_m


def points_of(frame: DepthImage, camera: Camera = DEPTH_CAMERA) -> Floats:
    """Return the measured points, (n, 3), in the world: a pinhole turned round, pixel by pixel."""
    rows, columns = np.nonzero(frame)
    ahead = frame[rows, columns] / DEPTH_SPEC.units_per_m
    x = (columns - (camera.spec.width - 1) / 2) / camera.focal_px
    y = (rows - (camera.spec.height - 1) / 2) / camera.focal_px
    local = np.stack([x, y, np.ones_like(x)], axis=-1) * ahead[:, None]
    world: Floats = local @ camera.rotation + camera.position
    return world


def distance_to_scene(points: Floats, joints: Floats, target: Floats) -> Floats:
    """Return how far each point is from the floor, the ball, or the nearest of a thousand balls per limb."""
    ends = arm_points(joints)
    distance = np.minimum(
        np.abs(points[:, 2]), np.abs(np.linalg.norm(points - target, axis=1) - TARGET_RADIUS_M)
    )
    for first, last, first_m, last_m, _ in LIMBS:
        share = np.linspace(0.0, 1.0, 1000)[:, None]
        centres = ends[ENDS[first]] * (1 - share) + ends[ENDS[last]] * share
        radii = (first_m * (1 - share) + last_m * share)[:, 0]
        near = np.min(
            [np.linalg.norm(points - c, axis=1) - r for c, r in zip(centres, radii, strict=True)], axis=0
        )
        distance = np.minimum(distance, np.abs(near))
    return distance


def postures(count: int) -> list[tuple[Floats, Floats]]:
    generator = np.random.default_rng(11)
    return [(generator.uniform(LOWER, UPPER), random_target(generator)) for _ in range(count)]


def test_the_floor_is_where_a_ray_meets_it() -> None:
    frame = DepthScene().measure(np.array([2.4, 1.7, 0.0, 0.0, 0.0, 0.0]), AWAY)
    row, column = 230, 300
    ray = DEPTH_CAMERA.ray(column, row)
    meets = DEPTH_CAMERA.position + ray * (DEPTH_CAMERA.position[2] / -ray[2])
    assert meets[2] == pytest.approx(0.0)
    assert frame[row, column] / 1000 == pytest.approx(DEPTH_CAMERA.project(meets)[2], abs=HALF_UNIT_M)


def test_the_ball_is_nearer_than_its_centre_by_its_radius() -> None:
    target = np.array([0.4, 0.1, 0.3])
    frame = DepthScene().measure(np.array([2.4, -0.8, 0.0, 0.0, 0.0, 0.0]), target)
    column, row, ahead = DEPTH_CAMERA.project(target)
    measured = frame[round(row), round(column)] / 1000
    assert measured == pytest.approx(ahead - TARGET_RADIUS_M, abs=2e-3)


@pytest.mark.parametrize("number", range(4))
def test_every_measured_point_lies_on_a_surface(number: int) -> None:
    joints, target = postures(4)[number]
    frame = DepthScene().measure(joints, target)
    points = points_of(frame)[::37]
    assert len(points) > 500
    slant = 4.0  # a point moves along its ray, which is up to so much longer than its depth ahead is deep
    assert np.max(distance_to_scene(points, joints, target)) <= slant * HALF_UNIT_M + 1e-4


@pytest.mark.parametrize("number", range(4))
def test_nothing_stands_between_the_camera_and_what_it_measures(number: int) -> None:
    """Points a little before the measured ones are outside of everything."""
    joints, target = postures(4)[number]
    points = points_of(DepthScene().measure(joints, target))[::41]
    ends = arm_points(joints)
    for back_m in (0.005, 0.05, 0.3):
        towards = DEPTH_CAMERA.position - points
        before = points + towards / np.linalg.norm(towards, axis=1)[:, None] * back_m
        assert (before[:, 2] > 0).all()
        assert (np.linalg.norm(before - target, axis=1) > TARGET_RADIUS_M).all()
        for first, last, first_m, last_m, _ in LIMBS:
            for share in np.linspace(0.0, 1.0, 60):
                centre = ends[ENDS[first]] * (1 - share) + ends[ENDS[last]] * share
                assert (
                    np.linalg.norm(before - centre, axis=1) > first_m * (1 - share) + last_m * share
                ).all()


def test_it_sees_what_the_colour_camera_at_its_place_sees() -> None:
    """A pixel of the ball in colour is as far as the ball, at half the resolution."""
    (front,) = (camera for camera in CAMERAS if camera.spec.name == "front")
    assert np.array_equal(front.position, DEPTH_CAMERA.position)
    joints, target = np.array([2.2, -0.7, 0.3, 0.0, 0.0, 0.0]), np.array([0.35, -0.1, 0.2])
    picture = Scene().draw(joints, target)["front"]
    is_ball = ((picture == TARGET) | (picture == TARGET_LIGHT)).all(-1).reshape(240, 2, 320, 2).all((1, 3))
    ahead = DEPTH_CAMERA.project(target)[2]
    depth = DepthScene().measure(joints, target)[is_ball] / 1000
    assert depth.size > 100
    assert ((ahead - TARGET_RADIUS_M - 1e-3 <= depth) & (depth <= ahead + 1e-3)).all()


def test_what_is_too_far_away_is_not_measured() -> None:
    level = Camera.looking_at(DEPTH_CAMERA.spec, position=(0.0, 0.0, 1.0), at=(9.0, 0.0, 1.0), focal_px=350.0)
    frame = DepthScene(level).measure(np.array([2.4, -0.8, 0.0, 0.0, 0.0, 0.0]), AWAY)
    assert not frame[:120].any(), "above the horizon there is nothing"
    floor = frame[frame > 0]
    assert floor.size
    assert np.max(floor) <= MAX_RANGE_M * 1000
    assert not frame[150].any(), "the floor there is more than four metres away"


def test_the_unit_is_that_of_the_spec() -> None:
    fine = DepthScene(spec=replace(DEPTH_SPEC, units_per_m=10_000.0)).measure(HOME, AWAY)
    coarse = DepthScene().measure(HOME, AWAY)
    assert np.abs(fine / 10 - coarse).max() <= 0.5


@pytest.mark.parametrize("ahead_m", [-0.5, -0.03, 0.01])
def test_what_is_behind_the_lens_or_around_it_is_not_measured(ahead_m: float) -> None:
    behind = DEPTH_CAMERA.position + ahead_m * DEPTH_CAMERA.rotation[2]
    scene = DepthScene()
    assert np.array_equal(scene.measure(HOME, behind), scene.measure(HOME, AWAY))
