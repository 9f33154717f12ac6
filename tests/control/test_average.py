"""The mean of the last targets never leaves what it is a mean of, and never mixes what lies apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.average import TargetAverage
from vagus.features import ActionFeature


def average(*ticks: int) -> TargetAverage:
    return TargetAverage([ActionFeature(f"j{at}", "rad", averaged_ticks=n) for at, n in enumerate(ticks)])


def test_each_action_is_averaged_over_its_own_ticks() -> None:
    mean = average(1, 2, 3)
    given_rows = [[0.0, 0.0, 0.0], [3.0, 3.0, 3.0], [6.0, 6.0, 6.0], [9.0, 9.0, 9.0]]
    got = [mean.advance(np.array(row)).tolist() for row in given_rows]
    assert got == [[0.0, 0.0, 0.0], [3.0, 1.5, 1.5], [6.0, 4.5, 3.0], [9.0, 7.5, 6.0]]


def test_a_mean_begins_anew_where_it_is_told_to_forget() -> None:
    mean = average(4)
    mean.advance(np.array([100.0]))
    mean.forget()
    assert mean.advance(np.array([1.0])).tolist() == [1.0]
    assert mean.advance(np.array([2.0])).tolist() == [1.5]


def test_what_is_not_finite_is_handed_on_for_the_limits_to_refuse_and_spoils_no_mean() -> None:
    mean = average(2)
    mean.advance(np.array([1.0]))
    assert np.isnan(mean.advance(np.array([np.nan]))).all()
    assert mean.advance(np.array([2.0])).tolist() == [1.5]


def test_without_an_average_a_target_is_not_even_copied() -> None:
    target = np.array([1.0, 2.0])
    assert average(1, 1).advance(target) is target


def test_a_target_that_its_maker_uses_again_changes_no_mean() -> None:
    mean, buffer = average(2), np.array([0.0])
    mean.advance(buffer)
    buffer[0] = 4.0
    assert mean.advance(buffer).tolist() == [2.0]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.integers(2, 9))
def test_a_mean_stays_within_its_targets_and_moves_no_faster_than_they_do(
    targets: list[float], ticks: int
) -> None:
    mean = average(ticks)
    means = [float(mean.advance(np.array([target]))[0]) for target in targets]
    assert min(targets) - 1e-12 <= min(means)
    assert max(means) <= max(targets) + 1e-12
    fastest = max((abs(b - a) for a, b in pairwise(targets)), default=0.0)
    assert all(abs(b - a) <= fastest + 1e-12 for a, b in pairwise(means))


@pytest.mark.parametrize("ticks", [2, 5])
def test_a_mean_of_a_ramp_lags_by_half_of_the_ticks_less_one(ticks: int) -> None:
    mean = average(ticks)
    last = [float(mean.advance(np.array([float(at)]))[0]) for at in range(30)][-1]
    assert last == pytest.approx(29.0 - (ticks - 1) / 2)
