"""Intrinsics and extrinsics: scaled along with the picture, and refused where they cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError

MATRIX = [[600.0, 0.0, 319.5], [0.0, 590.0, 239.5], [0.0, 0.0, 1.0]]


def test_a_camera_matrix() -> None:
    camera = Intrinsics.from_matrix(MATRIX, width=640, height=480)
    assert camera == Intrinsics(width=640, height=480, fx=600.0, fy=590.0, cx=319.5, cy=239.5)


def test_each_axis_is_scaled_by_its_own_factor() -> None:
    small = Intrinsics.from_matrix(MATRIX, width=640, height=480).scaled(width=256, height=256)
    assert (small.width, small.height) == (256, 256)
    assert (small.fx, small.fy) == pytest.approx((600.0 * 0.4, 590.0 * 256 / 480))
    assert (small.cx, small.cy) == pytest.approx((127.5, 127.5))  # the middle stays the middle


def test_a_direction_stays_at_its_place_in_the_picture() -> None:
    camera = Intrinsics(width=640, height=480, fx=600.0, fy=590.0, cx=300.0, cy=200.0)
    small = camera.scaled(width=256, height=256)
    for slope in (-0.3, 0.0, 0.2):
        place = (slope * camera.fx + camera.cx + 0.5) / camera.width
        assert (slope * small.fx + small.cx + 0.5) / small.width == pytest.approx(place)
    again = small.scaled(width=640, height=480)
    assert (again.fx, again.fy, again.cx, again.cy) == pytest.approx((600.0, 590.0, 300.0, 200.0))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"width": 0}, "a size of 1 to 8192"),
        ({"height": 10_000}, "a size of 1 to 8192"),
        ({"fx": 0.0}, "focal lengths above 0"),
        ({"fy": float("nan")}, "focal lengths above 0"),
        ({"fy": float("inf")}, "focal lengths above 0"),
        ({"cx": 640.0}, "a centre in the middle of the picture .* another size of picture"),
        ({"cy": float("nan")}, "a centre in the middle of the picture"),
        ({"width": 320, "height": 240}, "a centre in the middle of the picture .* another size of picture"),
        ({"width": 1280, "height": 960}, "a centre in the middle of the picture .* another size of picture"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused(change: dict[str, float], wanted: str) -> None:
    plain = {"width": 640, "height": 480, "fx": 600.0, "fy": 590.0, "cx": 319.5, "cy": 239.5}
    with pytest.raises(ConfigError, match=f"intrinsics: wanted {wanted}"):
        Intrinsics(**{**plain, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(4),
        [[600.0, 1.0, 319.5], *MATRIX[1:]],
        [*MATRIX[:2], [0.0, 0.0, 2.0]],
        np.transpose(MATRIX),
        np.full((3, 3), np.nan),
    ],
)
def test_a_matrix_of_another_form_is_refused(matrix: object) -> None:
    with pytest.raises(ConfigError, match=r"intrinsics: wanted .*fx, 0, cx"):
        Intrinsics.from_matrix(matrix, width=640, height=480)


def placed(rotation: object, translation: list[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def test_a_matrix_of_extrinsics() -> None:
    turn = rotation_of([0.1, 0.2, 0.3])
    place = Extrinsics.from_matrix(placed(turn, [0.3, 0.0, 0.5]))
    np.testing.assert_array_equal(place.rotation, turn)
    assert place.translation.tolist() == [0.3, 0.0, 0.5]


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        (np.eye(3), "a matrix \\(4, 4\\)"),
        (placed(np.eye(3), [0.3, 0.0, 0.5]).T, "a matrix \\(4, 4\\)"),
        (placed(2.0 * np.eye(3), [0.0, 0.0, 0.0]), "a rotation matrix, .* right angles"),
        (placed(np.diag([1.0, 1.0, -1.0]), [0.0, 0.0, 0.0]), "a rotation matrix, .* mirror image"),
        (placed(np.eye(3), [np.inf, 0.0, 0.0]), "3 finite numbers"),
        (placed(np.eye(3), [300.0, 0.0, 500.0]), "at most 10 m away, .* mm, divide them by 1000"),
    ],
)
def test_extrinsics_that_cannot_be_right_are_refused(matrix: np.ndarray, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"extrinsics: wanted .*{wanted}"):
        Extrinsics.from_matrix(matrix)


def test_a_translation_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="a translation of 3 finite numbers"):
        Extrinsics(np.eye(3), np.zeros(2))
