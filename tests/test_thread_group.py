"""Threads that last as long as their server."""

from __future__ import annotations

import asyncio
import threading

import pytest

from vagus.clock import NS_PER_S
from vagus.threads import INTERVAL_NS, Threads

PATIENCE_S = 10.0
FAILURES = (ValueError("x"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit())


class HandClock:
    def __init__(self) -> None:
        self.time_ns = NS_PER_S

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")


def ended(threads: Threads, name: str, failure: BaseException | None) -> str:
    def work() -> None:
        if failure is not None:
            raise failure

    thread = threads.make(name, work)
    thread.start()
    thread.join(PATIENCE_S)
    return threads.ended


def test_a_thread_that_was_told_to_end_is_not_missed() -> None:
    assert ended(Threads(HandClock()), "a", None) == ""


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_thread_that_ends_by_any_error_is_noticed_and_told(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    threads = Threads(HandClock())
    assert ended(threads, "decode-0", failure) == "decode-0"
    assert ended(threads, "sweep", failure) == "decode-0, sweep"
    assert [record.levelname for record in caplog.records] == ["CRITICAL"] * 2
    assert "decode-0" in caplog.text


@pytest.mark.parametrize("failure", [*FAILURES, StopIteration()], ids=lambda failure: type(failure).__name__)
def test_a_piece_of_work_may_fail_with_anything_and_is_told_now_and_then(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HandClock()
    threads = Threads(clock)
    for _ in range(5):
        with threads.going_on("the work"):
            raise failure
    assert len(caplog.records) == 1
    clock.time_ns += INTERVAL_NS
    with threads.going_on("the work"):
        raise failure
    assert "(5 times" in caplog.records[-1].getMessage()
    assert threads.ended == ""


def test_a_guarded_callback_costs_the_arrival_that_it_fails_on_and_no_other() -> None:
    taken: list[int] = []

    def receive(number: int) -> None:
        if number == 2:
            raise SystemExit("not an order to us")
        taken.append(number)

    guarded = Threads(HandClock()).guarded("taking in a number", receive)
    for number in (1, 2, 3):
        guarded(number)
    assert taken == [1, 3]
