"""A bounded queue with one thread behind it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from vagus.clock import MonotonicClock
from vagus.server.background_queue import BackgroundQueue, QueueLimits
from vagus.threads import Threads

PATIENCE_S = 10.0


def nothing(_: str) -> None:
    """Nobody counts."""


def threads() -> Threads:
    return Threads(MonotonicClock())


def limits(*counts: int, max_bytes: int = 1000) -> QueueLimits:
    return QueueLimits(counts, max_bytes)


def test_items_are_worked_on_in_order_and_what_waits_is_done_before_the_end() -> None:
    done: list[int] = []
    background: BackgroundQueue[int] = BackgroundQueue(
        "s", done.append, threads=threads(), limits=limits(100), on_lost=nothing
    )
    for number in range(50):
        assert background.put(number)
    background.start()
    background.stop(PATIENCE_S)
    assert done == list(range(50))


def test_what_does_not_fit_is_dropped_and_counted_without_waiting() -> None:
    counts: Counter[str] = Counter()
    background: BackgroundQueue[int] = BackgroundQueue(
        "s", lambda _: None, threads=threads(), limits=limits(2), on_lost=lambda why: counts.update([why])
    )
    assert [background.put(n) for n in range(5)] == [True, True, False, False, False]
    assert counts["full"] == 3
    background.stop(PATIENCE_S)


def test_a_failure_costs_its_item_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    counts: Counter[str] = Counter()
    done: list[int] = []

    def work(number: int) -> None:
        if number % 2:
            raise asyncio.CancelledError if number == 3 else OSError("no space left")
        done.append(number)

    background = BackgroundQueue(
        "s", work, threads=threads(), limits=limits(10), on_lost=lambda why: counts.update([why])
    )
    background.start()
    for number in range(6):
        background.put(number)
    background.stop(PATIENCE_S)
    assert done == [0, 2, 4]
    assert counts["error"] == 3
    assert len(caplog.records) == 1


def test_a_spool_that_is_stuck_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    release, entered = threading.Event(), threading.Event()

    def work(_: int) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    background: BackgroundQueue[int] = BackgroundQueue(
        "s", work, threads=threads(), limits=limits(2), on_lost=nothing
    )
    background.start()
    background.put(1)
    assert entered.wait(PATIENCE_S)
    background.put(2)
    background.stop(0.01)
    assert "stuck" in caplog.text
    release.set()


def test_a_lower_rank_overtakes_and_each_rank_has_its_own_room() -> None:
    done: list[str] = []
    background: BackgroundQueue[str] = BackgroundQueue(
        "s", done.append, threads=threads(), limits=limits(2, 2), on_lost=nothing
    )
    taken = [background.put(f"slow {number}", rank=1) for number in range(3)]
    taken += [background.put(f"quick {number}") for number in range(3)]
    assert taken == [True, True, False, True, True, False]
    background.start()
    background.stop(PATIENCE_S)
    assert done == ["quick 0", "quick 1", "slow 0", "slow 1"]


def test_what_waits_is_bounded_by_its_size_too_but_one_is_always_taken() -> None:
    background: BackgroundQueue[int] = BackgroundQueue(
        "s", lambda _: None, threads=threads(), limits=limits(9), on_lost=nothing
    )
    assert [background.put(1, size_bytes=size) for size in (5000, 1)] == [True, False]
