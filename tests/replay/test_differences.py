"""Differences are told joint by joint, and nothing is compared that does not belong together."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import SpecError
from vagus.replay.differences import Differences


def test_the_largest_and_the_mean_difference_are_told_per_joint() -> None:
    differences = Differences(["a", "b"], ["rad", "m"])
    assert differences.add(np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [-3.0, 1.5]])) == 3.0
    assert differences.add(np.array([[0.0, 0.0]]), np.array([[0.0, -1.0]])) == 1.0
    a, b = differences.joints()
    assert (a.name, a.unit, a.max, a.rows) == ("a", "rad", 3.0, 3)
    assert a.mean == pytest.approx(4 / 3)
    assert (b.max, b.mean) == (1.0, 0.5)
    assert differences.largest == 3.0


def test_what_was_not_commanded_is_not_compared() -> None:
    differences = Differences(["a"], [""])
    assert differences.add(np.array([[np.nan], [1.0]]), np.array([[5.0], [np.nan]])) == 0.0
    (joint,) = differences.joints()
    assert (joint.max, joint.mean, joint.rows) == (0.0, 0.0, 0)


def test_nothing_compared_is_no_difference() -> None:
    differences = Differences(["a"], [""])
    assert differences.add(np.zeros((0, 1)), np.zeros((0, 1))) == 0.0
    assert differences.largest == 0.0


@pytest.mark.parametrize("other", [np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(1)])
def test_rows_of_another_shape_are_refused(other: np.ndarray) -> None:
    with pytest.raises(SpecError, match=r"wanted \(1, 1\)"):
        Differences(["a"], [""]).add(np.zeros((1, 1)), other)
