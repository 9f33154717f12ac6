"""Trial of some robots on one device, by the simulation of a fleet. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vagus.edge.config import AUTO
from vagus.planning.fleet_result import FleetResult
from vagus.planning.network_law import NetworkLaw
from vagus.planning.planner import Device, Trial
from vagus.planning.robot_kinds import RobotKind
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.capacity import RobotDemand
from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS

__all__ = ["ASSUMPTIONS", "simulated"]

LEAST_MEASURED_S = 6.0
MOST_CHUNKS, LEAST_CHUNKS = 20, 5
"""A trial lasts so many chunks of its slowest robot; many robots need fewer for the same certainty."""
CHUNKS_IN_ALL = 640
UNMEASURED_CHUNKS = 8
"""Chunks before it in which nothing is counted: robots find their places behind each other."""
SETTLE_S = 0.25
"""Time in which a robot whose plan has ended comes to a stand; what it saw before is answered in vain."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, without their whole parts, are spread evenly for every number of them."""

IN_TURN = "round_robin"
"""Scheduler for equal robots: of these every scheduler carries as many, and this one decides fastest."""

ASSUMPTIONS = (
    "a simulation, no formula: the robots' rule when to ask, the server's scheduler (equal robots: in turn)",
    "robots begin at different moments, and the first seconds are not counted",
    f"a robot whose plan has ended needs {SETTLE_S:g} s to stand, and then a new chunk",
    "robots that ask as the server has room have real-time chunking; without it they ask half as often",
    "robots ask one request after the other; over a slow network they ask ahead, within half of the server",
    "every batch takes the median of its size, and nothing else runs on the device",
    "the network always takes the stated round trip: nothing is lost, and nothing comes late",
    "a batch size between two of the table takes a time between theirs",
)


def simulated(device: Device, kinds: Sequence[RobotKind]) -> Trial:
    """Return what becomes of some robots on one device."""
    robots = tuple(_robots(kinds))
    chunk_s = max(kind.demand.chunk_s for kind in kinds)
    chunks = min(max(CHUNKS_IN_ALL // len(robots), LEAST_CHUNKS), MOST_CHUNKS)
    measured_s = max(LEAST_MEASURED_S, chunks * chunk_s)
    unmeasured_s = UNMEASURED_CHUNKS * chunk_s
    server = SimulatedServer(
        "device",
        latency_rows(dict(device.table)),
        device.max_batch,
        SCHEDULERS[IN_TURN if len(kinds) == 1 else ServeConfig().scheduler],
        max_sessions=len(robots),
        processor_s=device.processor_s,
    )
    duration_s = unmeasured_s + measured_s
    found = simulate(robots, [server], duration_s=duration_s, measured_from_s=unmeasured_s)
    served = found.servers[0]
    return Trial(
        robots=len(robots),
        starved_share=max(_starved_shares(found, kinds)),
        busy=min(served.busy, 1.0),
        batch=served.mean_batch,
        requests_per_s=sum(result.played.requests for result in found.robots) / measured_s,
    )


def _starved_shares(found: FleetResult, kinds: Sequence[RobotKind]) -> Iterator[float]:
    """Yield the share of steps without an action for each kind, in the order of the kinds."""
    results = iter(found.robots)
    for kind in kinds:
        played = [next(results).played for _ in range(kind.count)]
        starved, useful = sum(one.starved for one in played), sum(one.useful for one in played)
        yield starved / (starved + useful)


def _robots(kinds: Sequence[RobotKind]) -> Iterator[SimulatedRobot]:
    number = 0
    for kind in kinds:
        for _ in range(kind.count):
            number += 1
            yield _robot(kind.demand, number)


def _robot(demand: RobotDemand, number: int) -> SimulatedRobot:
    return SimulatedRobot(
        name=f"robot-{number}",
        rate_hz=demand.rate_hz,
        horizon=demand.horizon,
        buffer_s=demand.buffer_s,
        execute_horizon=AUTO if demand.observe_steps else demand.execute_horizon or None,
        network=NetworkLaw(demand.round_trip_s / 2),
        start_s=demand.chunk_s * (number * GOLDEN % 1),
        max_action_age_s=demand.max_action_age_s,
        settle_s=SETTLE_S,
    )
