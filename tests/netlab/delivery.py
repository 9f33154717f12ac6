"""Both ends of the delivery test: `delivery.py receive` with a router, `delivery.py send CLASS` without.

The receiver prints "ready", then the number of each observation as it arrives; both end with their input.
"""

# ruff: noqa: T201 - a program that speaks over its output

from __future__ import annotations

import sys
import time
from dataclasses import replace

from netlab.lab import SERVER_ADDRESS
from vagus.transport.link import Delivery, Sample
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

ENDPOINTS = (f"tcp/{SERVER_ADDRESS}:7447",)
KEY = "@vagus/m/r/default/server/robot/obs"
SIZE_BYTES = 150_000
PERIOD_S = 0.5
COUNT = 16

ZENOH_DEFAULTS = (
    "transport/link/tx/queue/size/data=2",
    "transport/link/tx/queue/congestion_control/drop/wait_before_drop=1000",
    "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments=50000",
)
"""What a session has that is not told otherwise."""


def receive() -> None:
    """Print which observations arrive."""
    router = RouterConfig(listen=ENDPOINTS, shared_memory=False)
    with Router(router), ZenohLink(ZenohConfig(connect=ENDPOINTS, shared_memory=False)) as link:
        link.subscribe(KEY, report)
        print("ready", flush=True)
        sys.stdin.read()


def report(sample: Sample) -> None:
    """Print the number of an observation."""
    print(int.from_bytes(sample.header[:8], "little"), flush=True)


def send(*, is_default: bool) -> None:
    """Send observations at a steady rate and print how long the longest publish took."""
    # the two hosts are one machine: shared memory would go around the network
    config = ZenohConfig(connect=ENDPOINTS, shared_memory=False, open_timeout_s=10.0)
    if is_default:
        config = replace(config, extra=ZENOH_DEFAULTS, send_buffer_bytes=0)
    with ZenohLink(config) as link:
        print("ready", flush=True)
        longest_s, next_s = 0.0, time.monotonic()
        for number in range(COUNT):
            time.sleep(max(0.0, next_s - time.monotonic()))
            next_s += PERIOD_S
            began_s = time.monotonic()
            header = number.to_bytes(8, "little") + bytes(19)
            link.publish(KEY, header=header, payload=bytes(SIZE_BYTES), delivery=Delivery.OBSERVATION)
            longest_s = max(longest_s, time.monotonic() - began_s)
        print(longest_s, flush=True)
        sys.stdin.read()  # what is queued needs time to arrive


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive()
    else:
        send(is_default=sys.argv[2] == "default")
