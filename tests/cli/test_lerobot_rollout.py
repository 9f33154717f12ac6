"""`vagus lerobot-rollout` hands its arguments over, and says what is missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from vagus.cli import lerobot_rollout
from vagus.cli.exit_code import ExitCode
from vagus.cli.lerobot_rollout import LerobotRolloutCommand
from vagus.cli.main import main


def test_without_lerobot_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lerobot_rollout, "INTEGRATION", "vagus.integrations.no_such_module")
    assert main(["lerobot-rollout", "--robot.type=so101_follower"]) == ExitCode.CONFIG
    assert 'pip install "vagus[lerobot]"' in " ".join(capsys.readouterr().err.split())


def test_its_flags_are_lerobots(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    module = ModuleType("stand_in_for_lerobot")
    module.main = given.extend  # type: ignore[attr-defined] # what the integration offers
    monkeypatch.setitem(sys.modules, "stand_in_for_lerobot", module)
    monkeypatch.setattr(lerobot_rollout, "INTEGRATION", "stand_in_for_lerobot")
    assert main(["lerobot-rollout", "--robot.type=x", "--help"]) == ExitCode.OK
    assert given == ["--robot.type=x", "--help"]
    assert LerobotRolloutCommand(("a",)).run() == ExitCode.OK


def test_it_is_listed_with_the_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "lerobot-rollout" in capsys.readouterr().out
