"""What only the Zenoh link does: losing transports, watchdog, delivery classes, leaving the interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import zenoh

from transport.rig import eventually, is_served, settle
from vagus.errors import ConfigError, LinkError, ProtocolError
from vagus.transport import zenoh_connection
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy
from vagus.transport.integrity import seal
from vagus.transport.link import Delivery, Link, Query, Sample
from vagus.transport.reopening import CLOSE_TIMEOUT_S
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import WAIT_BEFORE_CLOSE_US, LinkMode, RouterConfig, ZenohConfig
from vagus.transport.zenoh_connection import ZenohConnection
from vagus.transport.zenoh_session import (
    QUALITY,
    QUERY_QUALITY,
    close_zenoh_session,
    open_zenoh_session,
)

HEADER = bytes(27)
KEY = "@vagus/m/r/default/server/robot/chunk"
BLOCK_S = WAIT_BEFORE_CLOSE_US / 1e6
"""How long a blocking publish stands still before it gives the connection up."""

NEVER = 'connect/retry={"period_init_ms":3600000,"period_max_ms":3600000,"period_increase_factor":1.0}'
"""A session that never finds its router again by itself."""


@pytest.fixture
def router() -> Iterator[Router]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as running:
        yield running


@pytest.fixture
def proxy(router: Router) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", port_of(router)) as running:
        yield running


def port_of(router: Router) -> int:
    return int(router.endpoints[0].rpartition(":")[2])


def through(proxy: FaultProxy) -> ZenohConfig:
    return ZenohConfig(connect=(f"tcp/127.0.0.1:{proxy.port}",))


def send(link: Link, payload: bytes, delivery: Delivery = Delivery.CHUNK, key: str = KEY) -> None:
    link.publish(key, header=HEADER, payload=payload, delivery=delivery)


def zid(link: ZenohLink) -> str:
    connection = link._connection
    assert isinstance(connection, ZenohConnection)
    return str(connection._session.zid())


# losing the transport


def test_a_lost_transport_is_replaced_by_a_session_of_another_identity(proxy: FaultProxy) -> None:
    with ZenohLink(through(proxy)) as link:
        before = zid(link)
        proxy.cut()
        proxy.heal()
        assert eventually(lambda: link.health().generation == 1)
        assert zid(link) != before


def test_reopening_can_be_switched_off(proxy: FaultProxy) -> None:
    with ZenohLink(replace(through(proxy), reopen_on_loss=False, watchdog_s=0.0)) as link:
        before = zid(link)
        proxy.cut()
        assert eventually(lambda: not link.health().is_connected)
        proxy.heal()
        assert eventually(lambda: link.health().is_connected)
        assert link.health().generation == 0
        assert zid(link) == before


def test_an_abandoned_connection_delivers_nothing_more(router: Router) -> None:
    config = ZenohConfig(connect=router.endpoints)
    connection = ZenohConnection(open_zenoh_session(config.to_json5(), ()), None)
    old: list[bytes] = []
    connection.subscribe(KEY, lambda sample: old.append(sample.payload))
    with ZenohLink(config) as sender, ZenohLink(config) as witness:
        seen: list[bytes] = []
        witness.subscribe(KEY, lambda sample: seen.append(sample.payload))
        settle(witness, sender)
        send(sender, b"1")
        assert eventually(lambda: old == seen == [b"1"])
        connection.abandon()
        send(sender, b"2")
        assert eventually(lambda: len(seen) == 2)
        settle(witness, sender)
        assert old == [b"1"]
    connection.close()


def test_a_query_under_way_ends_when_the_network_is_lost(proxy: FaultProxy, router: Router) -> None:
    kept: list[Query] = []

    def cut(query: Query) -> None:
        kept.append(query)
        proxy.cut()

    with ZenohLink(ZenohConfig(connect=router.endpoints)) as server, ZenohLink(through(proxy)) as robot:
        server.serve(KEY, cut)
        settle(server, robot)
        began_s = time.monotonic()
        with pytest.raises(LinkError):
            robot.query(KEY, b"", timeout_s=60.0)
        assert time.monotonic() - began_s < 30.0


def test_the_watchdog_replaces_a_session_that_stays_without_a_router(proxy: FaultProxy) -> None:
    config = replace(through(proxy), reopen_on_loss=False, watchdog_s=0.5, extra=(NEVER,))
    with ZenohLink(config) as link, ZenohLink(replace(config, watchdog_s=0.0)) as left_alone:
        proxy.cut()
        for each in (link, left_alone):
            assert eventually(lambda each=each: not each.health().is_connected)  # type: ignore[misc]
        time.sleep(0.1)  # Zenoh tries once at once, into the cut
        proxy.heal()
        assert eventually(lambda: link.health().zombies == 1)
        assert eventually(lambda: link.health().is_connected)
        assert link.health().generation == 1
        assert not left_alone.health().is_connected


def test_the_next_router_is_used_when_one_dies(router: Router) -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",), connect=router.endpoints)) as second:
        both = (*second.endpoints, *router.endpoints)
        with (
            ZenohLink(ZenohConfig(connect=both)) as link,
            ZenohLink(ZenohConfig(connect=router.endpoints)) as server,
        ):
            server.serve(KEY, lambda query: query.reply(b""))
            assert eventually(lambda: is_served(link, KEY))
            second.close()
            assert eventually(lambda: link.health().generation == 1)
            assert eventually(lambda: is_served(link, KEY))


def test_a_listening_server_outlives_the_robots_that_come_and_go() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as port_finder:
        endpoints = port_finder.endpoints
    with ZenohLink(ZenohConfig(mode=LinkMode.PEER, listen=endpoints)) as server:
        server.serve(KEY, lambda query: query.reply(b"here"))
        for mode in (LinkMode.PEER, LinkMode.CLIENT):
            with ZenohLink(ZenohConfig(mode=mode, connect=endpoints)) as robot:
                assert eventually(lambda robot=robot: is_served(robot, KEY))  # type: ignore[misc]
        assert server.health().is_connected
        assert server.health().generation == 0


# opening


@pytest.mark.parametrize("mode", list(LinkMode))
def test_nobody_there_is_an_error_that_says_what_to_do(mode: LinkMode) -> None:
    link = ZenohLink(ZenohConfig(mode=mode, connect=("tcp/127.0.0.1:1",), open_timeout_s=0.3))
    with pytest.raises(LinkError, match=r"no answer from tcp/127\.0\.0\.1:1 within 0\.3 s.*vagus router"):
        link.open()


def test_a_router_that_accepts_and_says_nothing_does_not_hold_us_for_ever(proxy: FaultProxy) -> None:
    proxy.set(Faults(stall=True))
    with pytest.raises(LinkError, match="no answer"):
        ZenohLink(replace(through(proxy), open_timeout_s=0.3)).open()


def test_on_a_slow_network_there_may_be_no_time_to_ask_for_tokens_again(proxy: FaultProxy) -> None:
    with ZenohLink(through(proxy)) as link:
        proxy.set(Faults(delay_ms=300))
        assert link.tokens("vagus/nobody/**", timeout_s=1.5) == frozenset()


def test_a_router_that_starts_late_is_waited_for() -> None:
    router = Router(RouterConfig(listen=("tcp/127.0.0.1:0",)))
    with router:
        endpoints = router.endpoints
    opening = subprocess.Popen(
        [sys.executable, "-c", OPEN, endpoints[0], "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert opening.stdout is not None
    assert opening.stdout.readline() == b"opening\n"
    with router:
        out, err = opening.communicate(timeout=30)
    assert opening.returncode == 0, err.decode()
    assert out == b"open\n"


def test_ctrl_c_ends_an_open_that_waits() -> None:
    opening = subprocess.Popen(
        [sys.executable, "-c", OPEN, "tcp/127.0.0.1:1", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert opening.stdout is not None
    assert opening.stdout.readline() == b"opening\n"
    opening.send_signal(signal.SIGINT)
    _, err = opening.communicate(timeout=30)
    assert b"KeyboardInterrupt" in err


OPEN = """
import sys
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
link = ZenohLink(ZenohConfig(connect=(sys.argv[1],), open_timeout_s=float(sys.argv[2])))
print("opening", flush=True)
link.open()
print("open", flush=True)
"""


def test_settings_that_zenoh_does_not_know_are_refused(router: Router) -> None:
    with pytest.raises(ConfigError, match="settings that Zenoh knows"):
        ZenohLink(ZenohConfig(connect=router.endpoints, extra=("no/such/setting=1",))).open()


def test_extra_settings_reach_zenoh(router: Router) -> None:
    config = ZenohConfig(connect=router.endpoints, extra=('id="123456789abcdef0"',))
    with ZenohLink(config) as link:
        assert zid(link) == "123456789abcdef0"


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/"])
def test_what_is_no_key_is_refused(router: Router, key: str) -> None:
    with ZenohLink(ZenohConfig(connect=router.endpoints)) as link:
        with pytest.raises(ProtocolError, match="not a key"):
            link.subscribe(key, lambda sample: None)
        with pytest.raises(ProtocolError, match="not a key"):
            link.query(key, b"", timeout_s=0.1)
        with pytest.raises(ProtocolError, match="not a key"):
            send(link, b"", key=key)


def test_living_tokens_are_never_missed(router: Router) -> None:
    config = ZenohConfig(connect=router.endpoints)
    with ZenohLink(config) as server, ZenohLink(config) as robot:
        server.token(KEY)
        robot.watch(KEY, lambda key, is_alive: None)
        settle(server, robot)
        assert all(robot.tokens(KEY, timeout_s=1.0) == {KEY} for _ in range(300))


def test_a_message_that_is_not_as_it_was_sent_is_dropped_and_counted(router: Router) -> None:
    config = ZenohConfig(connect=router.endpoints)
    unchecked = ZenohLink(replace(config, checksum=False))
    raw = open_zenoh_session(config.to_json5(), ())
    with ZenohLink(config) as link, unchecked, ZenohLink(config) as sender:
        received: list[Sample] = []
        garbled: list[Sample] = []
        link.subscribe(KEY, received.append)
        link.serve("@vagus/session", lambda query: query.reply(b"never"))
        unchecked.subscribe(KEY, garbled.append)
        settle(link, unchecked, sender)
        for attachment in (None, b"", seal(HEADER, b"other")):
            raw.put(KEY, b"payload", attachment=attachment)
        raw.put(KEY, b"payload", attachment=seal(HEADER, b"payload"))
        assert eventually(lambda: len(garbled) == 4)
        assert eventually(lambda: [sample.header for sample in received] == [HEADER])
        assert link.health().corrupted == 3
        assert not list(
            raw.get("@vagus/session", payload=b"open", attachment=seal(b"", b"close"), timeout=5.0)
        )
        assert link.health().corrupted == 4
        raw.declare_queryable("@vagus/forged", answer_unsealed)
        with pytest.raises(LinkError):
            sender.query("@vagus/forged", b"", timeout_s=0.5)
    close_zenoh_session(raw)


def test_a_message_to_a_subscriber_of_the_same_link_is_not_copied(router: Router) -> None:
    with ZenohLink(ZenohConfig(connect=router.endpoints)) as link:
        received: dict[str, list[bytes]] = {KEY: [], "later": [], "inner": []}
        inner, outer = bytes(1000), bytes(1000)

        def send_another(sample: Sample) -> None:
            received[KEY].append(sample.payload)
            send(link, inner, key="inner")

        link.subscribe(KEY, send_another)
        link.subscribe("inner", lambda sample: received["inner"].append(sample.payload))
        link.subscribe(KEY.replace("robot", "*"), lambda sample: received["later"].append(sample.payload))
        send(link, outer)
        assert [payload is outer for payload in (*received[KEY], *received["later"])] == [True, True]
        assert [payload is inner for payload in received["inner"]] == [True]


def answer_unsealed(query: zenoh.Query) -> None:
    """Answer as a broken link would."""
    query.reply("@vagus/forged", b"payload", attachment=seal(b"", b"other"))
    query.drop()  # type: ignore[no-untyped-call]


# leaving


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)"])
def test_the_interpreter_exits_without_a_close_under_a_flood(router: Router, ending: str) -> None:
    script = f"{FLOOD}\n{ending}"
    with ZenohLink(ZenohConfig(connect=router.endpoints)) as sender:
        for _ in range(3):
            leaving = subprocess.Popen(
                [sys.executable, "-c", script, *router.endpoints], stderr=subprocess.PIPE
            )
            while leaving.poll() is None:
                send(sender, bytes(1000))
            assert leaving.stderr is not None
            message = leaving.stderr.read().decode()
            leaving.stderr.close()
            assert leaving.returncode == 0, message
            assert "exception" not in message


FLOOD = f"""
import sys, threading
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
link = ZenohLink(ZenohConfig(connect=(sys.argv[1],)))
link.open()
flooded = threading.Event()
received = []
link.subscribe({KEY!r}, lambda sample: (received.append(1), len(received) > 50 and flooded.set()))
link.serve("a/b", lambda query: query.reply(b""))
link.watch("a/*", lambda key, is_alive: None)
link.token("a/alive")
assert flooded.wait(30)
"""


@pytest.mark.slow
def test_a_goodbye_into_a_black_hole_delays_an_exit_by_seconds_only(proxy: FaultProxy) -> None:
    leaving = subprocess.Popen(
        [sys.executable, "-c", STUFF, f"tcp/127.0.0.1:{proxy.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert leaving.stdout is not None
    assert leaving.stdout.readline() == b"open\n"
    proxy.set(Faults(stall=True))
    began_s = time.monotonic()
    _, err = leaving.communicate(b"go\n", timeout=60)
    assert (leaving.returncode, err) == (0, b"")
    assert time.monotonic() - began_s < 2 * CLOSE_TIMEOUT_S  # Zenoh alone: 10 s


STUFF = f"""
import sys
from vagus.transport.integrity import seal
from vagus.transport.link import Delivery
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
link = ZenohLink(ZenohConfig(connect=(sys.argv[1],), shared_memory=False))
link.open()
print("open", flush=True)
sys.stdin.readline()
for _ in range(4):
    link.publish({KEY!r}, header=bytes(27), payload=bytes(2_000_000), delivery=Delivery.OBSERVATION)
"""


# delivery classes: each choice with the opposite one failing


def longest_publish_s(delivery: Delivery) -> tuple[float, float]:
    """Return the longest publish and the longest gap at a healthy robot, with another robot frozen."""
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as port_finder:
        endpoints = port_finder.endpoints
    config = ZenohConfig(mode=LinkMode.PEER, listen=endpoints, shared_memory=False)
    client = ZenohConfig(connect=endpoints, shared_memory=False)
    frozen = subprocess.Popen([sys.executable, "-c", LISTEN, *endpoints], stdout=subprocess.PIPE)
    try:
        with ZenohLink(config) as server, ZenohLink(client) as healthy:
            received_s: list[float] = []
            healthy.subscribe("@vagus/healthy", lambda sample: received_s.append(time.monotonic()))
            assert eventually(lambda: "@vagus/frozen" in server.tokens("@vagus/*", timeout_s=1.0))
            settle(healthy, server)
            frozen.send_signal(signal.SIGSTOP)
            longest_s = 0.0
            for _ in range(400):
                for name in ("frozen", "healthy"):
                    began_s = time.monotonic()
                    send(server, bytes(30_000), delivery, f"@vagus/{name}")
                    longest_s = max(longest_s, time.monotonic() - began_s)
                time.sleep(0.002)
            assert eventually(lambda: len(received_s) > 300)
            return longest_s, max(b - a for a, b in pairwise(received_s))
    finally:
        frozen.kill()
        frozen.communicate()


LISTEN = """
import sys, time
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
link = ZenohLink(ZenohConfig(connect=(sys.argv[1],), shared_memory=False, open_timeout_s=30))
link.open()
link.subscribe("@vagus/frozen", lambda sample: None)
link.token("@vagus/frozen")
time.sleep(600)
"""


@pytest.mark.process
def test_a_frozen_robot_does_not_stall_the_servers_publish() -> None:
    longest_s, gap_s = longest_publish_s(Delivery.CHUNK)
    assert longest_s < BLOCK_S / 2
    assert gap_s < BLOCK_S / 2


@pytest.mark.slow
@pytest.mark.process
def test_publishing_that_blocks_would_stall_on_a_frozen_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    blocking = replace(QUALITY[Delivery.CHUNK], congestion_control=zenoh.CongestionControl.BLOCK)
    monkeypatch.setitem(QUALITY, Delivery.CHUNK, blocking)
    longest_s, gap_s = longest_publish_s(Delivery.CHUNK)
    assert longest_s > BLOCK_S / 2
    assert gap_s > BLOCK_S / 2


def overtaken(router: Router, proxy: FaultProxy) -> int:
    """Return how many of 8 large observations sent before a chunk over a slow link arrive before it."""
    with ZenohLink(ZenohConfig(connect=router.endpoints)) as receiver, ZenohLink(through(proxy)) as sender:
        arrived: list[int] = []
        receiver.subscribe("@vagus/*", lambda sample: arrived.append(len(sample.payload)))
        settle(receiver, sender)
        proxy.set(Faults(rate_mbit=20.0))
        for _ in range(8):
            send(sender, bytes(150_000), Delivery.OBSERVATION, "@vagus/obs")
        send(sender, bytes(5_000), Delivery.CHUNK, "@vagus/chunk")
        assert eventually(lambda: 5_000 in arrived)
        return arrived.index(5_000)


def test_a_chunk_overtakes_observations_on_a_slow_link(router: Router, proxy: FaultProxy) -> None:
    assert overtaken(router, proxy) < 8


def test_a_chunk_of_an_observations_priority_would_wait_its_turn(
    router: Router, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUALITY, Delivery.CHUNK, QUALITY[Delivery.OBSERVATION])
    assert overtaken(router, proxy) == 8


def answered_in_s(router: Router, proxy: FaultProxy) -> float:
    """Return how long a query of 0.2 s takes behind observations that a stalled link does not let through."""
    with ZenohLink(ZenohConfig(connect=router.endpoints)) as server, ZenohLink(through(proxy)) as robot:
        server.serve(KEY, lambda query: query.reply(b""))
        settle(server, robot)
        proxy.set(Faults(stall=True))
        for _ in range(4):
            send(robot, bytes(2_000_000), Delivery.OBSERVATION, "@vagus/obs")
        began_s = time.monotonic()
        with pytest.raises(LinkError):
            robot.query(KEY, b"", timeout_s=0.2)
        return time.monotonic() - began_s


def test_a_query_keeps_its_timeout_on_a_stalled_link(router: Router, proxy: FaultProxy) -> None:
    assert answered_in_s(router, proxy) < BLOCK_S


@pytest.mark.slow
def test_a_query_that_blocks_would_not(
    router: Router, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocking = replace(QUERY_QUALITY, congestion_control=zenoh.CongestionControl.BLOCK)
    monkeypatch.setattr(zenoh_connection, "QUERY_QUALITY", blocking)
    assert answered_in_s(router, proxy) > BLOCK_S / 2
