"""How full servers are, and how sessions that come spread over them."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.wire.fill import Fill, emptiest, fills, pick, water_filled
from vagus.wire.schema import Load

LOADS = st.lists(
    st.builds(
        Load,
        sessions=st.integers(0, 300),
        max_sessions=st.integers(0, 300),
        demand=st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 3),
    ),
    min_size=1,
    max_size=6,
)


def test_without_a_demand_the_sessions_count() -> None:
    one, two = fills([Load(sessions=3, max_sessions=8), Load(max_sessions=4)])
    assert one == Fill(used=3.0, capacity=8.0, places=5, one=1.0)
    assert two == Fill(used=0.0, capacity=4.0, places=4, one=1.0)
    assert one.level == 3 / 8


def test_with_a_demand_the_device_counts_and_an_empty_server_is_expected_to_need_as_much() -> None:
    one, two = fills([Load(sessions=4, max_sessions=8, demand=0.8), Load(max_sessions=9)])
    assert one == Fill(used=0.8, capacity=1.0, places=4, one=0.2)
    assert two == Fill(used=0.0, capacity=1.0, places=9, one=0.2)


@pytest.mark.parametrize("demand", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_a_demand_that_means_nothing_or_that_one_does_not_say_counts_for_none(demand: float) -> None:
    known = fills(
        [Load(sessions=4, max_sessions=8, demand=0.8), Load(sessions=4, max_sessions=8, demand=demand)]
    )
    assert [one.level for one in known] == [0.5, 0.5]


def test_arrivals_fill_the_emptier_ones_first() -> None:
    loads = [Load(sessions=n, max_sessions=100) for n in (10, 60, 0)]
    assert water_filled(fills(loads), 5) == pytest.approx([0, 0, 5])
    assert water_filled(fills(loads), 20) == pytest.approx([5, 0, 15])
    assert water_filled(fills(loads), 140) == pytest.approx([60, 10, 70])


def test_a_server_with_twice_the_places_takes_twice_as_many() -> None:
    assert water_filled(fills([Load(max_sessions=10), Load(max_sessions=20)]), 9) == pytest.approx([3, 6])


def test_what_finds_no_place_is_left_out() -> None:
    loads = [
        Load(sessions=9, max_sessions=10),
        Load(sessions=2, max_sessions=4),
        Load(sessions=3, max_sessions=2),
    ]
    assert water_filled(fills(loads), 50) == [1, 2, 0]
    assert water_filled([], 3) == []


@given(LOADS, st.floats(0, 400))
def test_nobody_gets_more_than_its_places_and_nothing_is_lost(loads: list[Load], arriving: float) -> None:
    servers = fills(loads)
    taken = water_filled(servers, arriving)
    assert all(0 <= got <= server.places for got, server in zip(taken, servers, strict=True))
    assert sum(taken) == pytest.approx(min(arriving, sum(server.places for server in servers)), abs=1e-3)


@given(LOADS, st.floats(0.1, 400))
def test_whoever_gets_one_is_no_fuller_in_the_end_than_who_gets_none(
    loads: list[Load], arriving: float
) -> None:
    servers = fills(loads)
    taken = water_filled(servers, arriving)
    after = [(s.used + got * s.one) / s.capacity for got, s in zip(taken, servers, strict=True)]
    highest = max((level for level, got in zip(after, taken, strict=True) if got > 0), default=0.0)
    for level, got, server in zip(after, taken, servers, strict=True):
        if got < server.places:
            assert level >= highest - 1e-6 * max(highest, 1) - 1e-3 * server.one


def test_a_pick_is_as_likely_as_its_weight() -> None:
    draw = random.Random(5).random
    counts = Counter(pick([1, 0, 3], draw) for _ in range(4000))
    assert counts[1] == 0
    assert 2700 < counts[2] < 3300


def test_without_weights_all_are_equal() -> None:
    draw = random.Random(5).random
    assert {pick([0, 0, 0], draw) for _ in range(60)} == {0, 1, 2}


@pytest.mark.parametrize("drawn", [0.0, 0.5, 1 - 2**-53])
def test_no_draw_picks_what_has_no_weight(drawn: float) -> None:
    assert pick([0, 0.1, 0.7, 0], lambda: drawn) in (1, 2)
    assert pick([0.0] * 3, lambda: drawn) in (0, 1, 2)


def test_the_emptiest_of_two_is_the_one_with_room() -> None:
    draw = random.Random(5).random
    loads = [Load(sessions=3, max_sessions=9), Load(sessions=2, max_sessions=9)]
    assert {emptiest(loads, draw) for _ in range(20)} == {1}
    assert {emptiest([loads[0]] * 2, draw) for _ in range(60)} == {0, 1}
    assert {emptiest([Load(sessions=9, max_sessions=9), loads[0]], draw) for _ in range(20)} == {1}
