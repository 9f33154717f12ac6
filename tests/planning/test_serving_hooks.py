from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vagus.planning.fleet_hooks import FleetHooks, RowTimes
from vagus.planning.fleet_result import FleetResult
from vagus.planning.serving_hooks import ServingHooks, simulated_demand
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import ServerView, SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.scheduler import SCHEDULERS

H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1}
AGE_S = 0.7
"""Half a second of a chunk, and two tenths for its way."""


def fleet(count: int) -> list[SimulatedRobot]:
    return [
        SimulatedRobot(f"arm-{number}", 20.0, 10, 0.2, start_s=0.001 + number * 0.37 % 1)
        for number in range(count)
    ]


def run(
    robots: Sequence[SimulatedRobot],
    hooks: FleetHooks,
    *,
    duration_s: float = 25.0,
    scheduler: str = "round_robin",
) -> FleetResult:
    gpu = SimulatedServer("gpu-0", latency_rows(H200), 8, SCHEDULERS[scheduler])
    return simulate(robots, [gpu], duration_s=duration_s, hooks=hooks, measured_from_s=10.0)


@pytest.mark.parametrize("count", [50, 75])
def test_in_overload_commanded_actions_are_young_if_the_rate_is_limited(count: int) -> None:
    """Two and three times as many robots as the device can serve."""
    robots = fleet(count)
    free, capped = run(robots, FleetHooks()), run(robots, ServingHooks(max_starved_share=None))
    assert capped.within(AGE_S) >= 0.95
    assert free.within(AGE_S) < 0.9
    assert capped.useful > 1.2 * free.useful
    assert capped.fairness > 0.99


@pytest.mark.parametrize("count", [50, 75])
def test_robots_that_pause_are_waited_for_so_that_batches_are_full(count: int) -> None:
    """They begin together. Round robin takes all that ask, so its batches grow as long as its robots wait."""
    robots = [SimulatedRobot(f"arm-{number}", 20.0, 10, 0.4) for number in range(count)]
    ours, in_turn = (
        run(robots, ServingHooks(max_starved_share=None), scheduler=scheduler, duration_s=20.0)
        for scheduler in ("deadline", "round_robin")
    )
    assert ours.useful > 0.95 * in_turn.useful
    assert ours.servers[0].mean_batch > 6
    assert ours.within(AGE_S) >= 0.95


def test_a_fleet_that_the_device_can_serve_is_not_limited() -> None:
    hooks = ServingHooks(max_starved_share=None)
    assert run(fleet(24), hooks).starved_share < 0.01
    assert not hooks.is_limiting("gpu-0")


class Unit(ServingHooks):
    """Records the interval of one robot."""

    def __init__(self) -> None:
        super().__init__(max_starved_share=None)
        self.seen_ns: list[tuple[int, int]] = []

    def min_interval_ns(self, robot: SimulatedRobot, server: ServerView, now_ns: int, times: RowTimes) -> int:
        interval_ns = super().min_interval_ns(robot, server, now_ns, times)
        if robot.name == "arm-0":
            self.seen_ns.append((now_ns, interval_ns - times.wait_ns))
        return interval_ns


@pytest.mark.parametrize("count", [40, 75])
def test_the_interval_settles(count: int) -> None:
    hooks = Unit()
    run(fleet(count), hooks, duration_s=60.0)
    late = np.array([interval for at_ns, interval in hooks.seen_ns if at_ns > 35e9])
    assert late.min() > 0
    assert late.max() < 1.35 * late.min()


def test_admission_stops_where_the_device_is_full_and_nobody_starves() -> None:
    result = run(fleet(40), ServingHooks())
    assert 22 <= len(result.robots) <= 26
    assert result.starved_share <= 0.015
    assert len(result.refused) == 40 - len(result.robots)


def test_a_robot_that_claims_the_impossible_gains_nothing() -> None:
    liar = SimulatedRobot("liar", 20.0, 10, 0.2, start_s=0.5, said_slack_s=0.0, said_rate_hz=1e6)
    robots = [*fleet(49), liar]
    result = run(robots, ServingHooks(max_starved_share=None))
    honest = np.mean([robot.played.useful for robot in result.robots[:-1]])
    assert result.robots[-1].played.useful <= 1.1 * honest


def test_a_demand_is_what_the_robot_says() -> None:
    demand = simulated_demand(SimulatedRobot("a", 20.0, 10, 0.2, execute_horizon=3, said_rate_hz=40.0))
    assert (demand.rate_hz, demand.horizon, demand.buffer_s, demand.execute_horizon) == (40.0, 10, 0.2, 3)
    assert demand.round_trip_s == pytest.approx(0.01)
