"""A bounded queue with one thread behind it."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from vagus.server.spool import Spool

PATIENCE_S = 10.0


def nothing() -> None:
    """Nobody counts."""


def test_items_are_worked_on_in_order_and_what_waits_is_done_before_the_end() -> None:
    done: list[int] = []
    spool: Spool[int] = Spool("s", done.append, capacity=100, on_drop=nothing, on_error=nothing)
    for number in range(50):
        assert spool.put(number)
    spool.start()
    spool.stop(PATIENCE_S)
    assert done == list(range(50))


def test_what_does_not_fit_is_dropped_and_counted_without_waiting() -> None:
    counts: Counter[str] = Counter()
    spool: Spool[int] = Spool(
        "s", lambda _: None, capacity=2, on_drop=lambda: counts.update(["drop"]), on_error=nothing
    )
    assert [spool.put(n) for n in range(5)] == [True, True, False, False, False]
    assert counts["drop"] == 3
    spool.stop(PATIENCE_S)


def test_a_failure_costs_its_item_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    counts: Counter[str] = Counter()
    done: list[int] = []

    def work(number: int) -> None:
        if number % 2:
            raise OSError("no space left")
        done.append(number)

    spool = Spool("s", work, capacity=10, on_drop=nothing, on_error=lambda: counts.update(["error"]))
    spool.start()
    for number in range(6):
        spool.put(number)
    spool.stop(PATIENCE_S)
    assert done == [0, 2, 4]
    assert counts["error"] == 3
    assert len(caplog.records) == 1


def test_a_spool_that_is_stuck_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    release, entered = threading.Event(), threading.Event()

    def work(_: int) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    spool: Spool[int] = Spool("s", work, capacity=1, on_drop=nothing, on_error=nothing)
    spool.start()
    spool.put(1)
    assert entered.wait(PATIENCE_S)
    spool.put(2)
    spool.stop(0.01)
    assert "stuck" in caplog.text
    release.set()
