"""What is recorded is trained on, served and run; merged with what others recorded; and replayed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets import LeRobotDataset

from rollout_rig import PLUGIN
from vagus.cli.exit_code import ExitCode
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.loop_stats import EndReason
from vagus.integrations.lerobot.dataset.provenance import COLUMNS
from vagus.policies.declare import SpecTable
from vagus.robots.registry import load_robot
from vagus.robots.robot import Robot
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.served_policy import load_model
from vsim_rig import RATE_HZ, UNITS, Towards, drive, events

pytestmark = pytest.mark.timeout(300)

SMALL = [
    *("--policy.dim_model=32", "--policy.n_heads=4", "--policy.dim_feedforward=64", "--policy.latent_dim=8"),
    *("--policy.n_encoder_layers=1", "--policy.n_decoder_layers=1", "--policy.n_vae_encoder_layers=1"),
    *("--policy.chunk_size=20", "--policy.n_action_steps=20", "--policy.pretrained_backbone_weights=null"),
]


def lerobot(command: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of LeRobot's own commands, offline."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH")))),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
    }
    program = [sys.executable, "-m", f"lerobot.scripts.lerobot_{command}", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=240)


def written_manifest(checkpoint: Path, dataset: Path, path: Path) -> ServeConfig:
    """Have the manifest of a checkpoint written; names and rate are those of the dataset."""
    flags = ["--policy", "lerobot", "--model", str(checkpoint), "--write-manifest", str(path)]
    program = [sys.executable, "-m", "vagus", "serve", *flags, "--dataset", str(dataset)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == ExitCode.OK, done.stderr
    assert f"check every line, names and units above all, then: vagus serve {path}" in done.stdout
    again = subprocess.run(program, capture_output=True, text=True, check=False, timeout=240)
    assert again.returncode == ExitCode.CONFIG
    assert "wanted a new file" in again.stderr
    config = load_manifest(path)
    assert list(config.spec.actions) == list(config.spec.state) == list(UNITS)
    assert config.trained_rate_hz == RATE_HZ
    assert config.options == {"allowed_sources": (str(checkpoint),)}
    return config


def vsim(journal: Path) -> Robot:
    return load_robot("lerobot:vsim", {"id": "sim", "journal": str(journal)})


def record(folder: Path, name: str, *, provenance: bool = True) -> Path:
    """Record two episodes of single images."""
    root = folder / name
    config = RecorderConfig(
        directory=str(root), format="lerobot", repo_id=f"local/{name}", codec="", provenance=provenance
    )
    summary = drive(
        vsim(folder / f"{name}.jsonl"), Towards(), LoopConfig(duration_s=3.0, episode_s=1.5), config
    )
    assert summary.reason is EndReason.FINISHED
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cycle")


@pytest.fixture(scope="module")
def recorded(folder: Path) -> Path:
    return record(folder, "robot")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """What LeRobot's own `lerobot-record` writes has no columns of ours either."""
    return record(folder, "plain", provenance=False)


def test_every_episode_begins_with_an_action_of_a_plan(recorded: Path) -> None:
    rows = LeRobotDataset("local/robot", root=recorded).hf_dataset.with_format("numpy")
    episodes, steps = np.array(rows["episode_index"]).ravel(), np.array(rows["vagus.step"]).ravel()
    assert len(set(episodes)) == 2
    for episode in set(episodes):
        assert steps[episodes == episode][0] >= 0


def test_without_provenance_there_are_lerobots_columns_only(plain: Path) -> None:
    dataset = LeRobotDataset("local/plain", root=plain)
    assert not [name for name in dataset.features if name.startswith("vagus.")]
    assert dataset.num_episodes == 2


def test_what_is_recorded_is_trained_on_served_and_run(folder: Path, recorded: Path) -> None:
    trained = folder / "train"
    done = lerobot(
        "train",
        folder,
        *("--dataset.repo_id=local/robot", f"--dataset.root={recorded}", f"--output_dir={trained}"),
        *("--policy.type=act", "--policy.device=cpu", "--policy.push_to_hub=false", *SMALL),
        *("--steps=3", "--batch_size=2", "--num_workers=0", "--save_freq=3", "--wandb.enable=false"),
    )
    assert done.returncode == 0, done.stderr
    checkpoint = trained / "checkpoints" / "last" / "pretrained_model"
    config = replace(
        written_manifest(checkpoint, recorded, folder / "serve.yaml"),
        device="cpu",
        spec=SpecTable(actions=dict(UNITS), state=dict(UNITS)),  # which a person corrects
    )
    journal = folder / "run.jsonl"
    summary = drive(vsim(journal), load_model(config), LoopConfig(duration_s=3.0))  # type: ignore[arg-type]
    assert (summary.reason, summary.error) == (EndReason.FINISHED, "")
    assert summary.plan_actions > 30
    sent = [event["action"] for event in events(journal) if event["event"] == "action"]
    assert len(sent) == summary.commands


def test_a_recording_is_merged_with_one_of_lerobots_once_its_columns_are_removed(
    folder: Path, recorded: Path, plain: Path
) -> None:
    def merge(one: Path, name: str) -> subprocess.CompletedProcess[str]:
        return lerobot(
            "edit_dataset",
            folder,
            *(f"--new_repo_id=local/{name}", f"--new_root={folder / name}", "--operation.type=merge"),
            f"--operation.repo_ids=['local/{one.name}','local/plain']",
            f"--operation.roots=['{one}','{plain}']",
        )

    assert merge(recorded, "refused").returncode != 0
    removed = lerobot(
        "edit_dataset",
        folder,
        *("--repo_id=local/robot", f"--root={recorded}", "--new_repo_id=local/bare"),
        *(f"--new_root={folder / 'bare'}", "--operation.type=remove_feature"),
        f"--operation.feature_names={sorted(COLUMNS)}",
    )
    assert removed.returncode == 0, removed.stderr
    done = merge(folder / "bare", "merged")
    assert done.returncode == 0, done.stderr
    merged = LeRobotDataset("local/merged", root=folder / "merged")
    assert merged.num_episodes == 4
    frames = [LeRobotDataset(f"local/{root.name}", root=root).num_frames for root in (recorded, plain)]
    assert merged.num_frames == sum(frames)
    assert merged[len(merged) - 1]["observation.images.front"].shape == (3, 48, 64)


def test_a_recorded_episode_is_replayed_by_lerobot(folder: Path, recorded: Path) -> None:
    journal = folder / "replay.jsonl"
    done = lerobot(
        "replay",
        folder,
        *("--robot.type=vsim", "--robot.id=sim", f"--robot.calibration_dir={folder / 'calibration'}"),
        *(f"--robot.journal={journal}", "--dataset.repo_id=local/robot", f"--dataset.root={recorded}"),
        *("--dataset.episode=1", "--play_sounds=false", "--robot.discover_packages_path=lerobot_robot_vsim"),
    )
    assert done.returncode == 0, done.stderr
    rows = LeRobotDataset("local/robot", root=recorded).hf_dataset.with_format("numpy")
    wanted = np.array(rows["action"])[np.array(rows["episode_index"]).ravel() == 1]
    sent = [event["action"] for event in events(journal) if event["event"] == "action"]
    got = np.array([list(action.values()) for action in sent if isinstance(action, dict)])
    np.testing.assert_allclose(got, wanted, atol=1e-5)
