from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rig import MS
from vagus.edge.client.inflight import LatencyParts, LatencySum, LatencyWindow
from vagus.edge.config import DelayEstimate


def test_before_the_first_round_trip_the_guess_counts() -> None:
    assert LatencyWindow().windowed_ns == 0
    window = LatencyWindow(initial_ns=5)
    assert window.windowed_ns == 5
    assert window.newest_ns is None
    assert window.fastest_ns == 0  # a guess proves nothing


def test_the_worst_of_the_window_counts_and_the_guess_no_more() -> None:
    window = LatencyWindow(initial_ns=1000)
    for sample in (30, 50, 20):
        window.add(sample)
    assert window.windowed_ns == 50
    assert window.fastest_ns == 20
    assert window.newest_ns == 20


def test_one_spike_does_not_move_the_median() -> None:
    window = LatencyWindow(4, initial_ns=7)
    assert window.median_ns == 7
    for sample, median in ((30, 30), (900, 30), (40, 40), (50, 40), (60, 50)):
        window.add(sample)
        assert window.median_ns == median


@pytest.mark.parametrize(
    ("estimate", "wanted"),
    [
        (DelayEstimate.MAX, 100),
        (DelayEstimate.Q90, 90),
        (DelayEstimate.Q75, 80),
        (DelayEstimate.MEDIAN, 50),
        (DelayEstimate.LAST, 30),
    ],
)
def test_an_estimate_is_one_of_the_round_trips_in_the_window(estimate: DelayEstimate, wanted: int) -> None:
    window = LatencyWindow(initial_ns=7)
    assert window.estimate_ns(estimate) == 7
    for sample in (5000, 10, 20, 100, 40, 50, 60, 70, 80, 90, 30):
        window.add(sample)
    assert window.estimate_ns(estimate) == wanted
    assert window.windowed_ns == 100


SAMPLES = st.lists(st.integers(-(10**9), 10**12), max_size=25)
ESTIMATES = st.sampled_from(DelayEstimate)


def window_of(samples: list[int]) -> LatencyWindow:
    window = LatencyWindow(initial_ns=7)
    for sample in samples:
        window.add(sample)
    return window


@given(SAMPLES, ESTIMATES)
def test_no_estimate_is_longer_than_the_worst_or_shorter_than_the_best(
    samples: list[int], estimate: DelayEstimate
) -> None:
    window = window_of(samples)
    assert 0 <= window.fastest_ns <= window.estimate_ns(estimate) <= window.windowed_ns
    assert window.estimate_ns(DelayEstimate.MAX) == window.windowed_ns


@given(SAMPLES.filter(bool), ESTIMATES, st.data())
def test_a_longer_round_trip_makes_no_estimate_shorter(
    samples: list[int], estimate: DelayEstimate, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(samples) - 1))
    longer = samples.copy()
    longer[at] += data.draw(st.integers(0, 10**12))
    assert window_of(longer).estimate_ns(estimate) >= window_of(samples).estimate_ns(estimate)


@given(ESTIMATES, st.integers(0, 10**12))
def test_one_round_trip_is_every_estimate(estimate: DelayEstimate, sample: int) -> None:
    assert window_of([]).estimate_ns(estimate) == 7
    assert window_of([sample]).estimate_ns(estimate) == sample


def test_a_spike_ages_out_of_the_window() -> None:
    window = LatencyWindow(3)
    window.add(900)
    for _ in range(2):
        window.add(10)
        assert window.windowed_ns == 900
    window.add(10)
    assert window.windowed_ns == 10


def test_a_round_trip_is_never_negative() -> None:
    window = LatencyWindow()
    window.add(-5)
    assert window.windowed_ns == 0


def parts(total_ms: int, queue_ms: int = 0, decode_ms: int = 0, inference_ms: int = 0) -> LatencyParts:
    return LatencyParts.of(
        total_ms * MS, queue_ns=queue_ms * MS, decode_ns=decode_ms * MS, inference_ns=inference_ms * MS
    )


def test_what_the_server_does_not_account_for_is_the_network() -> None:
    wanted = {"total": 210.0, "network": 38.0, "queue": 50.0, "decode": 2.0, "inference": 120.0}
    assert parts(210, 50, 2, 120).as_ms == wanted
    assert LatencyParts(1_499, 0, 0, 0).as_ms["network"] == 0.001  # to the microsecond
    assert LatencyParts.of(5, queue_ns=0, decode_ns=-1, inference_ns=0) == LatencyParts(5, 0, 0, 0)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=4, max_size=4))
def test_the_parts_are_never_negative_and_make_up_the_whole(times: list[int]) -> None:
    made = LatencyParts.of(times[0], queue_ns=times[1], decode_ns=times[2], inference_ns=times[3])
    assert min(made.network_ns, made.queue_ns, made.decode_ns, made.inference_ns) >= 0
    assert made.total_ns == max(times[0], 0)


def test_the_mean_is_of_each_part() -> None:
    assert LatencySum().mean is None
    total = LatencySum()
    total.add(parts(100, 10, 0, 50))
    assert total.mean == parts(100, 10, 0, 50)
    total.add(parts(200, 30, 0, 70))
    assert total.newest == parts(200, 30, 0, 70)
    assert (total.count, total.mean) == (2, parts(150, 20, 0, 60))
