"""How long a batch takes: from the warm-up, and from what was served since."""

from __future__ import annotations

import math
from collections.abc import Hashable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.server.batch_profile import FORGET_AFTER, MAX_KEYS, BatchProfile
from vagus.wire.schema import LatencyRow

L40S = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}
H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1, 16: 175.0, 32: 341.0}


def rows(table: dict[int, float]) -> tuple[LatencyRow, ...]:
    return tuple(LatencyRow(batch_size=size, p50_ms=ms, max_ms=1.1 * ms) for size, ms in table.items())


def test_it_starts_from_the_warm_up() -> None:
    profile = BatchProfile(rows(L40S))
    assert [profile.ms(size) for size in L40S] == list(L40S.values())
    assert profile.rows() == rows(L40S)


def test_a_size_between_two_lies_on_the_line_and_a_larger_one_on_the_last_line() -> None:
    profile = BatchProfile(rows(H200))
    assert profile.ms(6) == pytest.approx((53.4 + 94.1) / 2)
    assert profile.ms(48) == pytest.approx(341 + (341 - 175))
    assert BatchProfile(rows({4: 100.0})).ms(2) == 100
    assert BatchProfile(rows({4: 100.0})).ms(8) == 100  # so that somebody tries


def test_without_a_warm_up_a_batch_takes_nothing_until_one_is_noted() -> None:
    profile = BatchProfile()
    assert profile.ms(3) == 0
    assert profile.rows() == ()
    profile.note(2, 50.0)
    assert profile.ms(2) == 50


@pytest.mark.parametrize("factor", [3, 1 / 3])
@pytest.mark.parametrize("served", [(8,), (1,), (4, 8, 2, 8), (16, 7, 7)])
def test_a_profile_that_is_wrong_by_three_is_right_within_thirty_requests(
    factor: float, served: tuple[int, ...]
) -> None:
    profile = BatchProfile(rows({size: ms * factor for size, ms in H200.items()}))
    truth = BatchProfile(rows(H200))
    requests = 0
    while requests + served[0] <= 30:
        for size in served:
            profile.note(size, truth.ms(size))
            requests += size
            if requests >= 30:
                break
    for size in range(1, 33):
        assert profile.ms(size) == pytest.approx(truth.ms(size), rel=0.15), size


def test_a_single_outlier_changes_no_prediction() -> None:
    profile = BatchProfile(rows(L40S))
    profile.note(3, 5_000.0)
    assert [profile.ms(size) for size in L40S] == list(L40S.values())
    for _ in range(5):
        profile.note(3, 150.0)
    profile.note(3, 5_000.0)
    assert profile.ms(3) == 150
    assert profile.ms(1) == pytest.approx(73 * 150 / 142.4)


def test_the_slowest_batch_of_late_is_told() -> None:
    profile = BatchProfile(rows(L40S))
    profile.note(3, 900.0)
    assert [row.max_ms for row in profile.rows() if row.batch_size == 3] == [900]


def test_what_was_not_served_for_long_follows_what_is_served_now() -> None:
    profile = BatchProfile(rows(L40S))
    for _ in range(5):
        profile.note(1, 500.0)
    for _ in range(FORGET_AFTER + 1):
        profile.note(5, 211.1)
    assert profile.ms(1) == pytest.approx(73)


def test_a_key_has_times_of_its_own_and_an_unknown_key_those_of_all() -> None:
    profile = BatchProfile(rows(L40S))
    for _ in range(4):
        profile.note(2, 109.8, "short")
        profile.note(2, 219.6, "long")
    assert profile.ms(2, "short") == pytest.approx(109.8)
    assert profile.ms(2, "long") == pytest.approx(219.6)
    assert profile.ms(1, "long") == pytest.approx(146)
    assert 109.8 <= profile.ms(2, "never seen") <= 219.6


def test_a_new_key_begins_where_all_are() -> None:
    profile = BatchProfile(rows(L40S))
    for _ in range(9):
        profile.note(3, 3 * 142.4)
    profile.note(3, 3 * 142.4, "fresh")
    assert profile.ms(1, "fresh") == pytest.approx(3 * 73)


def test_the_key_that_was_used_longest_ago_is_forgotten() -> None:
    profile = BatchProfile(rows(L40S))
    for key in range(MAX_KEYS + 1):
        for _ in range(9):
            profile.note(1, 73.0 if key else 730.0, key)
    assert profile.ms(1, 0) == 73


@pytest.mark.parametrize(("size", "ms"), [(0, 1.0), (1, math.nan), (1, math.inf), (2, -1.0)])
def test_what_no_batch_can_be_is_refused(size: int, ms: float) -> None:
    profile = BatchProfile(rows(L40S))
    with pytest.raises(ValueError, match="wanted at least 1 row and a time in ms"):
        profile.note(size, ms)
    assert profile.rows() == rows(L40S)


times = st.floats(0, 1e6)
notes = st.lists(st.tuples(st.integers(1, 12), times, st.sampled_from([None, "a", "b"])), max_size=60)


@given(warm_up=st.dictionaries(st.integers(1, 12), times, max_size=6), noted=notes)
def test_more_rows_never_take_less_time(
    warm_up: dict[int, float], noted: list[tuple[int, float, Hashable]]
) -> None:
    profile = BatchProfile(rows(warm_up))
    for size, ms, key in noted:
        profile.note(size, ms, key)
    for key in (None, "a", "b", "c"):
        predicted = [profile.ms(size, key) for size in range(1, 20)]
        assert all(math.isfinite(ms) and ms >= 0 for ms in predicted)
        assert all(b >= a * (1 - 1e-9) for a, b in pairwise(predicted)), predicted
