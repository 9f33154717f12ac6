from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from vagus.threads import ThreadPool


@pytest.fixture
def crew() -> Iterator[ThreadPool]:
    crew = ThreadPool(2, "test-crew")
    yield crew
    crew.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_results_come_in_order(crew: ThreadPool, count: int) -> None:
    assert crew.map(lambda number: number * number, range(count)) == [n * n for n in range(count)]


def test_items_may_be_anything(crew: ThreadPool) -> None:
    assert crew.map(lambda item: item, [None, 0, ""]) == [None, 0, ""]


def test_a_single_item_needs_no_helper(crew: ThreadPool) -> None:
    assert crew.map(lambda _: threading.current_thread(), ["frame"]) == [threading.current_thread()]


def test_nothing_is_waited_for_that_no_helper_has_begun(crew: ThreadPool) -> None:
    release = threading.Event()
    busy = threading.Barrier(3)

    def occupy(number: int) -> None:
        if number > 0:
            busy.wait()
            release.wait()

    occupied = threading.Thread(target=crew.map, args=(occupy, range(3)))
    occupied.start()
    busy.wait()
    try:
        threads = crew.map(lambda _: threading.current_thread(), range(4))
    finally:
        release.set()
        occupied.join()
    assert set(threads) == {threading.current_thread()}


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_the_work_raises_is_raised(crew: ThreadPool, bad: int) -> None:
    def work(number: int) -> int:
        if number == bad:
            raise ValueError(f"item {number}")
        return number

    with pytest.raises(ValueError, match=f"item {bad}"):
        crew.map(work, range(3))
    assert crew.map(work, [5, 6]) == [5, 6]
