"""What LeRobot's recording strategies write when a served policy drives: a stock dataset, and where from."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from lerobot.rollout.strategies import dagger, highlight

from rollout_dataset import check_plan_rows, recorded
from rollout_leader import HELD_AT
from rollout_rig import (
    BASE,
    DRIVES_BASES,
    Sway,
    add_leader,
    add_plugin,
    keys,
    pressing,
    stand_in,
    table,
)
from vagus.control.loop_stats import EndReason
from vagus.integrations.lerobot.rollout import rollout as integration

TELEOP = ["--teleop.type=vleader", "--teleop.id=leader"]


@pytest.fixture(autouse=True)
def arm() -> None:
    add_plugin()
    add_leader()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def test_sentry_records_where_each_action_came_from(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("sentry", "--duration=3", *stand.dataset()))
        columns = recorded(stand)
    assert len(columns["action"]) > 60
    check_plan_rows(columns, stand.policy)
    assert len(set(columns["vagus.session"])) == 1
    assert (np.diff(columns["vagus.seq"]) >= 0).all()
    assert columns["vagus.seq"].max() > 1


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_robot_that_reads_the_same_or_noise_for_ever_is_driven_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: float
) -> None:
    arm_type = importlib.import_module("lerobot_robot_vsim").VSim
    read, dice = arm_type.get_observation, np.random.default_rng(7)

    def reading(robot: object) -> dict[str, object]:
        seen: dict[str, object] = read(robot)
        return {k: 5.0 + noise * dice.standard_normal() if k.endswith(".pos") else v for k, v in seen.items()}

    monkeypatch.setattr(arm_type, "get_observation", reading)
    with stand_in(tmp_path) as stand:
        ended = integration.main(stand.arguments("sentry", "--duration=3", *stand.dataset())).summary
        columns = recorded(stand)
    assert ended.reason is EndReason.FINISHED
    assert len(columns["action"]) > 60
    check_plan_rows(columns, stand.policy)
    spread = np.std(columns["observation.state"])
    assert (spread > 0.5) == bool(noise)


def test_videos_are_encoded_while_the_policy_drives(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        flags = ["--duration=3", "--dataset.video=true", "--dataset.streaming_encoding=true"]
        integration.main(stand.arguments("sentry", *[*stand.dataset(), *flags]))
        columns = recorded(stand)
        pictures = list((stand.folder / "rollout_test").rglob("*.mp4"))
    assert len(columns["action"]) > 60
    check_plan_rows(columns, stand.policy)
    assert len(pictures) == 1


def test_a_recording_without_provenance_has_lerobots_columns_only(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        flags = ["--duration=2", "--policy.provenance=false"]
        integration.main(stand.arguments("sentry", *flags, *stand.dataset()))
        columns = recorded(stand)
    assert set(columns) == {"action", "episode_index", "observation.state"}


def test_a_dataset_is_resumed_with_its_columns(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("sentry", "--duration=2", *stand.dataset()))
        integration.main(stand.arguments("sentry", "--duration=2", "--resume=true", *stand.dataset()))
        columns = recorded(stand)
    assert sorted(set(columns["episode_index"].tolist())) == [0, 1]
    assert len(set(columns["vagus.session"])) == 2
    check_plan_rows(columns, stand.policy)


def test_episodes_begin_with_a_fresh_plan(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        times = ["--dataset.num_episodes=2", "--dataset.episode_time_s=2", "--dataset.reset_time_s=1"]
        integration.main(stand.arguments("episodic", *stand.dataset(), *times))
        columns = recorded(stand)
    check_plan_rows(columns, stand.policy)
    for episode in (0, 1):
        assert columns["vagus.step"][columns["episode_index"] == episode][0] >= 0  # no standing still
        steps = columns["vagus.step"][(columns["episode_index"] == episode) & (columns["vagus.step"] >= 0)]
        assert (np.diff(steps) == 1).all()
    assert stand.policy.begun >= 2
    assert sum(row.step == 0 for row in stand.policy.rows) >= 2


def test_highlight_knows_where_the_frames_from_before_the_key_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = keys(monkeypatch, highlight)
    with stand_in(tmp_path) as stand:
        flags = ["--duration=5", "--strategy.ring_buffer_seconds=2"]
        with pressing(stand, handlers, [(2.5, "s")]):
            integration.main(stand.arguments("highlight", *flags, *stand.dataset()))
        columns = recorded(stand)
    assert len(columns["action"]) > 60
    check_plan_rows(columns, stand.policy)
    assert (np.diff(columns["vagus.step"]) == 1).all()


@pytest.mark.skipif(not DRIVES_BASES, reason="LeRobot 0.6.0 commands positions only")
def test_no_plan_survives_a_human_and_a_paused_base_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = keys(monkeypatch, dagger)
    with stand_in(tmp_path, Sway(has_base=True)) as stand:
        flags = ["--duration=12", "--strategy.record_autonomous=true"]
        presses = [(2.0, "space"), (1.0, "tab"), (3.0, "tab"), (1.5, "space")]
        arguments = stand.arguments("dagger", *flags, *TELEOP, *stand.dataset(), has_base=True)
        with pressing(stand, handlers, presses):
            integration.main(arguments)
        columns, base = recorded(stand), table(stand.sent(), BASE)
    human = columns["intervention"]
    assert human.any()
    assert (columns["vagus.session"][human] == -1).all()
    assert not columns["vagus.fallback"][human].any()
    by_us = columns["vagus.step"][~human & (columns["vagus.step"] >= 0)]
    assert len(set(columns["vagus.seq"])) > 2
    restarts = np.flatnonzero(np.diff(by_us) != 1)
    assert len(restarts) <= 1
    is_standing = ~base.any(axis=1)
    runs = "".join("s" if stands else "m" for stands in is_standing).split("m")
    assert max(map(len, runs)) > 20  # paused: LeRobot repeats its last action, which would have driven on
    resumed = [row for row in stand.policy.rows if row.step == 0][-1]
    assert resumed.prefix is None
    np.testing.assert_allclose(
        resumed.observation.state[:6], HELD_AT, atol=0.1
    )  # from where the human left it
