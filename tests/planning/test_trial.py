"""The planner against what was measured for equal robots, and for fleets of two kinds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.planning.planner import Device, Limit, Trial, capacity_of
from vagus.planning.robot_kinds import RobotKind
from vagus.planning.trial import simulated
from vagus.server.capacity import RobotDemand

L40S = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}
"""π0.5 on an L40S: batch size → ms."""
H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1, 16: 175.0, 32: 341.0}
"""π0 on an H200."""
SHORT = RobotDemand(rate_hz=20, horizon=10, buffer_s=0.2, round_trip_s=0.01, max_action_age_s=3.0)
"""Chunks of half a second."""
LIMIT = Limit(0.01, simulated)


@pytest.mark.parametrize(
    ("table", "buffer_s", "max_batch", "robots"),
    [
        (L40S, 0.25, 1, 3),
        (L40S, 0.2, 3, 5),
        (L40S, 0.2, 5, 5),
        (H200, 0.2, 1, 12),
        (H200, 0.2, 4, 22),
        (H200, 0.2, 8, 25),
    ],
)
def test_as_many_equal_robots_are_carried_as_the_published_tables_say(
    table: dict[int, float], buffer_s: float, max_batch: int, robots: int
) -> None:
    mix = [RobotKind(1, replace(SHORT, buffer_s=buffer_s))]
    found = capacity_of(Device(table, max_batch), mix, LIMIT)
    assert abs(found.robots - robots) <= 0.1 * robots
    assert found.beyond is not None
    assert found.beyond.starved_share > 0.01


def trial(*kinds: RobotKind, table: dict[int, float] = H200, max_batch: int = 8) -> Trial:
    return simulated(Device(table, max_batch), kinds)


def test_one_robot_on_a_fast_device_never_starves() -> None:
    alone = trial(RobotKind(1, SHORT))
    assert (alone.robots, alone.starved_share, alone.batch) == (1, 0.0, 1.0)
    assert 0 < alone.busy < 0.2
    period_s = SHORT.horizon / SHORT.rate_hz - SHORT.buffer_s
    assert alone.requests_per_s == pytest.approx(1 / period_s, rel=0.05)


def test_a_robot_whose_chunk_ends_before_the_next_can_come_starves_alone() -> None:
    assert trial(RobotKind(1, SHORT), table={1: 700.0}, max_batch=1).starved_share > 0.3


def test_the_kind_that_starves_most_counts() -> None:
    patient = replace(SHORT, horizon=50, buffer_s=1.0)
    fleet = (RobotKind(20, patient), RobotKind(4, replace(SHORT, buffer_s=0.05)))
    both = trial(*fleet)
    starved = trial(*fleet[::-1])
    assert both.starved_share > 0.01
    assert starved.starved_share > 0.01
    assert trial(fleet[0]).starved_share == 0.0
    assert both.robots == 24


def test_the_same_question_has_the_same_answer() -> None:
    assert trial(RobotKind(26, SHORT)) == trial(RobotKind(26, SHORT))
