"""What is typed is obeyed: every flag of `vagus lerobot-rollout` is done, said to be idle, or refused."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from pathlib import Path

import draccus
import numpy as np
import pytest
from lerobot.configs import PreTrainedConfig
from lerobot.configs.dataset import DatasetRecordConfig
from lerobot.configs.video import DepthEncoderConfig, RGBEncoderConfig
from lerobot.datasets import LeRobotDataset
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.robots.config import RobotConfig
from lerobot.rollout.configs import (
    DAggerKeyboardConfig,
    DAggerPedalConfig,
    RolloutConfig,
    RolloutStrategyConfig,
)
from lerobot.rollout.inference import RTCInferenceConfig
from lerobot.teleoperators.config import TeleoperatorConfig

from rollout_dataset import recorded
from rollout_rig import JOINTS, Stand, add_plugin, stand_in, table
from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.control.loop_stats import EndReason
from vagus.edge.config import ExecuteHorizon
from vagus.errors import ConfigError
from vagus.integrations.lerobot import version as lerobot_version
from vagus.integrations.lerobot.rollout import rollout as integration
from vagus.integrations.lerobot.rollout.fields import FIELDS
from vagus.integrations.lerobot.rollout.remote_policy import VagusConfig
from vagus.server.config import ServeConfig

POSITIONS = tuple(f"{joint}.pos" for joint in JOINTS)
QUICK_END = ["--duration=30", "--policy.edge.max_offline_s=3", "--policy.edge.max_action_age_s=1.5"]


@pytest.fixture(autouse=True)
def arm() -> None:
    add_plugin()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ([], "auto"),
        (["--edge.execute_horizon=null"], None),
        (["--edge.execute_horizon=auto"], "auto"),
        (["--edge.execute_horizon=4"], 4),
    ],
)
def test_a_robot_asks_as_the_server_has_room_by_a_number_or_only_by_its_buffer(
    typed: list[str], wanted: ExecuteHorizon
) -> None:
    assert draccus.parse(VagusConfig, args=typed).edge.execute_horizon == wanted


# -- the fields of LeRobot ------------------------------------------------------------------------------


LEROBOTS = [
    *(
        RolloutConfig,
        DatasetRecordConfig,
        RGBEncoderConfig,
        DepthEncoderConfig,
        RTCInferenceConfig,
        RTCConfig,
    ),
    *(PreTrainedConfig, RobotConfig, TeleoperatorConfig, DAggerKeyboardConfig, DAggerPedalConfig),
    *RolloutStrategyConfig.get_known_choices().values(),
]


@pytest.mark.parametrize("kind", LEROBOTS, ids=lambda kind: kind.__name__)
def test_every_field_of_this_lerobot_has_its_place(kind: type) -> None:
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    assert fields <= set(FIELDS[kind.__name__])
    if lerobot_version.TESTED[-1] == importlib.metadata.version("lerobot"):
        assert fields == set(FIELDS[kind.__name__])  # none that no tested release has


def test_no_class_of_settings_was_forgotten() -> None:
    assert {kind.__name__ for kind in LEROBOTS} == set(FIELDS)


def test_a_field_that_nobody_here_knows_keeps_the_robot_unconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: fate for name, fate in FIELDS["RolloutConfig"].items() if name != "duration"}
    monkeypatch.setitem(FIELDS, "RolloutConfig", known)
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match="duration"):
        integration.main(stand.arguments("base", "--duration=2"))
    assert not stand.journal.exists()


def test_another_release_is_refused_unless_somebody_vouches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lerobot_version, "TESTED", ("0.5.9",))
    with stand_in(tmp_path) as stand:
        with pytest.raises(ConfigError, match=r"0\.5\.9.*untested_lerobot"):
            integration.main(stand.arguments("base", "--duration=2"))
        assert not stand.journal.exists()
        integration.main(stand.arguments("base", "--duration=2", "--policy.untested_lerobot=true"))
        assert stand.sent()


# -- what the policy is asked ---------------------------------------------------------------------------


def instructions(stand: Stand) -> set[str]:
    return {row.observation.instruction for row in stand.policy.rows if row.observation.instruction != ""}


@pytest.mark.parametrize("given", ["both", "task", "single_task", "neither"])
def test_a_dataset_says_what_the_policy_was_asked(tmp_path: Path, given: str) -> None:
    config = ServeConfig(model="sway", server_name="one", default_task="by default")
    with stand_in(tmp_path, config=config) as stand:
        told = [f"--task={given}"] * (given in ("both", "task"))
        told += [f"--dataset.single_task={given}"] * (given in ("both", "single_task"))
        flags = [*stand.arguments("sentry", "--duration=2"), *stand.dataset()]
        flags = [flag for flag in flags if "task=" not in flag]
        integration.main([*flags, *told])
        labels = recorded_tasks(stand)
    assert labels == {"by default" if given == "neither" else given}
    assert instructions(stand) - {"by default"} == labels - {"by default"}


def test_a_dataset_that_would_say_something_else_is_refused(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match=r"single_task.*'sway'"):
        integration.main([*stand.arguments("sentry", "--duration=2", *stand.dataset()), "--task=wave"])
    assert not stand.journal.exists()


def test_without_a_dataset_the_policy_is_asked_the_task(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=2"))
    assert instructions(stand) == {"sway"}


def recorded_tasks(stand: Stand) -> set[str]:
    assert len(recorded(stand)["action"])
    dataset = LeRobotDataset("vagus/rollout_test", root=stand.folder / "rollout_test")
    return {str(dataset[row]["task"]) for row in (0, len(dataset) // 2, len(dataset) - 1)}


def test_tags_reach_the_server(tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    config = ServeConfig(model="sway", server_name="one", audit_path=audit)
    with stand_in(tmp_path, config=config) as stand:
        integration.main(stand.arguments("base", "--duration=2", "--policy.tags={site: lab2}"))
    opened = [json.loads(line) for line in audit.read_text().splitlines() if '"opened"' in line]
    assert [line["tags"] for line in opened] == [{"program": "lerobot", "site": "lab2"}]


# -- LeRobot's settings of the inference ----------------------------------------------------------------


def test_real_time_chunking_is_switched_off(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3", "--inference.rtc.enabled=false"))
    assert len(stand.policy.rows) > 2
    assert all(row.prefix is None for row in stand.policy.rows if row.observation.instruction)


def test_the_guidance_ends_where_lerobot_says(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3", "--inference.rtc.execution_horizon=3"))
    asked = [row for row in stand.policy.rows if row.prefix is not None and row.observation.instruction]
    assert asked
    assert {row.prefix_horizon for row in asked if row.inference_delay <= 3} == {3}


def test_a_threshold_of_the_queue_asks_sooner(tmp_path: Path) -> None:
    counts = []
    for threshold in (5, 38):
        folder = tmp_path / str(threshold)
        folder.mkdir()
        with stand_in(folder) as stand:
            flags = ["--duration=4", f"--inference.queue_threshold={threshold}"]
            by_threshold_alone = "--policy.edge.execute_horizon=null"
            integration.main(stand.arguments("base", *flags, by_threshold_alone))
            counts.append(sum(bool(row.observation.instruction) for row in stand.policy.rows))
    assert counts[1] > 3 * counts[0]


@pytest.mark.parametrize(
    "flag",
    [
        "--inference.rtc.max_guidance_weight=5",
        "--inference.rtc.prefix_attention_schedule=EXP",
        "--policy.use_peft=true",
        "--policy.n_obs_steps=2",
    ],
)
def test_what_only_the_server_can_do_is_refused_before_anything_is_connected(
    tmp_path: Path, flag: str
) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match=flag.partition("=")[0].strip("-")):
        integration.main(stand.arguments("base", flag))
    assert not stand.journal.exists()


def test_what_has_no_effect_is_said_and_the_robot_moves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with stand_in(tmp_path) as stand:
        flags = ["--use_torch_compile=true", "--device=cuda"]
        integration.main(stand.arguments("base", "--duration=2", *flags))
        assert len(stand.sent()) > 30
    said = [
        line.partition("--")[2] for line in capfd.readouterr().err.splitlines() if "has no effect" in line
    ]
    assert [line.split()[0] for line in said] == ["device", "use_torch_compile"]


# -- ours -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fallback", ["hold", "repeat_last"])
def test_a_fallback_that_is_asked_for_is_what_the_robot_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fallback: str
) -> None:
    monkeypatch.setattr(importlib.import_module("lerobot_robot_vsim.vsim"), "SPEED", 0.5)  # it lags behind
    with stand_in(tmp_path) as stand, stand.losing_its_server(60):
        flags = [*QUICK_END, f"--inference.fallback.position={fallback}"]
        ended = integration.main(stand.arguments("base", *flags)).summary
    assert ended.reason is EndReason.DEAD
    joints = table(stand.sent(), POSITIONS)
    last_of_plan = stand.policy.actions(ended.plan_actions - 1)[0][::-1]  # the arm's order is the other one
    lag = np.abs(joints[-1] - last_of_plan).max()
    assert (lag < 1.0) == (fallback == "repeat_last")


def mapping_with(folder: Path, velocity: float) -> str:
    path = folder / "arm.json"
    path.write_text(json.dumps({"limits": {name: {"velocity": velocity} for name in POSITIONS}}))
    return f"--policy.mapping={path}"


def test_limits_of_a_mapping_file_bind(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3", mapping_with(tmp_path, 3.0)))
        joints = table(stand.sent(), POSITIONS)
    speed = np.abs(np.diff(joints, axis=0)).max() * 30.0
    assert 2.5 < speed <= 3.0 + 1e-3  # the plan asks for 12


def test_limited_for_too_long_stops_the_robot(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        flags = ["--duration=30", "--inference.max_limited_s=0.5", mapping_with(tmp_path, 1.0)]
        ended = integration.main(stand.arguments("base", *flags)).summary
    assert ended.reason is EndReason.LIMITED
    assert ended.limited["velocity"] > 10
    assert stand.events()[-1]["event"] == "disconnect"


# -- codes, lines and summary ---------------------------------------------------------------------------


def test_codes_are_those_of_vagus_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def code(stand: Stand, *flags: str) -> int:
        return main(["lerobot-rollout", *stand.arguments("base", *flags)])

    with stand_in(tmp_path) as stand:
        assert code(stand, "--duration=2") == ExitCode.OK
        said = capfd.readouterr()
        assert "run ended: finished" in said.out
        assert "session with one" in said.err
        assert "playing from step 0" in said.err
        limited = ["--duration=30", "--inference.max_limited_s=0.5", mapping_with(tmp_path, 1.0)]
        assert code(stand, *limited) == ExitCode.LIMITED
        assert code(stand, "--duration=9", "--robot.fails_after=30") == ExitCode.ROBOT
        assert "no status packet" in capfd.readouterr().out
        assert code(stand, "--robot.use_degrees=false") == ExitCode.REFUSED
        assert code(stand, "--policy.n_obs_steps=2") == ExitCode.CONFIG
        assert code(stand, "--strategy.type=dagger") == ExitCode.CONFIG  # LeRobot wants a teleoperator
        with stand.losing_its_server(60):
            assert code(stand, *QUICK_END) == ExitCode.DEAD
        said = capfd.readouterr()
        assert "plan ran out at step" in said.err
        assert re.search(r"(left|lost) server one-", said.err)
        assert "no chunk could be merged for 3 s" in said.out
        assert code(stand, "--policy.edge.connect_timeout_s=0.5") == ExitCode.UNREACHABLE
