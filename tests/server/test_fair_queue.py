"""Whose work is done next."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS
from vagus.server.fair_queue import FairQueue


class HandClock:
    def __init__(self) -> None:
        self.time_ns = 0

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")


def queue(clock: HandClock | None = None, *, per_client: int = 9, capacity: int = 99) -> FairQueue[str]:
    return FairQueue(clock or HandClock(), per_client=per_client, capacity=capacity)


def test_items_of_one_client_keep_their_order() -> None:
    waiting = queue()
    for name in "abc":
        assert waiting.put("arm", name)
    assert [waiting.take() for _ in range(3)] == [("arm", "a"), ("arm", "b"), ("arm", "c")]


def test_whoever_used_least_is_next_and_of_equals_whoever_wants_least() -> None:
    waiting = queue()
    waiting.used("heavy", 50 * NS_PER_MS)
    waiting.put("heavy", "h")
    waiting.put("large", "l", size=1000)
    waiting.put("small", "s", size=10)
    assert [waiting.take() for _ in range(3)] == [("small", "s"), ("large", "l"), ("heavy", "h")]


def test_there_is_room_for_so_many_of_one_and_of_all() -> None:
    waiting = queue(per_client=2, capacity=3)
    assert [waiting.put("arm", "x") for _ in range(3)] == [True, True, False]
    assert [waiting.put("leg", "x") for _ in range(2)] == [True, False]


def test_a_closed_queue_wakes_whoever_waits_and_takes_nothing() -> None:
    waiting, got = queue(), []
    thread = threading.Thread(target=lambda: got.append(waiting.take()))
    thread.start()
    waiting.close()
    thread.join()
    assert got == [None]
    assert not waiting.put("arm", "x")


class Work:
    """One thread; attackers always want more, the honest client a millisecond now and then."""

    def __init__(self, attackers: int, cost_ms: int) -> None:
        self.clock = HandClock()
        self.waiting = queue(self.clock, per_client=1)
        self.attackers = attackers
        self.cost_ms = cost_ms

    def step(self) -> str:
        """Work on what is next and return whose it was."""
        for number in range(self.attackers):
            self.waiting.put(f"attacker {number}", "dear")
        taken = self.waiting.take()
        assert taken is not None
        cost_ns = NS_PER_MS if taken[0] == "honest" else self.cost_ms * NS_PER_MS
        self.clock.time_ns += cost_ns
        self.waiting.used(taken[0], cost_ns)
        return taken[0]

    def ask(self) -> int:
        """Return how many pieces of others came first."""
        self.waiting.put("honest", "cheap")
        ahead = 0
        while self.step() != "honest":
            ahead += 1
        return ahead


@given(st.integers(1, 8), st.integers(1, 400))
def test_an_honest_client_waits_for_nobody_who_uses_more_however_many_they_are(
    attackers: int, cost_ms: int
) -> None:
    work = Work(attackers, cost_ms)
    waits = []
    for _ in range(60):
        next_ns = work.clock.time_ns + 20 * NS_PER_MS
        while work.clock.time_ns < next_ns:
            work.step()
        waits.append(work.ask())
    assert max(waits) <= attackers  # before anything is known of anybody
    assert set(waits[20:]) == {0}
