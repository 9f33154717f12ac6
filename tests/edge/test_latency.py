from __future__ import annotations

from vagus.edge.latency import LatencyWindow


def test_before_the_first_round_trip_the_guess_counts() -> None:
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
