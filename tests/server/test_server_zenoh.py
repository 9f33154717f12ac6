"""The server over a real router: what the network in memory cannot show."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.raw_client import PATIENCE_S, Asker, Calls, CountingPolicy, RawClient
from vagus.policies.policy import Policy
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.keys import ALL_SERVERS_ALIVE
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

pytestmark = pytest.mark.process

SOAK_S = 60.0
SESSIONS = 64
LINKS = 8
"""Robots of the soak share this many links, eight each."""

IN_FLIGHT_S = 0.5
"""After this long nothing is on its way any more."""

INFERENCE_S = 0.02
"""A batch takes long enough that who was answered asks again before the round is over."""

MAX_GROWTH_KB = 16_384
"""What a minute of soak may add to the memory of this process, which holds server, clients and router."""


@contextlib.contextmanager
def router() -> Iterator[ZenohConfig]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as running:
        yield ZenohConfig(connect=running.endpoints)


@contextlib.contextmanager
def serving(
    config: ServeConfig, network: ZenohConfig, policy: CountingPolicy | None = None
) -> Iterator[Server[Calls]]:
    served: Policy[Calls] = policy or CountingPolicy()
    with ZenohLink(network) as link, Server(link, lambda: served, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


def reachable(client: RawClient) -> RawClient:
    """Return `client` once the router knows both its ear and the server's."""
    deadline_s = time.monotonic() + PATIENCE_S
    client.open()
    while time.monotonic() < deadline_s:
        client.send(0.0)
        if wait_for_reply(client):
            return client
    pytest.fail("no answer over the router")


def wait_for_reply(client: RawClient) -> bool:
    deadline_s = time.monotonic() + 1.0
    while time.monotonic() < deadline_s:
        if not client.replies.empty():
            client.replies.get()
            return True
        time.sleep(0.005)
    return False


def resident_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_a_session_lives_from_open_to_drain_over_a_router() -> None:
    with router() as network, serving(ServeConfig(), network) as server, ZenohLink(network) as link:
        client = reachable(RawClient(link, server.key, "arm 1"))
        assert server.key.alive in link.tokens(ALL_SERVERS_ALIVE, timeout_s=PATIENCE_S)
        assert client.status().phase == "ready"
        assert client.reset(1).applied
        assert client.ask(2.0, episode=1).values == [1.0, 2.0]
        assert client.ask(float("nan"), episode=1).code == "invalid_input"
        server.drain()
        assert client.receive().code == "draining"
        assert server.key.alive not in link.tokens(ALL_SERVERS_ALIVE, timeout_s=PATIENCE_S)


def test_a_robot_whose_process_ends_loses_its_session_and_its_name_is_free_at_once() -> None:
    config = ServeConfig(warm_up=False, client_grace_s=0.2)
    with router() as network, serving(config, network) as server:
        with ZenohLink(network) as link:
            reachable(RawClient(link, server.key, "arm", "i1"))
            with ZenohLink(network) as other:
                assert RawClient(other, server.key, "arm", "i2").try_open().code == "client_in_use"
        deadline_s = time.monotonic() + PATIENCE_S
        while server.load().sessions and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert server.load().sessions == 0
        with ZenohLink(network) as link:
            reachable(RawClient(link, server.key, "arm", "i2"))


def soak(duration_s: float, sessions: int) -> None:
    """Let every robot ask again when it is answered; a round of batches outlasts the way to it and back."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(router())
        policy = CountingPolicy()
        config = ServeConfig(max_batch=sessions // 8, scheduler="round_robin")
        server = stack.enter_context(serving(config, network, policy))
        links = [stack.enter_context(ZenohLink(network)) for _ in range(min(LINKS, sessions))]
        clients = [
            reachable(RawClient(links[n % len(links)], server.key, f"arm{n}")) for n in range(sessions)
        ]
        asked_before = sum(client.seq for client in clients)
        served_before = server.metrics.counter("requests", "chunk")
        askers = [Asker(client, number) for number, client in enumerate(clients)]
        policy.work_s = INFERENCE_S
        for asker in askers:
            asker.start()
        time.sleep(duration_s / 3)
        policy.begin_count(range(sessions))
        threads, memory_kb = threading.active_count(), resident_kb()
        time.sleep(duration_s * 2 / 3)
        grown_kb = resident_kb() - memory_kb
        assert threading.active_count() <= threads
        for asker in askers:
            asker.is_asking = False
        time.sleep(IN_FLIGHT_S)
        assert [asker.faults for asker in askers if asker.faults] == []
        asked = sum(client.seq for client in clients) - asked_before
        served = server.metrics.counter("requests", "chunk") - served_before
        assert asked == served == sum(asker.replies for asker in askers)
        assert min(asker.replies for asker in askers) > 0
        assert all(not client.foreign for client in clients)
        assert policy.widest <= 2
        assert grown_kb < MAX_GROWTH_KB


def test_sessions_over_a_router_are_neither_lost_nor_mixed() -> None:
    soak(1.5, 16)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_sixty_four_sessions_for_a_minute_are_neither_lost_nor_mixed_and_nothing_grows() -> None:
    soak(SOAK_S, SESSIONS)


def test_a_paused_robot_keeps_its_place_and_a_client_without_a_token_does_not() -> None:
    config = ServeConfig(warm_up=False, client_grace_s=0.3, session_idle_timeout_s=0.3)
    with router() as network, serving(config, network) as server, ZenohLink(network) as link:
        paused, script = (RawClient(link, server.key, name) for name in ("paused", "script"))
        script.token.undeclare()
        reachable(paused)
        script.open()
        deadline_s = time.monotonic() + PATIENCE_S
        while server.metrics.counter("closed", "no_token") == 0:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        time.sleep(4 * config.session_idle_timeout_s)  # the sweeper asks the network at least once
        assert paused.ask(1.0).chunk is not None
        assert script.receive().code == "unknown_session"
        assert server.metrics.counter("closed", "idle") == 0
