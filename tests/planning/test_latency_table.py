from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.planning.latency_table import LEAST_MS, check_table, measured_table, typed_table
from vagus.wire.schema import LatencyRow


def test_a_table_is_typed_in_any_order() -> None:
    assert typed_table(["4:53.4", "1:25.3", "2:34.4"]) == {1: 25.3, 2: 34.4, 4: 53.4}
    assert list(typed_table(["2:34.4", "1:25.3"])) == [1, 2]


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([], "the time of one row alone"),
        (["2:30", "4:50"], "the time of one row alone, 1:MS, got sizes 2, 4"),
        (["25.3"], "pairs SIZE:MS"),
        (["1=25"], "pairs SIZE:MS"),
        (["one:25"], "pairs SIZE:MS"),
        (["-1:25"], "pairs SIZE:MS"),
        (["1:25", "1:26"], "size 1 twice"),
        (["0:25"], "batch sizes from 1"),
        (["1:20", "999:25"], "batch sizes from 1"),
        (["1:0"], "milliseconds from"),
        (["1:-3"], "milliseconds from"),
        (["1:nan"], "milliseconds from"),
        (["1:inf"], "milliseconds from"),
        (["1:25ms"], "milliseconds from"),
        (["1:1e99"], "milliseconds from"),
        (["1:30", "2:25"], "30 ms for 1, 25 ms for 2"),
        (["1:30", "4:50"], "a gap from 1 to 4"),
        (["1:30", "2:40", "8:90"], "next size after 2 to be at most 4"),
    ],
)
def test_a_table_that_no_device_has_is_refused(entries: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=r"latency_ms: wanted .*, got ") as refusal:
        typed_table(entries)
    assert told in str(refusal.value)


def rows(*times_ms: float) -> list[LatencyRow]:
    return [LatencyRow(batch_size=n, p50_ms=ms, max_ms=2 * ms) for n, ms in enumerate(times_ms, 1)]


def test_a_measured_table_has_the_medians() -> None:
    assert measured_table(rows(20.0, 30.0), server="s") == {1: 20.0, 2: 30.0}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_what_was_measured_is_a_table_that_a_device_has(times_ms: list[float]) -> None:
    table = measured_table(rows(*times_ms), server="s")
    check_table(table, setting="s")
    assert list(table) == list(range(1, len(times_ms) + 1))
    assert min(table.values()) >= LEAST_MS


def test_a_server_without_a_profile_is_refused_by_its_name() -> None:
    with pytest.raises(
        ConfigError, match=r"the profile of cell-3: wanted inference times, got none; .*--latency-ms"
    ):
        measured_table([], server="cell-3")
