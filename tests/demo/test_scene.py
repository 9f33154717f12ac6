"""What the simulated cameras show."""

from __future__ import annotations

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
from vagus.demo.scene import TARGET, TARGET_LIGHT, Scene
from vagus.types import Image

ASIDE = np.array([2.2, -0.7, 0.3, 0.0, 0.0, 0.0])
"""A posture that hides no target from either camera."""


def red_pixels(frame: Image) -> tuple[int, float, float]:
    """Return count, mean column and mean row of the pixels in the target's colours."""
    is_red = (frame == TARGET).all(-1) | (frame == TARGET_LIGHT).all(-1)
    rows, columns = np.nonzero(is_red)
    return rows.size, float(columns.mean()), float(rows.mean())


def targets(count: int) -> list[Floats]:
    generator = np.random.default_rng(5)
    return [random_target(generator) for _ in range(count)]


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.spec.name)
def test_a_target_is_seen_where_the_camera_projects_it_and_as_large(camera: Camera) -> None:
    scene = Scene()
    for target in targets(50):
        count, column, row = red_pixels(scene.draw(ASIDE, target)[camera.spec.name])
        where = camera.project(target)
        radius = TARGET_RADIUS_M * camera.focal_px / where[2]
        assert count == pytest.approx(np.pi * radius**2, rel=0.06)
        assert (column, row) == pytest.approx((where[0], where[1]), abs=0.6)


def test_colours_are_in_the_order_red_green_blue() -> None:
    target = targets(1)[0]
    camera = CAMERAS[0]
    frame = Scene().draw(ASIDE, target)[camera.spec.name]
    column, row, _ = np.rint(camera.project(target)).astype(int)
    red, green, blue = frame[row + 5, column + 5].tolist()
    assert red > 150 > max(green, blue)


def test_frames_have_the_size_of_their_spec_and_belong_to_the_caller() -> None:
    scene = Scene()
    first = scene.draw(HOME, targets(1)[0])
    kept = {name: frame.copy() for name, frame in first.items()}
    for camera in CAMERAS:
        frame = first[camera.spec.name]
        assert frame.shape == (camera.spec.height, camera.spec.width, 3)
        assert frame.dtype == np.uint8
        frame[:] = 0
    again = scene.draw(HOME, targets(1)[0])
    for name, frame in again.items():
        np.testing.assert_array_equal(frame, kept[name])


def test_the_arm_hides_what_is_behind_it_and_nothing_in_front_of_it() -> None:
    scene, camera = Scene(), CAMERAS[0]
    wrist = arm_points(HOME)[3]
    away = (wrist - camera.position) / np.linalg.norm(wrist - camera.position)
    behind, before = wrist + 0.1 * away, wrist - 0.1 * away
    shown = {
        place: int((scene.draw(HOME, target)[camera.spec.name] == TARGET).all(-1).sum())
        for place, target in (("behind", behind), ("before", before))
    }
    alone = int((scene.draw(ASIDE, before)[camera.spec.name] == TARGET).all(-1).sum())
    assert shown["before"] == alone
    assert shown["behind"] < 0.2 * alone


def test_a_camera_projects_along_its_rays() -> None:
    for camera in CAMERAS:
        for target in targets(20):
            column, row, _ = camera.project(target)
            away = target - camera.position
            np.testing.assert_allclose(camera.ray(column, row), away / np.linalg.norm(away), atol=1e-9)


def test_any_posture_can_be_drawn() -> None:
    scene = Scene()
    generator = np.random.default_rng(7)
    for target in targets(100):
        scene.draw(generator.uniform(LOWER, UPPER), target)


def test_a_small_camera_shows_the_same_scene() -> None:
    camera = CAMERAS[0]
    small = Camera.looking_at(
        type(camera.spec)("small", 60, 80), position=(1.35, -0.45, 0.6), at=(0.22, 0.0, 0.24), focal_px=87.5
    )
    target = targets(1)[0]
    frame = Scene([small]).draw(ASIDE, target)["small"]
    _, column, row = red_pixels(frame)
    assert (column, row) == pytest.approx(tuple(small.project(target)[:2]), abs=0.8)
