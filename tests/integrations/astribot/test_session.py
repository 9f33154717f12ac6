"""What a robot configures, and what it gets before: the sequence that was captured, and hostile ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
    AstribotStatus,
    CommandType,
    StatusCode,
)
from vagus.integrations.astribot.session import AstribotModel, AstribotSession
from vagus.integrations.astribot.session_codec import decode_policy_config, decode_status

GOLDEN = Path(__file__).parent / "golden"
NAME = "pi05_astribot_lora"
MODEL = AstribotModel(
    name=NAME, state_dim=25, action_dim=25, horizon=2, prompt="tidy up", metadata_json='{"k": 1}'
)
CONFIG = decode_policy_config((GOLDEN / "Configure_0_c2s.bin").read_bytes())
OBSERVATION = AstribotObservation(np.zeros(25, np.float32))


def ready() -> AstribotSession:
    return AstribotSession(MODEL, CONFIG.default_prompt)


def captured(name: str) -> AstribotStatus:
    return replace(decode_status((GOLDEN / f"{name}.bin").read_bytes()), mode="model")


def test_the_captured_sequence() -> None:
    robot = ready()
    assert robot.status("x") == replace(captured("Configure_0_s2c"), message="x")
    for frame in (1, 2):
        assert robot.refusal_of(OBSERVATION) is None
        assert robot.note_answered() == robot.frame == frame
    robot.control(AstribotCommand(CommandType.SET_PROMPT, {"prompt": "x"}))
    robot.control(AstribotCommand(CommandType.SET_EPISODE, {"episode": "3"}))
    assert robot.status() == captured("GetStatus_0_s2c")
    assert robot.reset() == replace(captured("Reset_0_s2c"), message="reset")


def test_a_robot_without_a_prompt_has_that_of_the_model() -> None:
    assert AstribotSession(MODEL).status().current_prompt == "tidy up"


def test_a_state_of_another_width_is_refused() -> None:
    refused = ready().refusal_of(AstribotObservation(np.zeros(16, np.float32)))
    assert refused is not None
    assert refused.status is StatusCode.INVALID_INPUT
    assert refused.message == f"state: wanted 25 numbers, as {NAME} takes, got 16"


def test_what_makes_an_answer_stale_begins_a_generation() -> None:
    robot = ready()
    robot.control(AstribotCommand(CommandType.SET_PROMPT, {"prompt": "x"}))
    assert (robot.generation, robot.episodes) == (1, 0)
    robot.control(AstribotCommand(CommandType.SET_EPISODE, {"episode": "3"}))
    robot.reset()
    assert (robot.generation, robot.episodes) == (3, 2)
    robot.note_answered()
    robot.control(AstribotCommand(CommandType.SET_PROMPT, {"prompt": ""}))
    assert (robot.generation, robot.episodes) == (3, 2)


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
    robot.note_answered()
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
        robot.note_answered()
        assert robot.status().current_frame == 1
        assert robot.control(command).current_frame == 0
