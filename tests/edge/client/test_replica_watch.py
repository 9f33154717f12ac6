from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from edge.rig import OTHER, ROBOT, SERVER, SERVICE, capabilities
from edge.stand import CONFIG, Script, changed, wait_until
from vagus.clock import MonotonicClock
from vagus.edge.client.exchange import Exchange
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.client.inflight import LatencyWindow
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.client.replica_watch import ReplicaWatch
from vagus.edge.client.replicas import Backoff, Replicas
from vagus.edge.client.session import SessionOpener, pinned
from vagus.edge.client.worker import Worker
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import LinkState
from vagus.wire.contract import policy_spec_from

CAPABLE = capabilities()
CONTRACT = Contract(policy_spec_from(CAPABLE), "aa", 30.0, True, 10, "raw", (), CAPABLE)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@contextlib.contextmanager
def watching(
    network: MemoryNetwork, *, pin: str = "", closes_link: bool = True
) -> Iterator[tuple[Exchange, MemoryLink]]:
    """Run a watch and its worker; the session is with a server that nobody plays."""
    link = network.link("robot")
    opener = SessionOpener(link, ROBOT, CONFIG, Identity("arm-1", "1f3a"))
    worker = Worker(CONFIG, opener, MonotonicClock(), run_seed=1)
    engine = Engine(CONFIG, EngineContract(30.0, 30.0, uses_rtc=True, prefix_horizon=10))
    protocol = ClientProtocol(CONFIG, CONTRACT.policy, LatencyWindow())
    protocol.opened(SessionRef(SERVICE.server("nobody"), 9), 0)
    exchange = Exchange(engine, protocol, CONTRACT, Replicas(Backoff(1, 1), random.Random(1).random))
    replica_watch = ReplicaWatch(link, worker.post, SERVICE, pin=pin, refresh_s=0.01)
    worker.start(exchange)
    replica_watch.start(CONTRACT)
    try:
        yield exchange, link
    finally:
        replica_watch.stop()
        replica_watch.stop()
        worker.stop()
        if closes_link:
            link.close()


def test_servers_are_known_as_soon_as_their_token_is_there_and_forgotten_with_it(
    network: MemoryNetwork,
) -> None:
    one = Script(network, "one")
    with watching(network) as (exchange, _):
        wait_until(lambda: exchange.replicas.alive == {one.key})
        two = Script(network, "two")
        wait_until(lambda: exchange.replicas.alive == {one.key, two.key})
        one.vanish()
        wait_until(lambda: exchange.replicas.alive == {two.key})


def test_a_server_that_contradicts_is_excluded_before_it_is_needed(network: MemoryNetwork) -> None:
    bad = Script(network, "two", capable=changed(capabilities(OTHER), model_hash="bb"))
    with watching(network) as (exchange, _):
        wait_until(lambda: "model_hash" in exchange.replicas.excluded.get(bad.key, ""))


def test_a_server_that_still_loads_is_not_judged(network: MemoryNetwork) -> None:
    loading = Script(network, "two", capable=changed(capabilities(OTHER), model_hash="", phase="loading"))
    bad = Script(network, "three", capable=changed(capabilities(), model_hash="bb"))
    with watching(network) as (exchange, _):
        wait_until(lambda: bad.key in exchange.replicas.excluded)
        assert loading.key not in exchange.replicas.excluded


def test_a_silent_server_and_a_malformed_answer_are_not_judged(network: MemoryNetwork) -> None:
    gone = Script(network, "one")
    gone.link.token(OTHER.alive)  # a token without a server
    garbled = network.link("garbled")
    third = SERVICE.server("three")
    garbled.token(third.alive)
    garbled.serve(third.status, lambda query: query.reply(b"garbage"))
    bad = Script(network, "zero", capable=changed(capabilities(), model_hash="bb"))
    with watching(network) as (exchange, _):
        wait_until(lambda: bad.key in exchange.replicas.excluded)
        assert set(exchange.replicas.excluded) == {bad.key}


def test_a_network_that_is_away_is_looked_at_again_later(network: MemoryNetwork) -> None:
    with watching(network) as (exchange, link):
        link.cut()
        one = Script(network, "one")
        link.heal(is_reopened=False)
        wait_until(lambda: one.key in exchange.replicas.alive)
        assert exchange.protocol.state is LinkState.STREAMING


def test_a_reopened_transport_ends_the_session(network: MemoryNetwork) -> None:
    with watching(network) as (exchange, link):
        link.cut()
        link.heal()
        wait_until(lambda: exchange.protocol.state is LinkState.RECONNECTING)
        assert "reopened" in exchange.protocol.lost_reason


def test_after_the_end_a_reopened_transport_is_none_of_our_business(
    network: MemoryNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(network, closes_link=False) as (exchange, link):
        pass
    link.cut()
    link.heal()
    assert link.health().generation == 1
    assert not caplog.records
    assert exchange.protocol.session is not None


def test_a_token_of_another_server_ends_no_session_and_one_of_ours_does(network: MemoryNetwork) -> None:
    other, ours = Script(network, "two"), network.link().token(SERVICE.server("nobody").alive)
    with watching(network) as (exchange, _):
        wait_until(lambda: len(exchange.replicas.alive) == 2)
        other.vanish()
        wait_until(lambda: len(exchange.replicas.alive) == 1)
        assert exchange.protocol.state is LinkState.STREAMING
        ours.undeclare()
        wait_until(lambda: exchange.protocol.session is None)
        assert "token is gone" in exchange.protocol.lost_reason


def test_what_is_no_servers_token_and_who_is_not_pinned_are_passed_over(network: MemoryNetwork) -> None:
    network.link().token(f"{SERVICE.path}/d!/alive")
    one = Script(network, "one")
    Script(network, "two")
    with watching(network, pin="one") as (exchange, _):
        wait_until(lambda: exchange.replicas.alive == {one.key})


def test_a_pin_names_a_server_with_or_without_its_suffix() -> None:
    servers = frozenset({SERVER, OTHER, SERVICE.server("gpu-aa11")})
    assert pinned(servers, "") == servers
    assert pinned(servers, "two") == {OTHER}
    assert pinned(servers, "gpu") == pinned(servers, "gpu-aa11") == {SERVICE.server("gpu-aa11")}
    assert pinned(servers, "six") == frozenset()
