"""The demo, as a newcomer starts it, read by a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from process.rig import call
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

FAULTS = ["server killed, restarted", "server hangs 4 s", "network cut 2 s", "150 ms more delay"]


def test_the_demo_reaches_targets_and_does_nothing_that_must_not_be(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    done = call("demo", "--json", "--out", str(picture), timeout_s=240.0)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["targets_reached"] > 0
    assert [fault["name"] for fault in said["faults"]] == FAULTS
    assert all(fault["recovery_s"] >= 0 and fault["starved_s"] >= 0 for fault in said["faults"])
    assert (said["limit_violations"], said["stale_commands"], said["loop_exceptions"]) == (0, 0, 0)
    assert said["self_test"]["counted"] == said["self_test"]["injected"] > 0
    assert set(said["states"]) == {"link", "motion"}
    assert said["longest_gap_s"] > 0
    assert set(said["lateness_ms"]) == {"p50", "p99", "p999"}
    assert picture.read_bytes().startswith(b"\x89PNG")
