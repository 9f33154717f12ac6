"""Servers that share their robots: true servers and true robots on a network in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.stand import CONFIG, FAST_ROBOT, PATIENCE_S, Body, StepPolicy, wait_until
from vagus.clock import MonotonicClock
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.engine.engine import Engine
from vagus.policies.policy import ServingMode
from vagus.server.config import ServeConfig
from vagus.server.rebalancer import Rebalancer
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.wire.schema import Load

PACED = replace(CONFIG, execute_horizon=5)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.server.rebalancing.SETTLED_NS", 0)


@contextlib.contextmanager
def replica(network: MemoryNetwork, name: str, policy: StepPolicy | None = None) -> Iterator[Server[None]]:
    made = policy or StepPolicy()
    config = ServeConfig(policy="reach", server_name=name, warm_up=False, rebalance=False)
    with Server(network.link(name), lambda: made, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


@contextlib.contextmanager
def robots(network: MemoryNetwork, count: int) -> Iterator[list[Body]]:
    with contextlib.ExitStack() as stack:
        bodies = []
        for number in range(count):
            link = network.link(f"robot{number}")
            stack.callback(link.close)
            opener = SessionOpener(link, FAST_ROBOT, PACED, Identity(f"arm-{number}", f"1f3{number}"))
            client = stack.enter_context(PolicyClient(opener, Engine))
            client.open()
            bodies.append(Body(client))
        yield bodies


def until_played(bodies: list[Body], more: int = 3) -> None:
    for body in bodies:
        body.until_merged(more)


def until(bodies: list[Body], is_true: object) -> None:
    assert callable(is_true)
    for _ in range(4000):
        for body in bodies:
            body.tick()
        if is_true():
            return
        bodies[0]._waiter.wait(0.005)
    pytest.fail("it did not happen")


def rebalancer(server: Server[None]) -> Rebalancer[None]:
    return Rebalancer(
        server._link,
        server.key,
        server._reception.sessions,
        publisher=server._publisher,
        say=server.capabilities,
        draw=lambda: 0.5,
    )


def counts(*servers: Server[None]) -> list[int]:
    return [server.load().sessions for server in servers]


def test_a_new_server_gets_its_share_and_no_robot_starves(network: MemoryNetwork) -> None:
    with replica(network, "old") as old, robots(network, 6) as bodies, replica(network, "new") as new:
        until(bodies, lambda: all(body.engine.plan_view.merges >= 3 for body in bodies))
        until(bodies, lambda: all(len(body.client._replicas.alive) == 2 for body in bodies))
        assert counts(old, new) == [6, 0]
        share = rebalancer(old)
        share.round(MonotonicClock())
        until(bodies, lambda: counts(old, new) == [5, 1])
        share.round(MonotonicClock())
        until(bodies, lambda: counts(old, new) == [4, 2])
        until_played(bodies)
        assert sum(body.count("starved") for body in bodies) == 0
        for body in bodies:
            begun = [d for d in body.directives if d.knot is not None]
            assert all(
                d.knot.tolist() == [float(d.provenance.step or 0)] * 2 for d in begun if d.knot is not None
            )
        rebalancer(new).round(MonotonicClock())
        share.round(MonotonicClock())
        until_played(bodies)
        assert counts(old, new) == [4, 2]  # nothing goes back and forth


def test_an_exclusive_or_other_server_gets_nobody(network: MemoryNetwork) -> None:
    alone = StepPolicy()
    alone.serving_mode = ServingMode.EXCLUSIVE
    with (
        replica(network, "old") as old,
        robots(network, 4) as bodies,
        replica(network, "alone", alone) as first,
        replica(network, "other", StepPolicy(model_hash="bb")) as second,
    ):
        until(bodies, lambda: all(body.engine.plan_view.merges >= 3 for body in bodies))
        rebalancer(old).round(MonotonicClock())
        rebalancer(first).round(MonotonicClock())
        until_played(bodies)
        assert counts(old, first, second) == [4, 0, 0]
        assert sum(body.count("event_move") for body in bodies) == 0


def test_a_network_that_is_away_and_servers_that_do_not_answer_end_a_round(network: MemoryNetwork) -> None:
    with replica(network, "old") as old, robots(network, 4) as bodies:
        until(bodies, lambda: all(body.engine.plan_view.merges >= 3 for body in bodies))
        silent = network.link("silent")
        silent.token(old.key.service.server("silent").alive)
        garbled = old.key.service.server("garbled")
        silent.token(garbled.alive)
        silent.serve(garbled.status, lambda query: query.reply(b"garbage"))
        rebalancer(old).round(MonotonicClock())
        old._link.cut()  # type: ignore[attr-defined] # a link in memory
        rebalancer(old).round(MonotonicClock())
        assert sum(body.count("event_move") for body in bodies) == 0
        silent.close()


def test_the_thread_of_a_server_does_the_rounds_and_ends_with_it(
    network: MemoryNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[Load] = []
    monkeypatch.setattr(Rebalancer, "round", lambda self, clock: rounds.append(self._say().load))
    monkeypatch.setattr(Rebalancer.run, "__defaults__", (0.01,))
    config = ServeConfig(policy="reach", warm_up=False)
    with Server(network.link("one"), StepPolicy, config) as server:
        assert server.wait_ready(PATIENCE_S)
        wait_until(lambda: len(rounds) >= 3)
    assert not server._share_thread.is_alive()
