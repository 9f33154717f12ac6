"""Session requests, worked on one by one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from vagus.clock import MonotonicClock
from vagus.server.session_requests import CAPACITY, OPEN_BURST, PER_CLIENT, SessionRequests
from vagus.server.tenants import Tenant, TenantTable
from vagus.threads import Threads
from vagus.transport.link import Query

PATIENCE_S = 10.0


class Asked:
    def __init__(self, name: str, size: int = 0) -> None:
        self.key = name
        self.payload = bytes(size)

    def reply(self, payload: bytes) -> None:
        raise AssertionError("the desk answers nothing itself")

    def drop(self) -> None:
        raise AssertionError("the desk answers nothing itself")


class Worker:
    """Notes what it is given; stops at the first until it is let go."""

    def __init__(self) -> None:
        self.done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.entered = threading.Event()
        self.gate = threading.Event()

    def __call__(self, query: Query) -> None:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        self.done.put(query.key)
        if query.key == "bad":
            raise SystemExit("a bug")


def started(worker: Worker, tenants: Sequence[Tenant] = ()) -> SessionRequests:
    desk = SessionRequests(worker, TenantTable(tenants), Threads(MonotonicClock()))
    desk.start()
    assert desk.put("first", Asked("first"))
    assert worker.entered.wait(PATIENCE_S)
    return desk


def test_what_waits_is_bounded_for_each_client_and_for_all() -> None:
    worker = Worker()
    desk = started(worker)
    assert [desk.put("arm", Asked("x")) for _ in range(PER_CLIENT + 1)] == [True] * PER_CLIENT + [False]
    taken = [desk.put(f"{number}", Asked("x")) for number in range(CAPACITY)]
    assert taken.count(True) == CAPACITY - PER_CLIENT
    worker.gate.set()
    desk.stop(PATIENCE_S)


def test_a_tenant_that_fills_its_places_leaves_those_of_the_others() -> None:
    worker = Worker()
    desk = started(worker, [Tenant(name="a", clients=("a-*",)), Tenant(name="b", clients=("b-*",))])
    taken = [desk.put(f"a-{number}", Asked("a")) for number in range(CAPACITY)]
    assert taken.count(True) == CAPACITY // 3
    for client in ("b-1", "stranger"):
        assert [desk.put(client, Asked(client)) for _ in range(PER_CLIENT + 1)] == [True] * PER_CLIENT + [
            False
        ]
    worker.gate.set()
    desk.stop(PATIENCE_S)


def test_who_asks_without_end_is_refused_and_others_are_not() -> None:
    worker = Worker()
    worker.gate.set()
    desk = started(worker)
    replies = []
    for _ in range(OPEN_BURST + 20):
        replies.append(desk.put("flood", Asked("flood")))
        if replies[-1]:
            while worker.done.get(timeout=PATIENCE_S) != "flood":
                pass
    assert replies[:OPEN_BURST] == [True] * OPEN_BURST
    assert False in replies
    assert desk.put("arm", Asked("arm"))
    assert worker.done.get(timeout=PATIENCE_S) == "arm"
    desk.stop(PATIENCE_S)


def test_small_requests_come_before_large_ones_and_a_bug_costs_one() -> None:
    worker = Worker()
    desk = started(worker)
    desk.put("large", Asked("large", 100_000))
    desk.put("bad", Asked("bad", 10))
    desk.put("small", Asked("small", 100))
    worker.gate.set()
    assert [worker.done.get(timeout=PATIENCE_S) for _ in range(4)] == ["first", "bad", "small", "large"]
    desk.stop(PATIENCE_S)


def test_a_desk_that_was_never_opened_can_be_closed() -> None:
    SessionRequests(Worker(), TenantTable(), Threads(MonotonicClock())).stop(PATIENCE_S)
