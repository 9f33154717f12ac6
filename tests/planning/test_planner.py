from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.planning.planner import (
    USABLE,
    Device,
    Limit,
    Trial,
    capacity_of,
    dealt,
    devices_for,
    hand_of,
    remembered,
)
from vagus.planning.robot_kinds import RobotKind
from vagus.server.capacity import RobotDemand

SLOW = RobotDemand(rate_hz=10, horizon=50, buffer_s=0.5)
FAST = RobotDemand(rate_hz=50, horizon=50, buffer_s=0.5)
DEVICE = Device({1: 10.0, 2: 15.0, 4: 30.0}, max_batch=4)


def carries(most_hz: float) -> Limit:
    """Return a limit whose engine carries robots up to a sum of their rates, and starves the fastest else."""

    def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        hz = sum(kind.count * kind.demand.rate_hz for kind in kinds)
        robots = sum(kind.count for kind in kinds)
        return Trial(robots, 0.0 if hz <= most_hz else 0.5, 0.5, 1.0, hz)

    return Limit(0.01, engine)


def test_between_two_sizes_the_time_rises_evenly() -> None:
    assert [DEVICE.ms(size) for size in (1, 2, 3, 4)] == [10.0, 15.0, 22.5, 30.0]
    assert DEVICE.ms(8) == 60.0
    assert DEVICE.faster(2.0).ms(3) == 11.25


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 8, 100, 1234])
def test_the_largest_number_that_is_carried_is_found(most: int) -> None:
    found = capacity_of(DEVICE, [RobotKind(1, SLOW)], carries(10.0 * most))
    assert found.robots == most
    assert (found.trial is None) == (most == 0)
    assert found.beyond is not None
    assert found.beyond.robots == most + 1
    assert found.limited_by == "device"


def test_a_server_admits_no_more_than_its_sessions() -> None:
    found = capacity_of(replace(DEVICE, max_robots=5), [RobotKind(1, SLOW)], carries(1000.0))
    assert (found.robots, found.beyond, found.limited_by) == (5, None, "sessions")


def test_a_processor_that_decodes_too_slowly_is_the_limit() -> None:
    found = capacity_of(replace(DEVICE, processor_s=USABLE / 75), [RobotKind(1, SLOW)], carries(1000.0))
    assert (found.robots, found.limited_by) == (7, "decoding")


def test_each_number_is_tried_once() -> None:
    tried: list[int] = []
    inner = carries(170.0)

    def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        tried.append(sum(kind.count for kind in kinds))
        return inner.engine(device, kinds)

    assert capacity_of(DEVICE, [RobotKind(1, SLOW)], Limit(0.01, engine)).robots == 17
    assert len(tried) == len(set(tried)) <= 14


def test_the_search_begins_where_the_decoders_end() -> None:
    tried: list[int] = []
    inner = carries(math.inf)

    def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        tried.append(sum(kind.count for kind in kinds))
        return inner.engine(device, kinds)

    capacity_of(replace(DEVICE, processor_s=USABLE / 2), [RobotKind(1, SLOW)], Limit(0.01, engine))
    assert tried[0] <= 10  # the device alone would carry hundreds, and those take long to simulate


def test_the_same_robots_on_the_same_device_are_tried_once() -> None:
    tried: list[float] = []
    inner = carries(math.inf)

    def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        tried.append(device.ms(1))
        return inner.engine(device, kinds)

    twice = remembered(engine)
    robots = (RobotKind(3, SLOW),)
    for device in (DEVICE, replace(DEVICE, max_robots=4), DEVICE.faster(2.0)):
        twice(device, robots)
    assert tried == [10.0, 5.0]
    twice(replace(DEVICE, max_batch=1), robots)
    twice(DEVICE, (RobotKind(3, FAST),))
    twice(replace(DEVICE, processor_s=0.1), robots)  # its robots ask less often
    assert tried == [10.0, 5.0, 10.0, 10.0, 10.0]


mixes = st.lists(st.integers(1, 60), min_size=1, max_size=4).map(
    lambda counts: [RobotKind(n, replace(SLOW, horizon=50 + k)) for k, n in enumerate(counts)]
)


@given(mixes, st.integers(1, 300))
def test_a_hand_has_the_proportions_of_the_fleet(mix: list[RobotKind], robots: int) -> None:
    hand = hand_of(mix, robots)
    assert sum(kind.count for kind in hand) == robots
    total = sum(kind.count for kind in mix)
    counts = {kind.demand: kind.count for kind in hand}
    for kind in mix:
        assert abs(counts.get(kind.demand, 0) - kind.count * robots / total) < 1


@given(mixes, st.integers(1, 12))
def test_a_fleet_that_is_dealt_is_dealt_evenly(mix: list[RobotKind], devices: int) -> None:
    hands = list(dealt(mix, devices))
    totals = [sum(kind.count for kind in hand) for hand in hands]
    assert max(totals) - min(totals) <= 1
    assert max(totals) == math.ceil(sum(kind.count for kind in mix) / devices)
    for kind in mix:
        shares = [sum(one.count for one in hand if one.demand == kind.demand) for hand in hands]
        assert max(shares) - min(shares) <= 1


def test_a_fleet_gets_the_fewest_devices_that_carry_it() -> None:
    fleet = [RobotKind(30, SLOW), RobotKind(6, FAST)]  # 600 Hz in all
    found = devices_for(DEVICE, fleet, carries(150.0))
    assert found is not None
    assert found[0] == 6  # of five, one would have two fast and six slow ones: 160 Hz
    assert {trial.robots for trial in found[1]} == {6}


def test_no_number_of_devices_helps_a_robot_that_starves_alone() -> None:
    assert devices_for(DEVICE, [RobotKind(3, SLOW), RobotKind(1, FAST)], carries(40.0)) is None
