"""Depth in m, and units that cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import ConfigError, FrameError
from vagus.integrations.pointact.depth import depth_in_m

MM = np.array([[0, 500], [1000, 65535]], np.uint16)


def test_mm_become_m_and_nothing_measured_stays_0() -> None:
    depth = depth_in_m(MM, units_per_m=1000.0)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[0.0, 0.5], [1.0, 65.535]])


def test_a_camera_of_floats_marks_what_it_did_not_measure() -> None:
    frame = np.array([[np.nan, 0.5], [np.inf, -np.inf]], np.float32)
    assert depth_in_m(frame, units_per_m=1.0).tolist() == [[0.0, 0.5], [0.0, 0.0]]


def test_mm_taken_for_m_and_m_taken_for_mm_are_refused() -> None:
    with pytest.raises(FrameError, match="got 1000 m with 1 units per m; it seems that mm were taken for m"):
        depth_in_m(MM, units_per_m=1.0)
    with pytest.raises(FrameError, match=r"got 0.0005 m .* it seems that m were taken for mm"):
        depth_in_m(np.full((2, 2), 0.5), units_per_m=1000.0)


def test_a_few_wrong_pixels_are_no_wrong_unit() -> None:
    frame = np.full((10, 10), 400, np.uint16)
    frame[0] = 65535
    assert float(depth_in_m(frame, units_per_m=1000.0)[5, 5]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (np.zeros((4, 4, 3), np.uint8), "a picture of colours has no depth"),
        (np.ones((4, 4), np.uint8), "of uint16 or floats"),
        (np.ones((4, 4, 1), np.uint16), "of uint16 or floats"),
        (np.ones((4, 4), np.complex128), "of uint16 or floats"),
        (np.full((2, 2), -0.5), "wanted 0 for nothing measured, and above, got -0.5"),
        (np.zeros((2, 2), np.uint16), "at least one pixel with a depth, got none"),
        (np.zeros((0, 2), np.uint16), "at least one pixel with a depth, got none"),
        (np.full((2, 2), np.nan), "at least one pixel with a depth, got none"),
    ],
)
def test_a_frame_without_depth_is_refused(frame: np.ndarray, wanted: str) -> None:
    with pytest.raises(FrameError, match=wanted):
        depth_in_m(frame, units_per_m=1.0)


@pytest.mark.parametrize("units", [0.0, -1000.0, float("nan"), float("inf")])
def test_units_that_are_none_are_refused(units: float) -> None:
    with pytest.raises(ConfigError, match="depth units per m: wanted a number above 0"):
        depth_in_m(MM, units_per_m=units)
