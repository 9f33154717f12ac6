"""Eight LeRobot robots on one served policy: none waits for its plan, and all that they did is on disk."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray

from lerobot_backend import act_config, save
from process.rig import Rig, rig_in, summary_of
from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary
from vagus.integrations.lerobot.dataset.provenance import COLUMNS
from vagus.server.audit import AuditLine
from vsim_rig import RATE_HZ, UNITS

ROBOTS = tuple(f"arm{number}" for number in range(8))
TOGETHER_S = 60.0
FIRST_TICK_S = 5.0
"""From "robot running" to a robot's first tick, at most."""
HARMLESS = {
    "requests",
    "merged",
    "sessions_opened",
    "timeouts",
    "superseded",
    "discarded_superseded",
    "snapshots_unwanted",
}
"""What a run may count: a reply that took long is asked for again, and then there may be two."""
CHUNK = 50
BUFFER_S = 1.0
"""The first robots play while the last ones import LeRobot: a request was then seen to take 0.6 s."""
SIZE = (48, 64)
START_S = 300.0
"""Eight robots and eight writers of datasets import LeRobot on whatever cores there are."""
END_S = 150.0
"""Longer than a robot waits for its dataset to be finished."""
LOST_SHARE = 0.05
"""Of ticks and frames, on cores that all of it shares with whatever else runs there."""

CHECKPOINT = act_config(
    input_features={
        "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, *SIZE)),
    },
    chunk_size=CHUNK,
    n_action_steps=CHUNK,
)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(900)
def test_eight_robots_on_one_policy_never_wait_for_a_plan_and_record_all_they_did(tmp_path: Path) -> None:
    model, audit = save(CHECKPOINT, tmp_path / "act"), tmp_path / "audit.jsonl"
    settings = {
        "policy": "lerobot",
        "model": str(model),
        "options": {"allowed_sources": [str(tmp_path)]},
        "device": "cpu",
        "trained_rate_hz": RATE_HZ,
        "spec": {"actions": UNITS, "state": UNITS},
        "audit_path": str(audit),
    }
    with rig_in(tmp_path) as rig:
        server = rig.start_manifest(settings)
        robots = [start_recorded(rig, name) for name in ROBOTS]
        for robot in robots:
            robot.wait_for_line("robot running", timeout_s=START_S)
        let_run(robots, TOGETHER_S + FIRST_TICK_S)
        for robot in robots:
            robot.signal(signal.SIGINT)
        runs = [summary_of(robot, timeout_s=END_S) for robot in robots]
        server.signal(signal.SIGTERM)
        assert server.wait(timeout_s=END_S) == 0, server.output
    answered = answered_requests(audit)
    for run, robot in zip(runs, robots, strict=True):
        check_run(run, robot.output)
        check_dataset(run, robot.output, answered)


def start_recorded(rig: Rig, name: str) -> Child:
    """Start a robot that waits for the server and records a dataset."""
    record = ("--record.format", "lerobot", "--record", str(rig.folder / name), "--record.images")
    options = ("--options", "id", name, "--buffer-time-s", f"{BUFFER_S:g}")
    return rig.start_robot(name, "--wait", "--instruction", "reach", *record, *options, robot="lerobot:vsim")


def let_run(robots: Sequence[Child], seconds: float) -> None:
    """Return after this long, in which all must run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for robot in robots:
            assert robot.exit_code is None, robot.output
        time.sleep(0.2)


def answered_requests(audit: Path) -> set[tuple[int, int]]:
    """Return epoch and seq of all requests; each must have got a chunk, and some must have shared a batch."""
    decode = msgspec.json.Decoder(AuditLine).decode
    lines = [decode(line) for line in audit.read_bytes().splitlines() if b'"event"' not in line]
    assert {line.outcome for line in lines} == {"chunk"}
    assert {line.client for line in lines} == set(ROBOTS)
    assert max(line.batch_size for line in lines) > 1
    return {(line.epoch, line.seq) for line in lines}


def check_run(run: RunSummary, output: str) -> None:
    assert (run.reason, run.error, run.camera_errors) == ("interrupted", "", 0), output
    assert (run.starved_s, run.motion_s["fallback"]) == (0.0, 0.0), (run, output)
    assert run.counters.keys() <= HARMLESS, (run.counters, output)
    assert run.counters["sessions_opened"] == 1
    assert run.duration_s >= TOGETHER_S
    assert run.ticks >= (1 - LOST_SHARE) * run.duration_s * RATE_HZ, run
    assert "Traceback" not in output, output


def check_dataset(run: RunSummary, output: str, answered: Iterable[tuple[int, int]]) -> None:
    root = Path(run.recording)
    dataset = LeRobotDataset(f"local/{root.name}", root=root)
    assert (dataset.num_episodes, dataset.fps, dataset[0]["task"]) == (1, RATE_HZ, "reach")
    assert run.commands * (1 - LOST_SHARE) <= dataset.num_frames <= run.commands, output
    assert dataset.num_frames == run.commands or "the dataset lacks frames" in output, output
    assert dataset[dataset.num_frames - 1]["observation.images.front"].shape == (3, *SIZE)
    origin = {name: column(dataset, name) for name in COLUMNS}
    assert not origin["vagus.fallback"].any()
    assert (np.diff(origin["vagus.step"]) >= 0).all()
    assert origin["vagus.step"][-1] >= TOGETHER_S * RATE_HZ * (1 - LOST_SHARE)
    assert set(zip(origin["vagus.session"], origin["vagus.seq"], strict=True)) <= set(answered)


def column(dataset: LeRobotDataset, name: str) -> NDArray[np.float64]:
    return np.asarray(dataset.hf_dataset.data.column(name).to_pylist()).ravel()
