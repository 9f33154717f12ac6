"""A simulated Astribot S1 driven by `vagus run` in a process of its own, until Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from documents import ROOT, put_files
from process.rig import PATIENCE_S, await_fresh, outcome_of, rig_in
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(180), pytest.mark.slow]


def test_the_documented_robot_moves_as_the_documented_policy_says_until_it_is_interrupted(
    tmp_path: Path,
) -> None:
    put_files(ROOT / "docs" / "astribot.md", tmp_path)
    with rig_in(tmp_path) as rig:
        rig.serve("a", policy=f"{tmp_path / 'reach_out.py'}:act")
        robot = rig.start_robot("s1", "--options", "sdk", "simulated", "head", "false", robot="astribot")
        await_fresh(rig.folder, robot, monotonic_ns())
        robot.signal(signal.SIGINT)
        assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
        outcome = outcome_of(robot)
    assert "Traceback" not in outcome.output, outcome.output
    assert outcome.run.camera_errors == 0
    assert {len(row.action) for row in outcome.plan_rows} == {16}
    first, last = outcome.plan_rows[0], outcome.plan_rows[-1]
    assert last.action[3] > first.action[3]  # it lifts its hands
    assert [row.state[16:25] for row in outcome.rows] == [first.state[16:25]] * len(outcome.rows)
