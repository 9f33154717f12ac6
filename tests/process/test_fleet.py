"""Real robots on real servers: they spread, nobody starves when one dies, and a new one gets its share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks.fleet_rig import FleetRig, Span

pytestmark = [pytest.mark.process, pytest.mark.timeout(240), pytest.mark.slow]

ROBOTS = 12
PROCESSES = 2
POLICY = {"alone_ms": 40, "eight_ms": 60, "horizon": 60, "rate_hz": 30}
EDGE = {"buffer_time_s": 1.2}
WATCHED_S = 5.0
PATIENCE_S = 60.0
"""A new server has its share within a minute."""


@pytest.fixture
def rig() -> Iterator[FleetRig]:
    with ExitStack() as stack:
        yield FleetRig(stack, policy=POLICY)


def check_nobody_starved(span: Span) -> None:
    assert span.ended == []
    assert span.starved_shares == dict.fromkeys(span.last, 0.0)
    assert len(span.last) == ROBOTS
    assert all(robot.worker_errors == 0 for robot in span.last.values())


def test_a_fleet_spreads_and_bears_the_loss_of_a_server_and_fills_a_new_one(rig: FleetRig) -> None:
    rig.serve("a", "b")
    rig.start_robots(ROBOTS, PROCESSES, EDGE)
    span = rig.begin_span()
    rig.watch(span, WATCHED_S)
    balance = rig.balance(span.last.values())
    check_nobody_starved(span)
    assert rig.is_balanced(span.last.values(), most=4), balance

    span = rig.begin_span()
    rig.kill("a")
    rig.watch(span, WATCHED_S)
    check_nobody_starved(span)
    assert rig.balance(span.last.values()) == {"b": ROBOTS}
    assert span.moves == balance["a"]

    span = rig.begin_span()
    rig.serve("c")
    settled_s = rig.wait(span, rig.is_balanced, PATIENCE_S)
    rig.watch(span, WATCHED_S)
    assert settled_s is not None, rig.balance(span.last.values())
    check_nobody_starved(span)
    assert rig.is_balanced(span.last.values())
    assert ROBOTS / 2 - 1 <= span.moves <= ROBOTS * 2 / 3
    assert span.returns == 0
