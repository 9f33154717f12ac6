from __future__ import annotations

import numpy as np

from vagus.viewing.description import StateBand
from vagus.viewing.spans import bands_of, for_drawing


def test_equal_neighbours_are_one_band_that_ends_where_the_next_begins() -> None:
    bands = list(bands_of("motion", ["waiting", "playing", "playing", "fallback"], np.array([0.0, 1, 2, 3])))
    assert bands == [
        StateBand("motion", "waiting", 0.0, 1.0),
        StateBand("motion", "playing", 1.0, 3.0),
        StateBand("motion", "fallback", 3.0, 3.0),
    ]


def test_no_state_is_no_band() -> None:
    assert list(bands_of("limit", [None, "jerk", None], np.array([0.0, 1, 2]))) == [
        StateBand("limit", "jerk", 1.0, 2.0)
    ]
    assert not list(bands_of("limit", [], np.array([])))


def test_bands_for_a_drawing_are_few_and_lose_no_state() -> None:
    flapping = [
        StateBand("motion", "fallback" if k % 2 else "playing", k * 0.1, (k + 1) * 0.1) for k in range(20_000)
    ]
    drawn = for_drawing([*flapping, StateBand("motion", "stopped", 2000.0, 2000.0)], 1.0)
    assert [band.state for band in drawn] == ["playing", "fallback", "stopped"]
    assert drawn[2].end_s - drawn[2].begin_s == 1.0


def test_bands_with_a_gap_that_can_be_seen_stay_apart_and_the_good_ones_are_drawn_first() -> None:
    bands = [
        StateBand("link", "dead", 0.0, 5.0),
        StateBand("link", "streaming", 5.0, 9.0),
        StateBand("link", "dead", 9.0, 12.0),
    ]
    assert for_drawing(bands, 1.0) == (bands[1], bands[0], bands[2])
