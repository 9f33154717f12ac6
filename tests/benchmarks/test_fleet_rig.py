from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fleet_rig import RobotReport, Span, spread
from benchmarks.programs.table_policy import JOINTS, TablePolicy
from vagus.policies.policy import Row
from vagus.types import Observation


def report(name: str, server: str, *, sessions: int = 1, ticks: int = 10, starved: int = 0) -> RobotReport:
    return RobotReport(name, server, sessions, 0, 0, 0.0, "", ticks, starved, 5.0, 40.0)


def test_the_spread_is_between_the_fullest_and_the_emptiest_server() -> None:
    robots = [report("x", "a-1"), report("y", "a-1"), report("z", "b-2")]
    assert spread(robots, ["a", "b"]) == 1
    assert spread(robots, ["a", "b", "c"]) == 2


@pytest.mark.parametrize("elsewhere", ["", "c-3"])
def test_a_robot_at_none_of_the_servers_is_no_spread(elsewhere: str) -> None:
    assert spread([report("x", "a-1"), report("y", elsewhere)], ["a", "b"]) == -1


def test_a_span_counts_moves_returns_and_the_worst_share_of_starved_ticks() -> None:
    span = Span({"x": report("x", "a-1"), "y": report("y", "a-1")})
    span.add([report("x", "b-2", sessions=2, starved=4), report("y", "a-1", starved=1)])
    span.add([report("x", "", sessions=2), report("y", "a-1")])
    span.add([report("x", "a-1", sessions=3, ticks=20), report("y", "a-1", ticks=20)])
    assert span.moves == 2
    assert span.returns == 1
    assert span.starved_robots == 2
    assert span.worst_starved == pytest.approx(4 / 40)


def test_a_robot_that_never_had_an_action_counts_as_starved() -> None:
    span = Span({})
    assert span.worst_starved == 1.0
    span.add([report("x", "a-1", ticks=0)])
    assert span.worst_starved == 1.0


def test_a_run_that_is_over_is_told() -> None:
    span = Span({})
    span.add([RobotReport("x", "a-1", 1, 0, 0, 0.0, "dead: no server", 0, 0, 0.0, 0.0)])
    assert span.ended == ["x: dead: no server"]


@pytest.mark.parametrize(("rows", "wanted_s"), [(1, 0.040), (8, 0.060), (15, 0.080)])
def test_a_batch_takes_what_the_straight_line_says(rows: int, wanted_s: float) -> None:
    assert TablePolicy().batch_s(rows) == pytest.approx(wanted_s)


def test_chunks_of_later_steps_continue_one_wave() -> None:
    policy = TablePolicy(alone_ms=0.0, eight_ms=0.0, horizon=20)
    state = np.zeros(len(JOINTS), np.float32)
    rows = [
        Row(
            session=None,
            observation=Observation(state, {}, "", captured_ns=0),
            step=step,
            prefix=None,
            inference_delay=0,
            prefix_horizon=0,
            seed=0,
        )
        for step in (0, 5)
    ]
    first, later = policy.infer(rows)
    np.testing.assert_allclose(first.robot[5:], later.robot[:-5], atol=1e-6)
