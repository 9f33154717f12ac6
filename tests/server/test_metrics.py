"""What the server counts and times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.server.metrics import BusyMeter, Histogram, ServerMetrics


def test_a_value_is_counted_in_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    assert histogram.counts == [2, 1, 1]
    assert histogram.total == 12.0


def test_a_copy_does_not_change_with_the_original() -> None:
    histogram = Histogram((1.0,))
    copy = histogram.copy()
    histogram.add(0.5)
    assert copy.counts == [0, 0]


def test_counters_are_kept_by_family_and_label() -> None:
    metrics = ServerMetrics()
    metrics.count("dropped", "misrouted")
    metrics.count("dropped", "misrouted", 2)
    metrics.observe("batch_size", 3)
    assert metrics.counter("dropped", "misrouted") == 3
    assert metrics.counter("dropped", "other") == 0
    assert metrics.counters()["dropped", "misrouted"] == 3
    assert sum(metrics.histograms()["batch_size"].counts) == 1


def test_the_busy_share_is_that_of_the_window_alone() -> None:
    meter = BusyMeter(100)
    assert meter.share(0) == 0.0
    meter.add(0, 50)
    assert meter.share(100) == 0.5
    assert meter.share(125) == 0.25
    assert meter.share(151) == 0.0
    meter.add(200, 400)
    assert meter.share(400) == 1.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=50))
def test_the_busy_share_is_a_share(spans: list[tuple[int, int]]) -> None:
    meter, now_ns = BusyMeter(100), 0
    for pause_ns, busy_ns in spans:
        begin_ns = now_ns + pause_ns
        now_ns = begin_ns + busy_ns
        meter.add(begin_ns, now_ns)
        assert 0.0 <= meter.share(now_ns) <= 1.0
