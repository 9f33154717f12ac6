"""A viewer that is not there, or is killed, costs a run nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from process.rig import rig_in, summary_of
from vagus.cli.exit_code import ExitCode

pytest.importorskip("rerun")
pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

NOBODY = "rerun+http://127.0.0.1:1/proxy"
PROGRAM = "vagus.integrations.rerun.live_program"
PATIENCE_S = 60.0


def viewers_of(parent: int) -> list[int]:
    """Return the processes of this robot's process that show its run."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return [child for child in found if PROGRAM in Path(f"/proc/{child}/cmdline").read_text()]


def test_a_run_goes_on_without_its_viewer(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig:
        rig.serve()
        plain = rig.start_robot("plain", "--duration-s", "4")
        alone = rig.start_robot("alone", "--duration-s", "4", "--view", "--view-at", NOBODY)
        bereft = rig.start_robot(
            "bereft", "--duration-s", "6", "--view", "--view-at", str(tmp_path / "a.rrd")
        )
        bereft.wait_for_line("playing from step", timeout_s=PATIENCE_S)
        (viewer,) = viewers_of(bereft.pid)
        os.kill(viewer, signal.SIGKILL)
        for robot in (plain, alone, bereft):
            assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.OK, robot.output
        assert "the viewer is gone" in bereft.output
        for robot in (alone, bereft):
            run = summary_of(robot)
            assert run.recording
            assert run.counters["merged"] > 1
