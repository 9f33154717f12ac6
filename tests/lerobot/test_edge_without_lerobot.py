"""The robot's side needs neither torch nor LeRobot, also where the policy is LeRobot's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_backend import RATE_HZ, act_config, save
from process.rig import START_S, check_safe, outcome_of, rig_in
from vagus.demo.arm import ACTIONS, STATE

PYTHON = os.environ.get("VAGUS_EDGE_PYTHON", "")
ABSENT = """
import importlib.util
for name in ("torch", "lerobot"):
    assert importlib.util.find_spec(name) is None, name
"""
DURATION_S = 10.0
SIZE = (48, 64)
CHECKPOINT = act_config(
    input_features={
        "observation.state": PolicyFeature(FeatureType.STATE, (len(STATE),)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, *SIZE)),
        "observation.images.top": PolicyFeature(FeatureType.VISUAL, (3, *SIZE)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (len(ACTIONS),))},
)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(not PYTHON, reason="VAGUS_EDGE_PYTHON names no Python with vagus and without LeRobot")
def test_a_robot_without_torch_is_driven_by_a_lerobot_policy(tmp_path: Path) -> None:
    subprocess.run([PYTHON, "-c", ABSENT], check=True)
    settings = {
        "policy": "lerobot",
        "model": str(save(CHECKPOINT, tmp_path / "act")),
        "options": {"allowed_sources": [str(tmp_path)]},
        "device": "cpu",
        "trained_rate_hz": RATE_HZ,
        "spec": {"actions": {f.name: f.unit for f in ACTIONS}, "state": {f.name: f.unit for f in STATE}},
    }
    with rig_in(tmp_path) as rig:
        server = rig.start_manifest(settings)
        server.wait_for_line("server ready", timeout_s=START_S)
        robot = rig.start_robot("edge", "--duration-s", f"{DURATION_S:g}", python=PYTHON)
        robot.wait_for_line("robot running", timeout_s=START_S)
        loaded = Path(f"/proc/{robot.pid}/maps").read_text()
        outcome = outcome_of(robot)
    assert "zenoh" in loaded
    assert "libtorch" not in loaded
    assert (outcome.run.reason, outcome.run.error) == ("finished", "")
    assert outcome.run.plan_actions > DURATION_S * RATE_HZ
    check_safe(outcome)
