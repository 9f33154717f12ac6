"""Device of a server, by what the server says of itself, and what a robot there does by default. Pure."""

from __future__ import annotations

from vagus.edge.asking import processor_time_s
from vagus.edge.config import EdgeConfig
from vagus.planning.latency_table import measured_table
from vagus.planning.planner import Device
from vagus.planning.robot_kinds import MAX_ROBOTS, asking_after
from vagus.server.capacity import RobotDemand
from vagus.wire.schema import Capabilities

__all__ = ["ROUND_TRIP_S", "device_of", "usual_demand"]

ROUND_TRIP_S = 0.01
"""Round trip of a robot that nobody has measured: a good network."""


def device_of(said: Capabilities) -> Device:
    """Return the device of a server.

    Raises:
        ConfigError: the server has measured nothing.
    """
    table = measured_table(said.latency, server=said.server)
    admitted = 1 if said.serving_mode == "exclusive" else said.load.max_sessions or MAX_ROBOTS
    return Device(
        table,
        max_batch=max(table),
        max_robots=min(admitted, MAX_ROBOTS),
        processor_s=processor_time_s(said.decode_per_s),
    )


def usual_demand(said: Capabilities, *, round_trip_s: float = ROUND_TRIP_S) -> RobotDemand | None:
    """Return what a robot with default settings asks of this server; None: it says no rate or no horizon."""
    if said.rate_hz <= 0 or said.horizon <= 0:
        return None
    usual = EdgeConfig()
    demand = RobotDemand(
        rate_hz=said.rate_hz,
        horizon=said.horizon,
        buffer_s=usual.buffer_time_s,
        round_trip_s=round_trip_s,
        max_action_age_s=usual.max_action_age_s,
    )
    return asking_after(demand, usual.execute_horizon)
