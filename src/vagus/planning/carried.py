"""How many robots with default settings a server carries, in two lines for its start. Pure."""

from __future__ import annotations

from dataclasses import replace

from vagus.errors import ConfigError
from vagus.planning.planner import Capacity, Device, Limit, capacity_of
from vagus.planning.robot_kinds import RobotKind
from vagus.planning.served_device import device_of, usual_demand
from vagus.planning.trial import simulated
from vagus.server.capacity import RobotDemand
from vagus.server.config import ServeConfig
from vagus.wire.schema import Capabilities

__all__ = ["SLO_STARVED_SHARE", "carried_lines"]

SLO_STARVED_SHARE = ServeConfig().slo_starved_share
MOST_TRIED = 128
"""More robots are not simulated at the start of a server: it would take seconds."""


def carried_lines(said: Capabilities) -> list[str]:
    """Return how many robots with default settings a server carries; []: it has measured nothing."""
    demand = usual_demand(said)
    if demand is None:
        return []
    try:
        device = device_of(said)
    except ConfigError:
        return []
    tried = replace(device, max_robots=min(device.max_robots, MOST_TRIED))
    found = capacity_of(tried, (RobotKind(1, demand),), Limit(SLO_STARVED_SHARE, simulated))
    return [_found(found, device, said), _terms(demand)]


def _found(found: Capacity, device: Device, said: Capabilities) -> str:
    if not found.robots:
        starved = 1.0 if found.beyond is None else found.beyond.starved_share
        return f"too slow for even one robot: it would have no action in {starved:.0%} of its steps"
    if said.serving_mode == "exclusive":
        return "fast enough for its one robot"
    if found.limited_by == "sessions":
        if found.robots < device.max_robots:
            return f"carries {found.robots} robots and more; up to {device.max_robots} may connect"
        return f"carries all {found.robots} robots that may connect"
    by = "the device" if found.limited_by == "device" else "decoding on its processor"
    robots = "1 robot" if found.robots == 1 else f"{found.robots} robots"
    return f"carries about {robots}, limited by {by}; up to {device.max_robots} may connect"


def _terms(demand: RobotDemand) -> str:
    pause = "" if demand.buffer_s < demand.chunk_s else ", so they ask without a pause"
    return (
        f"that is simulated: at most {SLO_STARVED_SHARE:.0%} of the steps without an action, "
        f"buffer {demand.buffer_s:g} s{pause}, round trip {demand.round_trip_s * 1000:g} ms; "
        "vagus plan counts other robots"
    )
