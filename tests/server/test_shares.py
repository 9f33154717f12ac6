"""Who gets the next piece of what all clients share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.server.fair_queue import HALF_LIFE_NS, MAX_CLIENTS, Allowance, Shares


def test_what_was_used_is_forgotten_by_halves() -> None:
    shares = Shares()
    shares.add("arm", 100, 0)
    assert shares.used_ns("arm", HALF_LIFE_NS) == pytest.approx(50)
    shares.add("arm", 100, HALF_LIFE_NS)
    assert shares.used_ns("arm", 2 * HALF_LIFE_NS) == pytest.approx(75)
    assert shares.used_ns("leg", 0) == 0


def test_clients_without_end_are_not_remembered() -> None:
    shares, allowance = Shares(), Allowance(burst=1, per_s=1.0)
    for number in range(MAX_CLIENTS + 10):
        shares.add(f"{number}", 1, 0)
        allowance.take(f"{number}", 0)
    assert len(shares) == len(allowance) == MAX_CLIENTS


def test_so_many_at_once_and_then_so_many_per_second() -> None:
    allowance = Allowance(burst=3, per_s=2.0)
    assert [allowance.take("arm", 0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert allowance.take("leg", 0)  # another client's is its own
    assert [allowance.take("arm", NS_PER_S) for _ in range(3)] == [True, True, False]
    assert [allowance.take("arm", 100 * NS_PER_S) for _ in range(4)] == [True] * 3 + [False]


@given(st.lists(st.integers(0, 2 * NS_PER_S), max_size=200))
def test_never_more_is_allowed_than_burst_and_rate(gaps_ns: list[int]) -> None:
    allowance, now_ns, taken = Allowance(burst=5, per_s=4.0), 0, 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        taken += allowance.take("arm", now_ns)
    assert taken <= 5 + now_ns / NS_PER_S * 4 + 1e-6
