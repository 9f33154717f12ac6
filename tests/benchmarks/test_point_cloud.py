from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.point_cloud import RULES, run, seen


def test_without_open3d_it_says_so_and_measures_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    report = run(quick=True)
    assert [row[0] for row in report.tables[0].rows] == [
        "numpy, 256×256 pixels",
        "frames to points, 640×480 to 256×256",
    ]
    assert "Open3D is not measured" in report.to_markdown()
    left = {int(row[-1]) for row in report.tables[0].rows}
    assert len(left) == 1  # the same points either way
    assert 100 < left.pop() <= RULES.most


def test_the_scene_is_one_that_a_sensor_could_see() -> None:
    picture, depth = seen()
    assert picture.shape == (480, 640, 3)
    assert 400 < float(np.median(depth)) < 650
    np.testing.assert_array_equal(depth, seen()[1])
