from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.sampling import percentile, turns


def test_contestants_take_turns_and_none_always_follows_the_same_one() -> None:
    assert "".join(turns("ABC", 3)) == "ABCBCACAB"


def test_everybody_has_as_many_turns() -> None:
    assert set(Counter(turns("ABCD", 7)).values()) == {7}


def test_percentiles_interpolate() -> None:
    assert percentile([1.0, 2.0, 3.0], 50) == pytest.approx(2.0)
    assert percentile([0.0, 1.0], 99) == pytest.approx(0.99)
