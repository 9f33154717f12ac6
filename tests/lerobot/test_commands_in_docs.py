"""The flags of LeRobot's rollout that the documents name are known to LeRobot's own parser, and to ours."""

import re
import sys
from functools import reduce

import pytest
from lerobot.configs import parser
from lerobot.rollout.configs import RolloutConfig

from documents import DOCUMENTS, Typed, flags_named, lines_typed, spans
from rollout_rig import add_plugin
from vagus.integrations.lerobot.rollout import rollout as integration
from vagus.integrations.lerobot.rollout.settings import settle

LINES = [
    line
    for document in DOCUMENTS
    for line in lines_typed(document, "vagus", "lerobot-rollout")
    if "lerobot-rollout" in line.words[:2]
]
OF_ROLLOUT = re.compile(r"--(policy|inference|dataset|robot|strategy)\.\w")
OF_REMOTE = re.compile(r"--inference\.(type=remote|semantics|deployment)\b")
"""Flags of LeRobot's remote inference, which no release that is tested here has."""
FLAGS = [
    span
    for document in DOCUMENTS
    for span in spans(document)
    if span.text.startswith("--") and all(map(OF_ROLLOUT.match, flags_named(span)))
    if not OF_REMOTE.match(span.text)
]
FULL = ["--robot.type=so101_follower", "--robot.port=/dev/ttyACM0", "--strategy.type=sentry"]
DATASET = ["--dataset.repo_id=me/rollout_x", "--dataset.push_to_hub=false"]
HELD_APART = ("--policy.path",)
"""LeRobot takes these from the command line before its configuration sees them."""


def parsed(arguments: list[str]) -> RolloutConfig:
    @parser.wrap()  # type: ignore[untyped-decorator] # it reads the annotation, which must be a class
    def take(cfg: RolloutConfig) -> RolloutConfig:
        return cfg

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lerobot-rollout", *integration._complete(arguments)])
        config: RolloutConfig = take()
    return config


@pytest.fixture(autouse=True)
def arm() -> None:
    add_plugin()


@pytest.fixture(scope="module")
def config() -> RolloutConfig:
    return parsed([*FULL, *DATASET])


def test_there_are_lines_and_flags_to_look_at() -> None:
    assert len(LINES) >= 2
    assert len(FLAGS) >= 25


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_line_in_a_block_is_understood(line: Typed) -> None:
    left_out = ["--robot.port=/dev/ttyACM0"] if "…" in line.text else []
    arguments = [word for word in line.words if word.startswith("--")] + left_out
    config = parsed(arguments)
    if line.words[0] == "vagus":
        settle(config, arguments)
    assert config.policy.type == "vagus"


@pytest.mark.parametrize("span", FLAGS, ids=str)
def test_a_flag_in_running_text_is_one(span: Typed, config: RolloutConfig) -> None:
    (flag,) = flags_named(span)
    path = flag.removeprefix("--").removesuffix("…").strip(".").split(".")
    if flag not in HELD_APART:
        reduce(getattr, path, config)


@pytest.mark.parametrize("span", [span for span in FLAGS if "=" in span.text], ids=str)
def test_the_value_of_a_flag_in_running_text_is_taken(span: Typed) -> None:
    if span.text == "--inference.type=sync":
        pytest.skip("LeRobot's own, and refused")
    (word,) = span.words
    flag = word.partition("=")[0]
    rest = [said for said in (*FULL, *DATASET) if not said.startswith(f"{flag}=")]
    settle(parsed([*rest, word]), [*rest, word])
