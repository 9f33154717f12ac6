"""Prices of requests, and when their answers leave, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.choice import Candidate
from vagus.server.priced_requests import KnownRequests, PricedDevice

MS = NS_PER_MS
TIMES_MS = (50.0, 80.0)
"""A row takes at least 40 ms, in a batch of two."""


def request(
    epoch: int, *, due_ms: int = 100, weight: float = 1.0, share: float = 0.0, gain_s: float = 0.4
) -> Candidate:
    return Candidate(
        epoch, 0, 0, due_ms * MS, weight=weight, share=share, rate_hz=20.0 if gain_s else 0.0, gain_s=gain_s
    )


def known(*requests: Candidate) -> KnownRequests:
    return KnownRequests.of(requests)


def test_an_answer_is_worth_the_actions_that_it_adds_and_a_weight_where_nobody_knows() -> None:
    values = known(request(1), request(2, weight=3.0), request(3, weight=3.0, gain_s=0.0)).value
    assert values.tolist() == [8.0, 24.0, 3.0]


@pytest.mark.parametrize(("robots", "price"), [(10, 0.0), (11, 8.0 / 40.0)])
def test_time_has_a_price_as_soon_as_there_is_not_enough(robots: int, price: float) -> None:
    """Each needs 40 ms of every 400."""
    requests = known(*(request(epoch) for epoch in range(robots)))
    assert PricedDevice.of(requests, TIMES_MS).price == pytest.approx(price)


def test_the_price_is_what_the_last_one_is_worth_that_is_still_served() -> None:
    requests = known(*(request(weight, weight=weight) for weight in range(1, 13)))
    assert PricedDevice.of(requests, TIMES_MS).price == pytest.approx(2 * 8 / 40), "the eleventh of twelve"
    assert PricedDevice.of(requests, (0.0, 0.0)).price == 0, "a device that takes no time"


def test_rows_leave_one_batch_after_the_other() -> None:
    device = PricedDevice.of(known(request(1)), TIMES_MS)
    left_ns = device.leave_ns(np.arange(-2, 5), 5)
    assert left_ns.tolist() == [0, 0, 80 * MS, 80 * MS, 160 * MS, 160 * MS, 210 * MS]


def test_who_used_more_is_due_later_and_only_then() -> None:
    requests = known(request(1, due_ms=10, share=0.3), request(2, share=0.1), request(3, share=0.2))
    enough, scarce = PricedDevice.of(requests, TIMES_MS), PricedDevice(np.array([0, 50 * MS]), 50.0, 0.1)
    due_ns = enough.rows(requests, 0.2, 100 * MS).due_ns
    assert due_ns.tolist() == [100 * MS] * 3, "its slack is no shorter than others'"
    due_ns = scarce.rows(requests, 0.2, 100 * MS).due_ns
    assert due_ns.tolist() == [200 * MS, 100 * MS, 100 * MS], "and where it is scarce it is due later"


def test_a_row_is_late_from_its_due_time_on_by_what_it_could_play() -> None:
    requests = known(request(1), request(2, due_ms=300, gain_s=0.0))
    rows = PricedDevice.of(requests, TIMES_MS).rows(requests, 0.0, 0)
    left_ns = np.array([[50 * MS, 100 * MS, 200 * MS, NS_PER_S]])
    assert rows.late(left_ns) == pytest.approx(np.array([[0, 0, 2, 18], [0, 0, 0, 0.7]]))
    turned = rows.at(np.array([1, 0]))
    assert [one.epoch for one in turned.candidates] == [2, 1]
    assert turned.late(left_ns) == pytest.approx(rows.late(left_ns)[::-1])
