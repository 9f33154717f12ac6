"""Floods of one tenant, or of one robot of a tenant: the others are served as often as without them.

Counted is the part of some hundred served requests that the worst-off honest robot gets: beside a robot that
behaves, and beside the flood.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from server.raw_client import Asker, CountingPolicy, RawClient, Stand, serving, wait_until
from vagus.errors import LinkError
from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS
from vagus.server.tenants import Tenant
from vagus.wire.schema import Header, Kind

BATCHES = 100
WORK_S = 0.004
"""Time of a batch, in which the robots that were served before ask again."""
PAUSE_S = 0.001
LABS = (
    Tenant(name="a", clients=("a-*",), max_sessions=4),
    Tenant(name="b", clients=("b-*",), max_sessions=4),
)
CONFIG = ServeConfig(warm_up=False, max_batch=1, max_sessions=8, tenants=LABS)

Step: TypeAlias = Callable[[RawClient, int], None]
"""One message of a flood, by its robot and its number."""


def requests(client: RawClient, number: int) -> None:
    client.send(float(100 + number % 7))


def malformed(client: RawClient, number: int) -> None:
    client.seq += 1
    header = None if number % 2 else Header(Kind.CHUNK, 0, 0, 0, client.epoch)
    client.send_bytes(b"\xc1" * (number % 50), header=header)


def huge(client: RawClient, number: int) -> None:
    client.seq += 1
    client.send_bytes(bytes(4 << 20) if number % 10 == 0 else b"")


def resets(client: RawClient, number: int) -> None:
    with contextlib.suppress(LinkError):
        client.reset(number + 1)
    client.send(100.0, episode=number + 1)


def opens(client: RawClient, number: int) -> None:
    names = [f"a-{10 + number % 40}", "a-9", "a-8"]
    with contextlib.suppress(LinkError):
        RawClient(client.link, client.keys.server, names[number % 3]).try_open()


FLOODS: dict[str, Step] = {
    "1,000 requests per second": requests,
    "malformed bytes": malformed,
    "huge messages": huge,
    "resets": resets,
    "session opens": opens,
}


@contextlib.contextmanager
def flooding(client: RawClient, step: Step) -> Iterator[None]:
    """Send one message after another, a thousand per second at most, until the end of the block."""
    stopping = threading.Event()
    client.on_reply = lambda _: None

    def flood() -> None:
        number = 0
        while not stopping.wait(PAUSE_S):
            step(client, number)
            number += 1

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def part_of(stand: Stand, honest: list[Asker]) -> float:
    """Return the part of the next served requests that the worst-off of these robots gets."""
    wait_until(lambda: all(robot.replies > 5 for robot in honest))
    before, begun = [robot.replies for robot in honest], len(stand.policy.batches)
    wait_until(lambda: len(stand.policy.batches) >= begun + BATCHES)
    return min(robot.replies - count for robot, count in zip(honest, before, strict=True)) / BATCHES


def started(stand: Stand, *names: str) -> list[Asker]:
    robots = [Asker(stand.opened(name), number) for number, name in enumerate(names, start=1)]
    for robot in robots:
        robot.start()
    return robots


def slow_policy() -> CountingPolicy:
    policy = CountingPolicy()
    policy.work_s = WORK_S
    return policy


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("honest", [("b-1", "b-2"), ("a-1", "a-2")], ids=["other tenant", "same tenant"])
def test_a_flood_changes_nobody_elses_part(flood: str, honest: tuple[str, str]) -> None:
    with serving(CONFIG, slow_policy()) as stand:
        robots = started(stand, *honest)
        (behaving,) = started(stand, "a-3")
        alone = part_of(stand, robots)
        behaving.is_asking = False
        with flooding(behaving.client, FLOODS[flood]):
            part = part_of(stand, robots)
            assert stand.client("b-3").try_open().accepted
        assert alone > 0.15
        assert part / alone > 0.8
        assert [robot.faults for robot in robots] == [[], []]
        assert stand.server._threads.ended == ""


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_tenants_share_the_device_by_weight_and_not_by_the_number_of_their_robots(
    scheduler: str, weight: float
) -> None:
    tenants = (Tenant(name="a", clients=("a-*",)), Tenant(name="b", clients=("b-*",), weight=weight))
    config = ServeConfig(warm_up=False, max_batch=1, scheduler=scheduler, tenants=tenants)
    with serving(config, slow_policy()) as stand:
        started(stand, *(f"a-{number}" for number in range(6)))
        few = started(stand, "b-1", "b-2", "b-3")
        part_of(stand, few)  # until what was used says who wants too much
        part = 3 * part_of(stand, few)
    assert 0.75 < part / (weight / (1 + weight)) < 1.25
