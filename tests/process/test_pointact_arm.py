"""The simulated arm with a depth camera and a PointAct server as its brain, as real processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from integrations.pointact.clients import as_msgpack_numpy
from integrations.pointact.servers import PointActServer, serving, states_of
from process.rig import call, check_one_line
from vagus.cli.exit_code import ExitCode
from vagus.cli.run_report import RunSummary
from vagus.gateways.foreign_address import ForeignAddress

pytest.importorskip("pinocchio")
pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="one system is enough for real processes"),
]

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "pointact_arm"
HOME = (0.0, -40.0, 50.0, 60.0, 0.0, 20.0)


def options(**more: str) -> list[str]:
    given = {
        "urdf": f"{FOLDER}/arm.urdf",
        "intrinsics": f"{FOLDER}/intrinsics.yaml",
        "extrinsics": f"{FOLDER}/extrinsics.yaml",
        "repo_id": "user/model",
        **more,
    }
    return ["--policy-options", *(word for pair in given.items() for word in pair)]


def run(address: ForeignAddress, folder: Path, *arguments: str) -> tuple[RunSummary, str]:
    """Drive the simulated arm for a few seconds; return the summary and everything that was said."""
    done = call(
        *("run", "--robot", f"{FOLDER}/arm.py:Arm", "--policy", str(address), "--json", "--duration-s", "3"),
        *("--instruction", "lift", "--record", str(folder / "runs"), "--record.no-images"),
        *(arguments or options()),
        timeout_s=120.0,
    )
    said = done.stderr
    assert done.stdout, said
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=RunSummary), said


def states(folder: Path) -> np.ndarray:
    """Return every state that was recorded, (ticks, 6)."""
    (steps,) = (folder / "runs").rglob("steps.jsonl")
    return np.array([json.loads(line)["state"] for line in steps.read_text().splitlines()])


def changed(change: Callable[[np.ndarray], None]) -> PointActServer:
    """Return a server that answers the pose of each robot ten times, with a change."""

    class Changing(PointActServer):
        def reply(self, request: dict[str, object]) -> bytes:
            if request["endpoint"] != "get_action":
                return super().reply(request)
            chunk = np.repeat(np.stack(states_of(request))[:, None].astype(np.float32), 10, axis=1)
            change(chunk)
            return msgspec.msgpack.encode({"action": as_msgpack_numpy(chunk)})

    return Changing()


def test_poses_that_rise_lift_the_gripper(tmp_path: Path) -> None:
    def rise(chunk: np.ndarray) -> None:
        chunk[..., 2] = np.minimum(chunk[..., 2] + 0.002 * np.arange(1, 11), 0.2)

    with serving(changed(rise), "http") as address:
        summary, said = run(address, tmp_path)
    assert summary.exit_code == ExitCode.OK, said
    assert summary.plan_actions > 20
    assert summary.refusals == []
    moved = np.abs(states(tmp_path)[-1] - HOME)
    assert float(np.max(moved[1:4])) > 5.0  # what lifts, in degrees
    assert float(np.max(moved[[0, 4, 5]])) < 0.5  # what turns aside, and the gripper


def test_poses_out_of_reach_are_refused_told_and_the_arm_stays(tmp_path: Path) -> None:
    def leave(chunk: np.ndarray) -> None:
        chunk[..., 0] += 1.0

    with serving(changed(leave)) as address:
        summary, said = run(address, tmp_path, *options(debug_dir=str(tmp_path / "debug")))
    assert summary.commands == 0
    assert any("out of reach: the nearest joints end" in reason for reason in summary.refusals), said
    kept = sorted((tmp_path / "debug").iterdir())
    assert "out of reach" in json.loads((kept[-1] / "exchange.json").read_text())["refused"]


def test_a_robot_without_a_depth_camera_is_refused_in_one_line(tmp_path: Path) -> None:
    blind = tmp_path / "blind.py"
    blind.write_text(
        "import dataclasses\nfrom vagus.import_path import load_named\n"
        f"_, Arm = load_named('robot', '{FOLDER}/arm.py:Arm')\n"
        "class Blind(Arm):\n    def __init__(self):\n        super().__init__()\n"
        "        self.spec = dataclasses.replace(self.spec, depth_cameras=())\n"
    )
    with serving(PointActServer()) as address:
        done = call("run", "--robot", f"{blind}:Blind", "--policy", str(address), *options())
    check_one_line(done, ExitCode.REFUSED, "front_depth", "depth")
