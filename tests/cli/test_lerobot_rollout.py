"""`vagus lerobot-rollout` hands its arguments over, and says what is missing."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest

from vagus.cli import lerobot_rollout
from vagus.cli.exit_code import ExitCode
from vagus.cli.lerobot_rollout import LerobotRolloutCommand
from vagus.cli.main import main
from vagus.clock import NS_PER_S
from vagus.control.loop_stats import EndReason, LoopStats
from vagus.control.outcome import RunOutcome
from vagus.edge.client.client import ClientStatus
from vagus.types import LinkState, MotionState, Provenance


def test_without_lerobot_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lerobot_rollout, "INTEGRATION", "vagus.integrations.no_such_module")
    assert main(["lerobot-rollout", "--robot.type=so101_follower"]) == ExitCode.CONFIG
    assert 'pip install "vagus[lerobot]"' in " ".join(capsys.readouterr().err.split())


def ended(reason: EndReason, error: str = "") -> RunOutcome:
    tally = LoopStats()
    tally.note_tick(0, 0, 0)
    playing = Provenance(1, 1, 0, 3, 0, 0, LinkState.STREAMING, MotionState.PLAYING)
    tally.note_command(3 * NS_PER_S, playing, is_commanded=True)
    summary = tally.summary(reason, error, limited={}, camera_errors=0)
    status = ClientStatus(LinkState.STREAMING, "one", 3.0, "", "")
    return RunOutcome(replace(summary, lateness_ms={}, episodes=2), {"merged": 7}, status, "/data/pick")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.FINISHED, ExitCode.OK),
        (EndReason.INTERRUPTED, ExitCode.INTERRUPTED),
        (EndReason.DEAD, ExitCode.DEAD),
        (EndReason.ROBOT_ERROR, ExitCode.ROBOT),
        (EndReason.LIMITED, ExitCode.LIMITED),
        (EndReason.ERROR, ExitCode.FAILED),
    ],
)
def test_its_flags_are_lerobots_and_its_codes_and_summary_those_of_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: EndReason, code: ExitCode
) -> None:
    given: list[str] = []

    def run(arguments: tuple[str, ...], on_stuck: object) -> RunOutcome:
        given.extend(arguments)
        return ended(reason, "why it ended")

    module = ModuleType("stand_in_for_lerobot")
    module.main = run  # type: ignore[attr-defined] # what the integration offers
    monkeypatch.setitem(sys.modules, "stand_in_for_lerobot", module)
    monkeypatch.setattr(lerobot_rollout, "INTEGRATION", "stand_in_for_lerobot")
    assert main(["lerobot-rollout", "--robot.type=x", "--help"]) == code
    assert given == ["--robot.type=x", "--help"]
    said = " ".join(capsys.readouterr().out.split())
    for text in (f"run ended: {reason.value}", "3.0 s, 1 ticks", "merged 7", "/data/pick", "why it ended"):
        assert text in said
    assert "missed" not in said  # nobody knows under LeRobot's loop
    assert LerobotRolloutCommand(("a",)).run() == code


def test_it_is_listed_with_the_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "lerobot-rollout" in capsys.readouterr().out
