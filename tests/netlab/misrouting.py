# ruff: noqa: T201 - a program that speaks over its output
"""Both ends of the misrouting test: every message names its key, and every receiver compares.

`misrouting.py SIDE PARTIES ROBOTS RULE LEASE_MS`: SIDE `near` has a router, the link of SIDE `far` flaps.
PARTIES there: `server`, `robots` (a link each) or `gateway` (all robots on one link). RULE: `reopen`
replaces lost transports, `live-on` lets Zenoh reconnect; `-unchecked` behind it accepts messages with a
wrong checksum. Each side reports what arrived under a wrong key or garbled, what the checksum kept out, and
what the check of the header, the one that robots and servers make, accepted of it: `accepted_wrong`.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from netlab.lab import SERVER_ADDRESS
from vagus.edge.client.inflight import LatencyWindow
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.config import EdgeConfig
from vagus.server.sessions import Session as ServerSession
from vagus.server.sessions import SessionTable
from vagus.specs import ActionFeature, PolicySpec
from vagus.transport.keys import ServerKey, ServiceKey, client_segment
from vagus.transport.link import Delivery, Link, Sample
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.wire.codec import decode_header, encode_header
from vagus.wire.schema import Header, Kind

ENDPOINTS = (f"tcp/{SERVER_ADDRESS}:7447",)
SERVER = ServerKey(ServiceKey.of("model", "1"), "gpu-0a1b2c")
FIRST_EPOCH = 1000
PERIOD_S = 0.02
PAYLOAD = bytes(range(1, 251)) * 16
"""Enough that an outage fills the socket: what breaks off in the middle is what breaks messages."""
WAIT_BEFORE_CLOSE = "transport/link/tx/queue/congestion_control/block/wait_before_close=500000"
"""Below the short leases used here, by which more outages are long enough to be noticed."""


class LoopStats:
    """Counts what arrives; a message says itself where it belongs."""

    def __init__(self) -> None:
        self.received = 0
        self.misrouted = 0
        self.garbled = 0
        self.accepted_wrong = 0
        self.refused_right = 0
        self.examples: list[str] = []

    def take(
        self, sample: Sample, expected: Callable[[str], bool], is_accepted: Callable[[Sample, Header], bool]
    ) -> None:
        """Count one message.

        `expected` decides whether the key that it was sent to may arrive here, `is_accepted` is the check
        that a robot or a server makes, which knows only key and header.
        """
        self.received += 1
        sent_to = sample.payload[len(PAYLOAD) :].decode(errors="replace")
        if not sample.payload.startswith(PAYLOAD) or len(sample.header) != 27 or "/" not in sent_to:
            self.garbled += 1
            return
        has_passed = is_accepted(sample, decode_header(sample.header))
        if sample.key == sent_to and expected(sent_to):
            self.refused_right += not has_passed
            return
        self.misrouted += 1
        self.accepted_wrong += has_passed
        if len(self.examples) < 5:
            self.examples.append(f"{sent_to} → {sample.key}")


def send(link: Link, key: str, index: int, delivery: Delivery) -> None:
    """Publish a message of robot `index` that names its key."""
    kind = Kind.OBSERVATION if delivery is Delivery.OBSERVATION else Kind.CHUNK
    header = encode_header(Header(kind, seq=1, episode=0, client_mono_ns=0, epoch=FIRST_EPOCH + index))
    link.publish(key, header=header, payload=PAYLOAD + key.encode(), delivery=delivery)


def run(links: list[ZenohLink], work: Callable[[], None], tally: LoopStats) -> None:
    """Do `work` at a steady rate until the input ends, then report."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(PERIOD_S):
            work()

    worker = threading.Thread(target=repeat)
    worker.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    worker.join()
    reopened = [link.health().reopened for link in links]
    print(
        json.dumps(
            {
                "received": tally.received,
                "misrouted": tally.misrouted,
                "garbled": tally.garbled,
                "accepted_wrong": tally.accepted_wrong,
                "refused_right": tally.refused_right,
                "dropped": sum(link.health().corrupted for link in links),
                "examples": tally.examples,
                "reopened": sum(reopened),
                "links": len(links),
                "connected": sum(link.health().is_connected for link in links),
            }
        ),
        flush=True,
    )


def serve(link: ZenohLink, count: int, tally: LoopStats) -> Callable[[], None]:
    """Receive every robot's observations on `link`; the work sends each robot a chunk."""
    sessions = SessionTable(max_sessions=count, grace_ns=1, idle_ns=1)
    for index in range(count):
        sessions.open(f"robot{index}", "instance", FIRST_EPOCH + index, 0)

    def is_accepted(sample: Sample, header: Header) -> bool:
        return isinstance(sessions.find(client_segment(sample.key), header.epoch), ServerSession)

    link.subscribe(SERVER.any_client.observation, lambda sample: tally.take(sample, anything, is_accepted))

    def work() -> None:
        for index in range(count):
            send(link, SERVER.client(f"robot{index}").chunk, index, Delivery.CHUNK)

    return work


def anything(_: str) -> bool:
    """Whatever key a message was sent to may arrive."""
    return True


def move(links: list[ZenohLink], count: int, tally: LoopStats) -> Callable[[], None]:
    """Receive each robot's own chunks on its link; the work sends an observation of each."""
    robots = [(links[index % len(links)], SERVER.client(f"robot{index}"), index) for index in range(count)]
    for link, key, index in robots:
        link.subscribe(key.chunk, partial(take_own, tally, key.chunk, uplink_of(index)))

    def work() -> None:
        for link, key, index in robots:
            send(link, key.observation, index, Delivery.OBSERVATION)

    return work


def uplink_of(index: int) -> ClientProtocol:
    """Return what judges the messages that robot `index` gets: the one of the real client."""
    spec = PolicySpec("none", (ActionFeature("x", "m"),), (), (), horizon=1, model_dim=1, rate_hz=1.0)
    protocol = ClientProtocol(EdgeConfig(), spec, LatencyWindow())
    protocol.opened(SessionRef(SERVER, FIRST_EPOCH + index), 0)
    return protocol


def take_own(tally: LoopStats, key: str, protocol: ClientProtocol, sample: Sample) -> None:
    """Count a message that only `key` may bring."""

    def is_accepted(sample: Sample, header: Header) -> bool:
        before = protocol.counters["misrouted"]
        protocol.receive(header, sample.payload, 0)
        return protocol.counters["misrouted"] == before

    tally.take(sample, lambda sent_to: sent_to == key, is_accepted)


def main(side: str, parties: str, count: int, rule: str, lease_ms: int) -> None:
    """Run one side, which the other takes for gone after `lease_ms` without a sign of life."""
    extra = (f"transport/link/tx/lease={lease_ms}", WAIT_BEFORE_CLOSE)
    config = ZenohConfig(
        connect=ENDPOINTS,
        shared_memory=False,
        extra=extra,
        open_timeout_s=10.0,
        reopen_on_loss=rule.startswith("reopen"),
        checksum=not rule.endswith("unchecked"),
        watchdog_s=3.0 if rule.startswith("reopen") else 0.0,
    )
    tally = LoopStats()
    with ExitStack() as stack:
        if side == "near":
            stack.enter_context(Router(RouterConfig(listen=ENDPOINTS, shared_memory=False, extra=extra)))
        links = [stack.enter_context(ZenohLink(config)) for _ in range(count if parties == "robots" else 1)]
        work = serve(links[0], count, tally) if parties == "server" else move(links, count, tally)
        run(links, work, tally)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
