"""Turns at the entrance: strangers one at a time, and a pause for whatever was slow to read."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from vagus.errors import ProtocolError
from vagus.gateways.entrance import FREE_NS, PAUSE_PER_WORK, Entrance


class Work:
    """Processor time that a test spends."""

    def __init__(self) -> None:
        self.spent_ns = 0
        self.pauses: list[float] = []
        self.entrance = Entrance(lambda: self.spent_ns, self.pauses.append)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_read_quickly_costs_no_pause_and_the_rest_four_times_its_work(is_known: bool) -> None:
    work = Work()
    with work.entrance.turn(is_known=is_known):
        work.spent_ns += FREE_NS
    assert work.pauses == []
    with suppress(ProtocolError), work.entrance.turn(is_known=is_known):
        work.spent_ns += FREE_NS + 1_000_000_000
        raise ProtocolError("unreadable")
    assert work.pauses == [PAUSE_PER_WORK]


def test_strangers_wait_for_each_other_and_robots_for_nobody() -> None:
    entrance, inside, second = Entrance(), threading.Event(), threading.Event()

    def come() -> None:
        inside.set()
        with entrance.turn(is_known=False):
            second.set()

    stranger = threading.Thread(target=come)
    with entrance.turn(is_known=False):
        stranger.start()
        assert inside.wait(30)
        with entrance.turn(is_known=True):
            assert not second.is_set()
    assert second.wait(30)
    stranger.join()
