"""Trials of delay over real processes: they agree with simulated time, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process.rig import PATIENCE_S, START_S, call, wait_until
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

BENCH = ("bench", "delay", "--methods", "naive", "vagus", "--delays", "200")
EPISODES = 16
WIDE = 0.25
"""Largest difference: twice half of the usual interval of so few episodes."""


def test_real_processes_agree_with_simulated_time(tmp_path: Path) -> None:
    place = tmp_path / "cells.json"
    told = ("--processes", "16", "--episodes", str(EPISODES), "--json", str(place))
    done = call(*BENCH, *told, timeout_s=240.0)
    assert done.returncode == ExitCode.OK, done.stderr
    cells = json.loads(place.read_bytes())["processes"]
    assert [cell["method"] for cell in cells] == ["naive", "vagus"]
    for cell in cells:
        assert cell["real"]["episodes"] + cell["left_out"] == EPISODES
        for other in (cell["simulated"], cell["traced"]):
            gap = other["gap"]
            assert abs(gap["mean"]) <= max(WIDE, gap["half_width"]), cell
        assert cell["real"]["requests"] == pytest.approx(cell["traced"]["cell"]["requests"], rel=0.3)
        assert cell["traced"]["cell"]["acceleration"] == pytest.approx(cell["real"]["acceleration"], rel=0.3)


def test_an_end_in_the_middle_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "vagus", *BENCH, "--processes", "2", "--episodes", str(EPISODES)]
    mark = f"delay-trials-{os.getpid()}"
    environment = {**os.environ, "VAGUS_TEST_MARK": mark, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as bench:
        assert bench.stderr is not None
        lines = [bench.stderr.readline()]
        while "robots run for" not in lines[-1]:
            assert lines[-1], lines
            lines.append(bench.stderr.readline())
        assert len(marked(mark)) >= 7, "bench, router, chaos, two servers, two robots"
        bench.send_signal(signal.SIGINT)
        assert bench.wait(START_S) == ExitCode.INTERRUPTED
    wait_until(lambda: not marked(mark), lambda: f"still there: {marked(mark)}", timeout_s=PATIENCE_S)


def marked(mark: str) -> list[str]:
    """Return the processes with a mark in their environment."""
    return [place.name for place in Path("/proc").glob("[0-9]*") if mark.encode() in environment_of(place)]


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has ended, or is of another user
        return b""
