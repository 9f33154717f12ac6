from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.rate_control import ACTIVE_NS, MAX_INTERVAL_NS, RateControl, ServedRow, obeyed_ns

BATCH_NS = 100 * NS_PER_MS
ROWS = 4


def row(
    client: str, *, waited: float, tenant: str = "", weight: float = 1.0, arrived_ns: int = 0
) -> ServedRow:
    """Return a row that waited for so many batches."""
    return ServedRow(client, tenant or client, weight, round(waited * BATCH_NS), BATCH_NS, arrived_ns)


class Server:
    """A device that is always busy with batches of four rows of a tenth of a second: 40 rows a second.

    Its clients obey: each of their requests comes long after the one before it.
    """

    def __init__(self, tenants: Mapping[str, tuple[str, float]], *, gap_ns: int = MAX_INTERVAL_NS) -> None:
        self._gap_ns = gap_ns
        self.control = RateControl()
        self.now_ns = NS_PER_S
        self.served = 0
        self._tenants = tenants
        self._clients = list(tenants)

    def run(self, seconds: float, *, waited: float) -> None:
        for _ in range(round(seconds * NS_PER_S / BATCH_NS)):
            self.now_ns += BATCH_NS
            for _ in range(ROWS):
                client = self._clients[self.served % len(self._clients)]
                tenant, weight = self._tenants[client]
                arrived_ns = self.served * self._gap_ns
                asked = row(client, waited=waited, tenant=tenant, weight=weight, arrived_ns=arrived_ns)
                self.control.note(asked, self.now_ns)
                self.served += 1

    def fair_ms(self, client: str) -> float:
        """Return the interval of a client that did not wait for its last batch."""
        tenant, weight = self._tenants[client]
        asked = row(client, waited=0.0, tenant=tenant, weight=weight, arrived_ns=self.served * self._gap_ns)
        self.control.note(asked, self.now_ns)
        return self.control.interval_ms(client)


def arms(count: int) -> dict[str, tuple[str, float]]:
    return {f"arm-{number}": (f"arm-{number}", 1.0) for number in range(count)}


def test_while_requests_wait_for_the_rest_of_a_batch_nobody_is_asked_for_a_pause() -> None:
    server = Server(arms(20))
    server.run(20, waited=0.9)
    assert not server.control.is_limiting
    assert server.control.interval_ms("arm-3") == 0


def test_a_device_that_cannot_keep_up_asks_for_what_it_can_answer() -> None:
    server = Server(arms(80))
    server.run(0.4, waited=5.0)
    assert not server.control.is_limiting  # a moment is no overload
    server.run(0.2, waited=5.0)
    assert server.control.is_limiting
    assert server.fair_ms("arm-3") == pytest.approx(500.0, rel=0.2)  # of 20 that were seen, at 40 a second


def test_the_interval_rises_while_requests_wait_and_falls_when_they_do_not() -> None:
    server = Server(arms(80))
    server.run(5, waited=3.0)
    high = server.fair_ms("arm-0")
    server.run(10, waited=3.0)
    assert server.fair_ms("arm-0") > high
    server.run(20, waited=0.85)
    high = server.fair_ms("arm-0")
    server.run(20, waited=0.85)
    assert server.fair_ms("arm-0") == high
    server.run(20, waited=0.1)
    assert server.fair_ms("arm-0") < high
    server.run(1500, waited=0.0)
    assert not server.control.is_limiting


def test_whoever_waited_comes_as_much_later_so_that_all_do_not_meet_again() -> None:
    server = Server(arms(80))
    server.run(10, waited=0.9)
    server.run(10, waited=3.0)
    fair_ms = server.fair_ms("arm-0")
    server.control.note(row("arm-0", waited=2.5), server.now_ns)
    assert server.control.interval_ms("arm-0") == pytest.approx(fair_ms + 250.0)


def test_a_tenant_gets_its_weight_however_many_robots_it_has() -> None:
    few = {f"lab-{number}": ("lab", 3.0) for number in range(3)}
    many = {f"plant-{number}": ("plant", 1.0) for number in range(30)}
    server = Server(few | many)
    server.run(10, waited=4.0)
    requests = {client: 1 / server.fair_ms(client) for client in (*few, *many)}
    lab, plant = sum(requests[client] for client in few), sum(requests[client] for client in many)
    assert lab == pytest.approx(3 * plant)
    assert requests["lab-0"] == requests["lab-2"]


def test_a_client_that_is_gone_leaves_its_share_to_the_others_of_its_tenant() -> None:
    lab = {f"lab-{number}": ("lab", 1.0) for number in range(40)}
    server = Server(lab)
    server.run(5, waited=3.0)
    server.run(20, waited=0.85)
    all_ms = server.fair_ms("lab-0")
    half = Server(dict(list(lab.items())[:20]))
    half.control, half.now_ns = server.control, server.now_ns
    half.run(ACTIVE_NS / NS_PER_S + 0.1, waited=0.85)
    assert half.fair_ms("lab-0") == pytest.approx(all_ms / 2)
    assert server.control.interval_ms("lab-39") == 0


def test_the_waits_of_clients_that_do_not_obey_make_nobody_pause_longer() -> None:
    server = Server(arms(80), gap_ns=NS_PER_MS)
    server.run(5, waited=5.0)
    before_ms = server.fair_ms("arm-0")
    server.run(30, waited=50.0)
    assert server.control.is_limiting
    assert server.fair_ms("arm-0") == before_ms


@pytest.mark.parametrize(("plays_s", "is_moving"), [(2.0, True), (0.3, False), (0.0, False)])
def test_a_robot_that_needs_less_than_its_part_keeps_moving_whatever_others_do(
    plays_s: float, is_moving: bool
) -> None:
    """Fourteen ask again at once, whatever they are told, and one obeys: its part is a row in 0.4 s."""
    control, now_ns, last_ns = RateControl(), NS_PER_S, 0
    interval_ns = 0
    for batch in range(600):
        now_ns += BATCH_NS
        for place in range(ROWS):
            number = (batch * ROWS + place) % 14
            control.note(row(f"deaf-{number}", waited=4.0, arrived_ns=now_ns - 4 * BATCH_NS), now_ns)
        if now_ns >= last_ns + max(interval_ns, 4 * BATCH_NS):
            asked = row("arm", waited=4.0, arrived_ns=now_ns)
            control.note(replace(asked, plays_ns=round(plays_s * NS_PER_S)), now_ns)
            last_ns, interval_ns = now_ns, control.interval_ns("arm")
    assert control.is_limiting
    needed_ns = round(plays_s * NS_PER_S) - 2 * 5 * BATCH_NS
    assert (interval_ns <= needed_ns) is is_moving


def test_no_pause_is_longer_than_twice_a_fair_share() -> None:
    server = Server(arms(80))
    server.run(300, waited=50.0)
    assert server.fair_ms("arm-0") <= 2.1 * 80 / 40 * 1000


def test_a_stranger_is_not_asked_for_a_pause() -> None:
    server = Server(arms(80))
    server.run(5, waited=5.0)
    assert server.control.interval_ms("never seen") == 0


def test_no_interval_is_beyond_all_bounds() -> None:
    server = Server(arms(80))
    server.run(300, waited=50.0)
    assert server.control.interval_ns("arm-0") <= MAX_INTERVAL_NS


def test_what_is_remembered_is_bounded_by_the_clients_that_are_active() -> None:
    control = RateControl()
    for number in range(2000):
        control.note(row(f"arm-{number}", waited=0.0), number * NS_PER_S)
    assert len(control._seen) <= ACTIVE_NS // NS_PER_S + 1
    assert len(control._order) <= ACTIVE_NS // NS_PER_S + 1


def test_a_fast_policy_is_not_overloaded_because_a_thread_was_late() -> None:
    control = RateControl()
    for number in range(1, 400):
        asked = ServedRow("arm", "arm", 1.0, 3 * NS_PER_MS, NS_PER_MS, number * 10 * NS_PER_MS)
        control.note(asked, number * 10 * NS_PER_MS)
    assert not control.is_limiting


@pytest.mark.parametrize("paused_s", [2, 5, 600])
@pytest.mark.parametrize("is_in_batch", [False, True])
def test_a_server_that_was_stopped_is_not_overloaded(paused_s: int, is_in_batch: bool) -> None:
    server, paused_ns = Server(arms(10)), paused_s * NS_PER_S
    server.run(10, waited=0.5)
    server.now_ns += paused_ns
    for number in range(10):  # all of them waited for it
        batch_ns, wait_ns = (paused_ns, 0) if is_in_batch and number < ROWS else (BATCH_NS, paused_ns)
        server.control.note(
            ServedRow(f"arm-{number}", f"arm-{number}", 1.0, wait_ns, batch_ns), server.now_ns
        )
    for _ in range(100):
        server.run(0.1, waited=0.5)
        assert not server.control.is_limiting


def test_clients_that_obey_less_than_is_fair_are_not_asked_for_pauses_for_ever() -> None:
    control, now_ns = RateControl(), 0

    def run(seconds: int, *, waited: float) -> None:
        nonlocal now_ns
        for _ in range(seconds):
            now_ns += NS_PER_S
            for number in range(200):
                asked = row(f"arm-{number}", waited=waited, arrived_ns=now_ns)
                control.note(replace(asked, longest_ns=NS_PER_S), now_ns + number * NS_PER_MS)

    run(30, waited=20)
    assert control.interval_ms("arm-7") == 1000
    run(200, waited=0.1)
    assert not control.is_limiting


def test_a_client_may_be_served_twice_at_one_moment_of_a_coarse_clock() -> None:
    control = RateControl()
    for now_ns in (0, 0, 2 * ACTIVE_NS):
        control.note(row("arm", waited=0.1), now_ns)


def test_a_robot_obeys_until_its_oldest_action_is_too_old_and_at_least_a_second() -> None:
    assert obeyed_ns(3.0) == 3 * NS_PER_S
    assert obeyed_ns(0.001) == NS_PER_S
    assert obeyed_ns(0.0) == obeyed_ns(1e12) == obeyed_ns(float("inf")) == MAX_INTERVAL_NS


@pytest.mark.parametrize("idle_s", [0, 60])
def test_who_is_alone_after_an_overload_is_soon_asked_for_no_pause(idle_s: int) -> None:
    server = Server(arms(50))
    server.run(30, waited=3.0)
    assert server.control.interval_ms("arm-0") > 1000
    now_ns = server.now_ns + idle_s * NS_PER_S
    for number in range(60):
        now_ns += NS_PER_S
        arrived_ns = (server.served + number) * MAX_INTERVAL_NS
        server.control.note(row("arm-0", waited=0.0, arrived_ns=arrived_ns), now_ns)
    assert server.control.interval_ns("arm-0") <= 2 * BATCH_NS
