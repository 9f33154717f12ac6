"""What a robot configures, and what it gets before: the sequence that was captured, and hostile ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
    StatusCode,
)
from vagus.integrations.astribot.motion_codec import decode_chunk
from vagus.integrations.astribot.session import AstribotModel, AstribotSession
from vagus.integrations.astribot.session_codec import decode_policy_config, decode_status, encode_status

GOLDEN = Path(__file__).parent / "golden"
MODEL = AstribotModel(state_dim=25, action_dim=25, horizon=2, prompt="tidy up", metadata_json='{"k": 1}')
NAME = "pi05_astribot_lora"
CONFIG = decode_policy_config((GOLDEN / "Configure_0_c2s.bin").read_bytes())
OBSERVATION = AstribotObservation(np.zeros(25, np.float32))


def session(**changes: str) -> AstribotSession:
    return AstribotSession({NAME: replace(MODEL, **changes)})  # type: ignore[arg-type]


def ready() -> AstribotSession:
    made = session()
    assert made.configure(CONFIG).is_ready
    return made


def captured(name: str) -> AstribotStatus:
    return decode_status((GOLDEN / f"{name}.bin").read_bytes())


def test_the_captured_sequence() -> None:
    robot = session()
    refused = robot.admit(OBSERVATION)
    assert refused is not None
    assert refused.status is decode_chunk((GOLDEN / "PredictChunk_0_s2c.bin").read_bytes()).status
    assert refused.message == f"no model yet: call Configure with config_name {NAME}"
    wanted = captured("Configure_0_s2c")
    assert robot.configure(CONFIG) == replace(wanted, message=f"model {NAME} is ready")
    for frame in (1, 2):
        assert robot.admit(OBSERVATION) is None
        assert robot.frame == frame
    robot.control(AstribotCommand(CommandType.SET_PROMPT, {"prompt": "x"}))
    robot.control(AstribotCommand(CommandType.SET_EPISODE, {"episode": "3"}))
    assert encode_status(robot.status()) == (GOLDEN / "GetStatus_0_s2c.bin").read_bytes()
    assert robot.reset() == replace(captured("Reset_0_s2c"), message="reset")


def test_nothing_is_known_before_a_model() -> None:
    robot = session()
    assert robot.status() == AstribotStatus()
    assert robot.reset() == AstribotStatus(message="reset")
    assert robot.prompt == ""


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (AstribotPolicyConfig("other"), f"config_name: wanted {NAME}, got 'other'"),
        (AstribotPolicyConfig(""), f"config_name: wanted {NAME}, got none"),
        (AstribotPolicyConfig("/etc/passwd\n"), f"config_name: wanted {NAME}, got '/etc/passwd"),
        (AstribotPolicyConfig(NAME, "/ckpt/1"), "checkpoint_dir: wanted '/ckpt/2' or nothing, got '/ckpt/1'"),
    ],
)
def test_no_other_model_is_loaded_and_the_one_before_is_no_longer_meant(
    config: AstribotPolicyConfig, wanted: str
) -> None:
    robot = session(checkpoint_dir="/ckpt/2")
    assert robot.configure(AstribotPolicyConfig(NAME)).is_ready
    status = robot.configure(config)
    assert not status.is_ready
    assert (status.model_name, status.action_dim) == ("", 0)
    assert status.message.startswith(wanted)
    refused = robot.admit(OBSERVATION)
    assert refused is not None
    assert refused.status is StatusCode.NOT_READY


def test_the_checkpoint_of_the_list_may_be_named() -> None:
    assert session(checkpoint_dir="/ckpt/2").configure(AstribotPolicyConfig(NAME, "/ckpt/2")).is_ready
    assert session().configure(AstribotPolicyConfig(NAME, "/ckpt/any")).is_ready


def test_an_empty_list_has_no_model() -> None:
    assert "a list that is empty" in AstribotSession({}).configure(CONFIG).message


def test_a_robot_without_a_prompt_has_that_of_the_model() -> None:
    robot = session()
    assert robot.configure(AstribotPolicyConfig(NAME)).current_prompt == "tidy up"
    assert robot.prompt == "tidy up"


def test_a_state_of_another_width_is_refused_and_not_counted() -> None:
    robot = ready()
    refused = robot.admit(AstribotObservation(np.zeros(16, np.float32)))
    assert refused is not None
    assert refused.status is StatusCode.INVALID_INPUT
    assert refused.message == f"state: wanted 25 numbers, as {NAME} takes, got 16"
    assert robot.frame == 0


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (AstribotCommand(CommandType.SET_PROMPT), "prompt: wanted a text, got none"),
        (AstribotCommand(CommandType.SET_PROMPT, {"prompt": ""}), "prompt: wanted a text, got none"),
        (AstribotCommand(CommandType.SET_EPISODE), "episode: wanted a whole number from 0, got none"),
        (AstribotCommand(CommandType.SET_EPISODE, {"episode": "-1"}), "got '-1'"),
        (AstribotCommand(CommandType.SET_EPISODE, {"episode": "²"}), "got '²'"),
        (AstribotCommand(CommandType.SET_EPISODE, {"episode": "2147483648"}), "got '2147483648'"),
        (AstribotCommand(CommandType.SET_EPISODE, {"episode": "9" * 5000}), "(5000 characters)"),
    ],
)
def test_a_command_that_is_none_changes_nothing(command: AstribotCommand, wanted: str) -> None:
    robot = ready()
    robot.admit(OBSERVATION)
    before = robot.status()
    said = robot.control(command)
    assert wanted in said.message
    assert len(said.message) < 200
    assert robot.status() == before


def test_a_reset_and_a_new_episode_begin_at_frame_0() -> None:
    robot = ready()
    for command in (
        AstribotCommand(CommandType.RESET),
        AstribotCommand(CommandType.SET_EPISODE, {"episode": "0"}),
    ):
        robot.admit(OBSERVATION)
        assert robot.status().current_frame == 1
        assert robot.control(command).current_frame == 0
