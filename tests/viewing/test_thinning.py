from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.viewing.description import Curve
from vagus.viewing.thinning import evenly, thinned


def curve_of(values: list[float]) -> Curve:
    return Curve(np.arange(len(values), dtype=np.float64), np.array(values, np.float64))


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=400),
    st.integers(8, 60),
)
def test_peaks_gaps_and_ends_stay_and_the_number_is_bounded(values: list[float], most: int) -> None:
    whole = curve_of(values)
    thin = thinned(whole, most)
    assert len(thin) <= most
    assert (thin.times_s[0], thin.times_s[-1]) == (whole.times_s[0], whole.times_s[-1])
    assert (np.diff(thin.times_s) > 0).all()
    assert np.array_equal(thin.values, whole.values[thin.times_s.astype(int)], equal_nan=True)
    finite = [value for value in values if not math.isnan(value)]
    kept = [value for value in thin.values.tolist() if not math.isnan(value)]
    assert [min(kept), max(kept)] == [min(finite), max(finite)] if finite else not kept
    assert np.isnan(thin.values).any() == np.isnan(whole.values).any()


def test_a_spike_of_one_sample_in_an_hour_is_still_there() -> None:
    values = np.zeros(180_000)
    values[123_457], values[77_777] = 9.0, np.nan
    thin = thinned(Curve(np.arange(180_000) / 50, values), 4000)
    assert thin.times_s[thin.values == 9.0].tolist() == [123_457 / 50]
    assert thin.times_s[np.isnan(thin.values)].tolist() == [77_777 / 50]


def test_a_short_curve_is_left_alone() -> None:
    whole = curve_of([1.0, 2.0, 3.0])
    assert thinned(whole, 8) is whole


def test_items_are_chosen_evenly_with_both_ends() -> None:
    assert evenly(range(101), 5) == (0, 25, 50, 75, 100)
    assert evenly("ab", 5) == ("a", "b")
    assert evenly(range(9), 1) == (0,)
    assert evenly((), 3) == ()
