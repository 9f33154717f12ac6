"""What `vagus plan` predicts, played by real robots on a real server: where they begin to starve."""

from __future__ import annotations

import math
from contextlib import ExitStack

import pytest

from benchmarks.fleet_rig import FleetRig
from vagus.edge.config import EdgeConfig
from vagus.planning.planner import Device, Limit, capacity_of
from vagus.planning.robot_kinds import RobotKind, asking_after
from vagus.planning.trial import simulated
from vagus.server.capacity import RobotDemand

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

ALONE_MS, EIGHT_MS = 150, 500
POLICY = {"alone_ms": ALONE_MS, "eight_ms": EIGHT_MS, "horizon": 60, "rate_hz": 30}
"""Slow, so that what a busy machine adds counts for little."""
TABLE = {size: ALONE_MS + (EIGHT_MS - ALONE_MS) / 7 * (size - 1) for size in range(1, 9)}
BUFFER_S = 1.0
DEMAND = asking_after(
    RobotDemand(rate_hz=30, horizon=60, buffer_s=BUFFER_S, round_trip_s=0.005, max_action_age_s=3.0),
    EdgeConfig().execute_horizon,
)
"""Of robots that ask as there is room, and so by their buffer where there is none."""
SLO_STARVED_SHARE = 0.01
UNLIMITED = ("--admission", "off", "--no-rate-control")
"""The server lets too many robots come, and does not slow them down."""
SETTLE_S, WATCH_S = 10.0, 15.0
PROCESSES = 4


def starved_share(robots: int) -> float:
    """Return the share of the steps of all robots without an action."""
    with ExitStack() as stack:
        rig = FleetRig(stack, policy=POLICY, serve=UNLIMITED)
        rig.serve("a")
        rig.start_robots(robots, PROCESSES, {"buffer_time_s": BUFFER_S})
        rig.watch(rig.begin_span(), SETTLE_S)
        span = rig.begin_span()
        rig.watch(span, WATCH_S)
    assert not span.ended
    shares = span.starved_shares
    assert len(shares) == robots
    return sum(shares.values()) / robots


def test_real_robots_begin_to_starve_within_a_tenth_of_the_predicted_number() -> None:
    limit = Limit(SLO_STARVED_SHARE, simulated)
    planned = capacity_of(Device(TABLE, max_batch=8), [RobotKind(1, DEMAND)], limit).robots
    assert planned > 10  # a tenth is a robot at least
    assert starved_share(math.floor(0.9 * planned)) <= SLO_STARVED_SHARE
    assert starved_share(math.ceil(1.1 * planned)) > SLO_STARVED_SHARE
