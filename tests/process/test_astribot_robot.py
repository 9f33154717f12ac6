"""A simulated Astribot S1 driven by `vagus run` in a process of its own, by vagus and by its own protocol."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from documents import ROOT, put_files
from process.rig import PATIENCE_S, START_S, await_fresh, outcome_of, rig_in
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

OWN_PROTOCOL = """
import numpy as np
import vagus
from vagus.integrations.astribot.layout import names_of

UNITS = {name: "fraction_closed" if name.startswith("gripper") else "rad" for name in names_of(16)}
CAMERAS = {"head": (720, 1280), "wrist_left": (360, 640), "wrist_right": (360, 640)}


@vagus.policy(actions=UNITS, state=UNITS, cameras=CAMERAS, horizon=50, rate_hz=30, shared=True)
def act(observation):
    goal = observation.state.copy()
    goal[[3, 10]] = 2.0
    return np.linspace(observation.state, goal, 50)
"""

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


def test_a_policy_server_of_its_own_protocol_drives_it_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "own_protocol.py").write_text(OWN_PROTOCOL)
    with rig_in(tmp_path) as rig:
        rig.serve("a", policy=f"{tmp_path / 'own_protocol.py'}:act")
        listen = ["--profile", "astribot_s1_16", "--listen", "127.0.0.1:0"]
        gateway = rig.child("gateway", ["gateway", "astribot", *listen, "--connect", rig.endpoint])
        said = gateway.wait_for_line("gateway astribot on", timeout_s=START_S)
        address = said.split(" on ")[1].partition(",")[0]
        asked = ["--policy", f"astribot+grpc://{address}"]
        told = ["--policy-options", "profile", "astribot_s1_16", "config_name", "wave"]
        record = ["--record", str(tmp_path / "runs"), "--record.no-images", "--name", "s1", "--json"]
        robot = rig.child(
            "robot s1",
            ["run", "--robot", "astribot", "--options", "sdk", "simulated", *asked, *told, *record],
        )
        await_fresh(tmp_path, robot, monotonic_ns())
        robot.signal(signal.SIGINT)
        assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
        outcome = outcome_of(robot)
    assert "Traceback" not in outcome.output, outcome.output
    first, last = outcome.plan_rows[0], outcome.plan_rows[-1]
    assert last.action[3] > first.action[3]
