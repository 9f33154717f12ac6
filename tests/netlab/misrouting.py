# ruff: noqa: T201 - a program that speaks over its output
"""Both ends of the misrouting test: every message names its key, and every receiver compares.

`misrouting.py router N RULE` runs a router and N robots beside it, `misrouting.py server N RULE` the server,
whose link to that router flaps; RULE is `reopen` or `live-on`. Each reports what arrived under a wrong key.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack

from netlab.lab import SERVER_ADDRESS
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.link import Delivery, Link, Sample
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

ENDPOINTS = (f"tcp/{SERVER_ADDRESS}:7447",)
SERVER = ServerKey(ServiceKey.of("model", "1"), "gpu-0a1b2c")
PERIOD_S = 0.02
PAYLOAD = bytes(500)
EXTRA = (
    "transport/link/tx/lease=1000",
    "transport/link/tx/queue/congestion_control/block/wait_before_close=500000",
)
"""A short lease: more outages are long enough to be noticed."""


class Tally:
    """Counts what arrives; a message says itself where it belongs."""

    def __init__(self) -> None:
        self.received = 0
        self.misrouted = 0
        self.examples: list[str] = []

    def take(self, sample: Sample, expected: Callable[[str], bool]) -> None:
        """Count one message; `expected` decides whether the key that it was sent to may arrive here."""
        sent_to = sample.payload[len(PAYLOAD) :].decode()
        self.received += 1
        if sample.key == sent_to and expected(sent_to):
            return
        self.misrouted += 1
        if len(self.examples) < 5:
            self.examples.append(f"{sent_to} → {sample.key}")


def send(link: Link, key: str, delivery: Delivery) -> None:
    """Publish a message that names its key."""
    link.publish(key, header=bytes(27), payload=PAYLOAD + key.encode(), delivery=delivery)


def run(links: list[ZenohLink], work: Callable[[], None], tally: Tally) -> None:
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
                "examples": tally.examples,
                "reopened": sum(reopened),
                "connected": sum(link.health().is_connected for link in links),
            }
        ),
        flush=True,
    )


def run_router(count: int) -> None:
    """Run a router and the robots beside it."""
    config = ZenohConfig(connect=ENDPOINTS, shared_memory=False)
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(Router(RouterConfig(listen=ENDPOINTS, shared_memory=False, extra=EXTRA)))
        robots = [stack.enter_context(ZenohLink(config)) for _ in range(count)]
        keys = [SERVER.client(f"robot{index}") for index in range(count)]
        for robot, key in zip(robots, keys, strict=True):
            mine = key.chunk
            robot.subscribe(mine, lambda sample, mine=mine: tally.take(sample, lambda sent: sent == mine))  # type: ignore[misc]

        def work() -> None:
            for robot, key in zip(robots, keys, strict=True):
                send(robot, key.observation, Delivery.OBSERVATION)

        run(robots, work, tally)


def run_server(count: int, *, reopens: bool) -> None:
    """Run the server behind the link that flaps."""
    watchdog_s = 3.0 if reopens else 0.0
    config = ZenohConfig(
        connect=ENDPOINTS,
        shared_memory=False,
        extra=EXTRA,
        open_timeout_s=10.0,
        reopen_on_loss=reopens,
        watchdog_s=watchdog_s,
    )
    tally = Tally()
    with ZenohLink(config) as server:
        keys = [SERVER.client(f"robot{index}") for index in range(count)]
        server.subscribe(SERVER.any_client.observation, lambda sample: tally.take(sample, lambda _: True))

        def work() -> None:
            for key in keys:
                send(server, key.chunk, Delivery.CHUNK)

        run([server], work, tally)


if __name__ == "__main__":
    role, robots, rule = sys.argv[1:]
    if role == "router":
        run_router(int(robots))
    else:
        run_server(int(robots), reopens=rule == "reopen")
