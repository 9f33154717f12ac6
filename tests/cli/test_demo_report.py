from __future__ import annotations

import io
from dataclasses import asdict, replace

import msgspec
import numpy as np
import pytest
from rich.console import Console

from vagus.cli.demo import inject_violation
from vagus.cli.demo_report import DemoFault, DemoTick, Report, build_report, fault_outcomes, longest_gap_s
from vagus.cli.run_report import RunSummary, summarise, summary_table
from vagus.control.loop_stats import EndReason, LoopStats
from vagus.demo.robot import SimRobot
from vagus.edge.client.client import ClientStatus
from vagus.edge.client.inflight import LatencyParts
from vagus.edge.client.refusals import Refusal
from vagus.types import LinkState

S = 1_000_000_000
TICK_NS = S // 100


def plan(at: int, *, age_ms: float = 100.0) -> DemoTick:
    return DemoTick(at * TICK_NS, "streaming", "playing", age_ms, at, (0.0,), (0.0,))


def hold(at: int) -> DemoTick:
    return DemoTick(at * TICK_NS, "degraded", "fallback", None, None, (0.0,), (0.0,))


def run_of(robot: SimRobot, reason: EndReason = EndReason.INTERRUPTED, error: str = "") -> RunSummary:
    summary = LoopStats().summary(reason, error, limited={}, camera_errors=0)
    run = summarise(summary, {"merged": 3}, robot)
    return msgspec.json.decode(msgspec.json.encode(run), type=RunSummary)  # as it comes from a process


def report_of(run: RunSummary, ticks: list[DemoTick], *, counted: int = 2) -> Report:
    self_test = {"injected": 2, "counted": counted}
    return build_report(run, ticks, [], max_age_s=3.0, self_test=self_test)


def test_the_longest_gap_is_between_two_actions_of_the_plan() -> None:
    ticks = [hold(0), plan(50), hold(60), hold(70), plan(90), plan(91), hold(300)]
    assert longest_gap_s(ticks) == pytest.approx(0.4)
    assert longest_gap_s([]) == 0
    assert longest_gap_s([plan(1)]) == 0


def test_a_fault_is_recovered_from_with_the_first_action_seen_after_its_end() -> None:
    fault = DemoFault("cut", 100 * TICK_NS, 150 * TICK_NS)
    late = plan(155)  # captured 100 ms before, within the fault
    ticks = [plan(99), *[hold(at) for at in range(100, 155)], late, plan(156), plan(160), plan(161)]
    (outcome,) = fault_outcomes(ticks, [fault])
    assert outcome.name == "cut"
    assert outcome.recovery_s == pytest.approx(0.1)
    assert outcome.starved_s == pytest.approx(0.55)


def test_a_fault_that_is_not_recovered_from_says_so() -> None:
    (outcome,) = fault_outcomes([plan(1), hold(120)], [DemoFault("cut", 100 * TICK_NS, 110 * TICK_NS)])
    assert outcome.recovery_s is None


def test_starving_counts_for_the_fault_it_follows() -> None:
    faults = [DemoFault("one", 0, TICK_NS), DemoFault("two", 10 * TICK_NS, 11 * TICK_NS)]
    ticks = [hold(0), hold(1), plan(2), plan(9), plan(10), hold(11), plan(13)]
    one, two = fault_outcomes(ticks, faults)
    assert one.starved_s == pytest.approx(0.02)
    assert two.starved_s == pytest.approx(0.02)


def test_without_a_tick_nothing_is_claimed() -> None:
    (outcome,) = fault_outcomes([], [DemoFault("cut", 1, 2)])
    assert (outcome.recovery_s, outcome.starved_s) == (None, 0)


def test_an_action_too_old_is_counted_as_stale() -> None:
    report = report_of(run_of(SimRobot()), [plan(1), plan(2, age_ms=3000.0), plan(3, age_ms=3000.1)])
    assert report.stale_commands == 1
    assert any("stale" in text for text in report.problems)


def test_violations_of_the_robots_audit_are_problems() -> None:
    robot = SimRobot()
    robot.connect()
    robot.command(np.full(6, np.nan))
    report = report_of(run_of(robot), [])
    assert report.limit_violations == 1
    assert any("violations" in text for text in report.problems)


def test_a_run_that_failed_is_a_problem() -> None:
    report = report_of(run_of(SimRobot(), EndReason.ERROR, "boom"), [])
    assert report.loop_exceptions == 1
    assert any("exit code 1" in text for text in report.problems)


def test_an_audit_that_counts_nothing_is_a_problem() -> None:
    assert any("audit" in text for text in report_of(run_of(SimRobot()), [], counted=1).problems)


def test_the_audit_really_counts_what_is_injected() -> None:
    assert inject_violation() == {"injected": 2, "counted": 2}


def test_the_summary_of_a_robot_without_a_report_has_none() -> None:
    summary = LoopStats().summary(EndReason.FINISHED, "", limited={"jerk": 2}, camera_errors=0)
    run = summarise(summary, {"merged": 1}, object(), "runs/1", recorded={"steps": 2, "steps_dropped": 1})
    assert run.robot == {}
    assert (run.reason, run.exit_code) == ("finished", 0)
    rows = {str(cell) for column in summary_table(run).columns for cell in column.cells}
    assert {"runs/1", "jerk 2 ticks", "merged 1", "steps 2, steps_dropped 1"} <= rows
    assert run.recorded == {"steps": 2, "steps_dropped": 1}
    assert "error" not in rows


def test_the_robots_report_is_in_the_summary_as_it_is() -> None:
    robot = SimRobot()
    assert run_of(robot).robot == msgspec.json.decode(msgspec.json.encode(asdict(robot.report())))


def test_the_summary_says_why_requests_were_refused_and_where_the_time_went() -> None:
    summary = LoopStats().summary(EndReason.DEAD, "got [nan, nan]", limited={}, camera_errors=0)
    spent = LatencyParts(40_000_000, 50_000_000, 0, 120_000_000)
    status = ClientStatus(
        LinkState.DEAD,
        "",
        None,
        "",
        "",
        refusals=(Refusal("policy_error", "RuntimeError: CUDA error", 5),),
        mean_parts=spent,
        round_trips=7,
    )
    run = summarise(summary, {}, object(), client=status)
    assert run.latency_ms["network"] == 40.0
    rows = {str(cell) for column in summary_table(run).columns for cell in column.cells}
    assert 'policy_error ×5: "RuntimeError: CUDA error"' in rows
    assert "210 ms = network 40 + queue 50 + decode 0 + inference 120 (mean of 7 chunks)" in rows
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table(run))
    assert "[nan, nan]" in console.export_text()  # what is in brackets is no markup


def test_the_summary_lists_what_a_robot_counts_and_the_episodes() -> None:
    summary = replace(
        LoopStats().summary(EndReason.FINISHED, "", limited={}, camera_errors=0),
        duration_s=40.0,
        starved_s=10.0,
        episodes=25,
    )
    robot = SimRobot()
    gym = pytest.importorskip("vagus.integrations.gymnasium.robot", exc_type=ModuleNotFoundError)
    reported = gym.GymReport(25, 21, tuple(float(number) for number in range(25)), 4000)
    run = summarise(summary, {}, robot)
    run = msgspec.structs.replace(run, robot=asdict(reported))
    rows = {str(cell) for column in summary_table(run).columns for cell in column.cells}
    assert "25" in rows
    listed = ", ".join(str(number) for number in range(5, 25))
    assert f"episodes 25; successes 21; returns … {listed}; steps 4000" in rows
    assert "0 actions; without one for 10.00 s (25% of the time)" in rows
