"""Whose work is done next."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS
from vagus.server.fair_queue import FairQueue, Waiting
from vagus.server.tenants import Tenant


class HandClock:
    def __init__(self) -> None:
        self.time_ns = 0

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")


class Queue(FairQueue[str]):
    """A queue of words; a client is its own tenant, or of the one before a dash."""

    weights: Mapping[str, float] = {}

    def add(self, client: str, item: str, size: int = 0) -> bool:
        return self.put(self.of(client, item, size))

    def next(self) -> tuple[str, str]:
        taken = self.take()
        assert taken is not None
        return taken.client, taken.item

    def note(self, client: str, cost_ns: int) -> None:
        self.used(self.of(client), cost_ns)

    def of(self, client: str, item: str = "", size: int = 0) -> Waiting[str]:
        name = client.partition("-")[0]
        return Waiting(Tenant(name=name, weight=self.weights.get(name, 1.0)), client, item, size)


def queue(
    clock: HandClock | None = None, *, per_client: int = 9, capacity: int = 99, per_tenant: int | None = None
) -> Queue:
    return Queue(clock or HandClock(), per_client=per_client, capacity=capacity, per_tenant=per_tenant)


def test_items_of_one_client_keep_their_order() -> None:
    waiting = queue()
    for name in "abc":
        assert waiting.add("arm", name)
    assert [waiting.next() for _ in range(3)] == [("arm", "a"), ("arm", "b"), ("arm", "c")]


def test_whoever_used_least_is_next_and_of_equals_whoever_wants_least() -> None:
    waiting = queue()
    waiting.note("heavy", 50 * NS_PER_MS)
    waiting.add("heavy", "h")
    waiting.add("large", "l", size=1000)
    waiting.add("small", "s", size=10)
    assert [waiting.next() for _ in range(3)] == [("small", "s"), ("large", "l"), ("heavy", "h")]


def test_there_is_room_for_so_many_of_one_and_of_all() -> None:
    waiting = queue(per_client=2, capacity=3)
    assert [waiting.add("arm", "x") for _ in range(3)] == [True, True, False]
    assert [waiting.add("leg", "x") for _ in range(2)] == [True, False]


def test_a_closed_queue_wakes_whoever_waits_and_takes_nothing() -> None:
    waiting, got = queue(), []
    thread = threading.Thread(target=lambda: got.append(waiting.take()))
    thread.start()
    waiting.close()
    thread.join()
    assert got == [None]
    assert not waiting.add("arm", "x")


def test_there_is_room_for_so_many_of_a_tenant() -> None:
    waiting = queue(per_tenant=3)
    assert [waiting.add(f"a-{number}", "x") for number in range(4)] == [True] * 3 + [False]
    assert waiting.add("b-1", "x")
    waiting.next()
    waiting.next()
    assert waiting.add("a-9", "x")


def shared(rounds: int, robots: Mapping[str, int], weights: Mapping[str, float]) -> Counter[str]:
    """Return how often each client was served of robots that always want more, at 10 ms each."""
    clock = HandClock()
    waiting, served = queue(clock, per_client=1), Counter[str]()
    waiting.weights = weights
    for _ in range(rounds):
        for tenant, count in robots.items():
            for number in range(count):
                waiting.add(f"{tenant}-{number}", "x")
        client, _ = waiting.next()
        clock.time_ns += 10 * NS_PER_MS
        waiting.note(client, 10 * NS_PER_MS)
        served[client] += 1
    return served


def test_tenants_share_by_weight_and_not_by_the_number_of_their_robots() -> None:
    served = shared(2000, {"a": 1, "b": 10, "c": 2}, {"a": 2.0})
    of = {tenant: sum(n for client, n in served.items() if client.startswith(tenant)) for tenant in "abc"}
    assert 0.47 < of["a"] / 2000 < 0.53
    assert 0.22 < of["b"] / 2000 < 0.28
    assert 0.22 < of["c"] / 2000 < 0.28
    of_b = [served[f"b-{number}"] for number in range(10)]
    assert max(of_b) - min(of_b) <= 2


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
            self.waiting.add(f"attacker {number}", "dear")
        client, _ = self.waiting.next()
        cost_ns = NS_PER_MS if client == "honest" else self.cost_ms * NS_PER_MS
        self.clock.time_ns += cost_ns
        self.waiting.note(client, cost_ns)
        return client

    def ask(self) -> int:
        """Return how many pieces of others came first."""
        self.waiting.add("honest", "cheap")
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
