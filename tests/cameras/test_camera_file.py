"""Files of intrinsics and extrinsics: their forms, the frame they lead to, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vagus.cameras.camera import Intrinsics
from vagus.cameras.camera_file import load_extrinsics, load_intrinsics
from vagus.errors import ConfigError

PINHOLE = {"width": 640, "height": 480, "fx": 600, "fy": 590.0, "cx": 319.5, "cy": 239.5}
MATRIX = {"width": 640, "height": 480, "matrix": [[600, 0, 319.5], [0, 590, 239.5], [0, 0, 1]]}
OFFSET = (-0.3, -0.1, 0.02)
NO_OFFSET = (0.0, 0.0, 0.0)
QUARTER = [[0, -1, 0, 0.5], [1, 0, 0, 0.25], [0, 0, 1, 0.125], [0, 0, 0, 1]]


def written(folder: Path, content: object, name: str = "camera.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("content", [PINHOLE, MATRIX])
def test_intrinsics_as_numbers_or_as_a_matrix(tmp_path: Path, content: dict[str, object]) -> None:
    wanted = Intrinsics(width=640, height=480, fx=600.0, fy=590.0, cx=319.5, cy=239.5)
    assert load_intrinsics(written(tmp_path, content)) == wanted


def test_yaml_is_read_too(tmp_path: Path) -> None:
    text = "width: 640\nheight: 480\nfx: 600\nfy: 590\ncx: 319.5\ncy: 239.5\n"
    assert load_intrinsics(written(tmp_path, text, "camera.yaml")) == load_intrinsics(
        written(tmp_path, PINHOLE)
    )


def test_extrinsics_from_the_base_are_moved_into_the_workspace(tmp_path: Path) -> None:
    place = load_extrinsics(written(tmp_path, {"matrix": QUARTER}), OFFSET)
    np.testing.assert_allclose(place.translation, [0.2, 0.15, 0.145])
    np.testing.assert_allclose(place.rotation @ [1, 0, 0], [0, 1, 0])
    stated = load_extrinsics(written(tmp_path, {"matrix": QUARTER, "frame": "base"}), OFFSET)
    np.testing.assert_array_equal(stated.translation, place.translation)


def test_extrinsics_of_the_workspace_stay(tmp_path: Path) -> None:
    place = load_extrinsics(written(tmp_path, {"matrix": QUARTER, "frame": "workspace"}), OFFSET)
    np.testing.assert_allclose(place.translation, [0.5, 0.25, 0.125])


def test_extrinsics_as_a_translation_and_an_axis_angle(tmp_path: Path) -> None:
    content = {"translation": [0.5, 0.25, 0.125], "axis_angle": [0, 0, math.pi / 2]}
    place = load_extrinsics(written(tmp_path, content), NO_OFFSET)
    same = load_extrinsics(written(tmp_path, {"matrix": QUARTER}), NO_OFFSET)
    np.testing.assert_allclose(place.rotation, same.rotation, atol=1e-15)
    np.testing.assert_allclose(place.translation, same.translation)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"width": 640, "height": 480}, "wanted either matrix .* got neither"),
        ({**PINHOLE, "matrix": MATRIX["matrix"]}, "got matrix, fx, fy, cx, cy"),
        ({key: PINHOLE[key] for key in ("width", "height", "fx")}, "wanted either matrix .* got fx"),
        ({key: PINHOLE[key] for key in ("fx", "fy", "cx", "cy")}, "missing required field `width`"),
        ({**PINHOLE, "fx": "600"}, r"Expected `float \| null`, got `str`"),
        ({**PINHOLE, "distortion": [0, 0]}, "wanted settings among .*, got distortion"),
        ({**MATRIX, "matrix": [[1, 2], [3]]}, r"wanted rows of one length, got rows of \[2, 1\]"),
        ({**MATRIX, "matrix": [[600, 1, 1], [0, 590, 1], [0, 0, 1]]}, r"wanted \[\[fx, 0, cx\]"),
        ({**PINHOLE, "width": 320, "height": 240}, "these may be the intrinsics of another size"),
        ([1, 2], "wanted a table of settings"),
        ("{", "wanted valid JSON"),
    ],
)
def test_what_are_no_intrinsics_is_refused(tmp_path: Path, content: object, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        load_intrinsics(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({}, "wanted either matrix .* got neither"),
        ({"translation": [0, 0, 0]}, "got translation"),
        ({"matrix": QUARTER, "axis_angle": [0, 0, 0]}, "got matrix, axis_angle"),
        ({"matrix": QUARTER, "frame": "world"}, "frame: wanted base or workspace, got 'world'"),
        ({"matrix": QUARTER[:3]}, r"wanted a matrix \(4, 4\)"),
        ({"matrix": np.diag([1, 1, -1, 1]).tolist()}, "a mirror image"),
        ({"translation": [0, 0, 500], "axis_angle": [0, 0, 0]}, "if these are mm, divide them by 1000"),
        ({"translation": [0, 0], "axis_angle": [0, 0, 0]}, "a translation of 3 finite numbers"),
        ({"translation": [0, 0, 0], "axis_angle": [0, 0, 180]}, "wanted an axis times its angle in rad"),
    ],
)
def test_what_are_no_extrinsics_is_refused(tmp_path: Path, content: object, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        load_extrinsics(written(tmp_path, content), NO_OFFSET)


def test_no_file_is_named(tmp_path: Path) -> None:
    for load in (load_intrinsics, lambda path: load_extrinsics(path, NO_OFFSET)):
        with pytest.raises(ConfigError, match=r"wanted a file, got .*camera.json: No such file"):
            load(tmp_path / "camera.json")
