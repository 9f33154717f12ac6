from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from vagus.errors import ConfigError
from vagus.planning.fleet_plan import Asked, FleetPlan, batch_sizes, check_slo, curves_of, plan_of
from vagus.planning.planner import Device, Limit, Trial
from vagus.planning.robot_kinds import RobotKind
from vagus.server.capacity import RobotDemand

DEMAND = RobotDemand(rate_hz=10, horizon=20, buffer_s=0.4, round_trip_s=0.02)
DEVICE = Device({1: 100.0, 2: 110.0, 4: 120.0}, max_batch=4)


def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
    """Five robots are carried for each row of a batch; beyond, a tenth starves for each robot more."""
    robots = sum(kind.count for kind in kinds)
    return Trial(robots, max(robots - 5 * device.max_batch, 0) / 10, 0.5, 1.0, 2.0 * robots)


LIMIT = Limit(0.01, engine)


def plan(kinds: Sequence[RobotKind], *, is_fleet: bool = True, device: Device = DEVICE) -> FleetPlan:
    return plan_of(device, Asked("typed", kinds, is_fleet=is_fleet), LIMIT, ("it is so",))


def test_a_plan_says_robots_per_device_and_devices() -> None:
    found = plan([RobotKind(30, DEMAND), RobotKind(15, replace(DEMAND, rate_hz=30))])
    assert (found.robots_per_device, found.limited_by, found.fleet, found.devices) == (20, "device", 45, 3)
    assert found.robots_per_hand == [15]
    assert [(row.max_batch, row.robots) for row in found.batches] == [(1, 5), (2, 10), (4, 20)]
    assert [row.starved_share_beyond for row in found.batches] == [0.1, 0.1, 0.1]
    assert found.assumptions == ["it is so"]
    assert {kind.count for kind in found.kinds} == {30, 15}


def test_a_plan_without_a_fleet_counts_no_devices() -> None:
    found = plan([RobotKind(1, DEMAND)], is_fleet=False)
    assert (found.robots_per_device, found.fleet, found.devices, found.robots_per_hand) == (20, 0, None, [])


def test_a_plan_travels_as_json() -> None:
    found = plan([RobotKind(30, DEMAND)])
    assert msgspec.json.decode(msgspec.json.encode(found), type=FleetPlan) == found


def test_a_server_that_admits_fewer_is_the_limit() -> None:
    found = plan([RobotKind(1, DEMAND)], is_fleet=False, device=replace(DEVICE, max_robots=7))
    assert (found.robots_per_device, found.limited_by) == (7, "sessions")
    assert [row.starved_share_beyond for row in found.batches] == [0.1, None, None]


@pytest.mark.parametrize(
    ("largest", "own", "sizes"),
    [(1, 1, [1]), (5, 5, [1, 2, 4, 5]), (8, 3, [1, 2, 3, 4, 8]), (256, 256, [1, 32, 64, 128, 256])],
)
def test_batch_sizes_are_doublings_and_the_ends(largest: int, own: int, sizes: list[int]) -> None:
    table = {size: float(size) for size in range(1, largest + 1)}
    assert batch_sizes(Device(table, own)) == sizes


def test_a_curve_reaches_beyond_the_limit_and_marks_it() -> None:
    kinds = [RobotKind(1, DEMAND)]
    curves = curves_of(DEVICE, kinds, LIMIT, plan(kinds, is_fleet=False))
    assert [(curve.max_batch, curve.carried) for curve in curves] == [(1, 5), (2, 10), (4, 20)]
    for curve in curves:
        assert curve.robots == sorted(set(curve.robots))
        assert max(curve.robots) == 30
        shares = dict(zip(curve.robots, curve.starved_share, strict=True))
        assert (shares[curve.carried], shares[curve.carried + 1]) == (0.0, 0.1)


def test_a_curve_ends_at_the_last_robot_that_is_admitted() -> None:
    device = replace(DEVICE, max_robots=7)
    kinds = [RobotKind(1, DEMAND)]
    curves = curves_of(device, kinds, LIMIT, plan(kinds, is_fleet=False, device=device))
    assert {max(curve.robots) for curve in curves} == {7}


def test_a_device_that_carries_nobody_has_a_curve_too() -> None:
    nobody = Limit(0.01, lambda device, kinds: Trial(sum(k.count for k in kinds), 1.0, 1.0, 1.0, 1.0))
    kinds = [RobotKind(3, DEMAND)]
    found = plan_of(DEVICE, Asked("typed", kinds, is_fleet=True), nobody, ())
    assert (found.robots_per_device, found.devices, found.batches[0].starved_share) == (0, None, None)
    assert {tuple(curve.robots) for curve in curves_of(DEVICE, kinds, nobody, found)} == {(1, 2)}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_a_limit_is_a_share(share: float) -> None:
    with pytest.raises(
        ConfigError, match="slo_starved_share: wanted a share of control steps above 0 and below 1"
    ):
        check_slo(share)
    check_slo(0.01)
