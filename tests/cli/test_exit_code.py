"""The exit codes are those of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vagus import errors
from vagus.cli.exit_code import ExitCode, exit_code_of
from vagus.cli.run_report import exit_code_for
from vagus.control.loop_stats import EndReason
from vagus.errors import VagusError

QUICKSTART = Path(__file__).parents[2] / "docs" / "quickstart.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("a", wanted="b", got="c"), ExitCode.CONFIG),
        (errors.LinkError("away"), ExitCode.UNREACHABLE),
        (errors.QueryTimeoutError("late"), ExitCode.UNREACHABLE),
        (errors.SessionRefusedError("overloaded", "full"), ExitCode.REFUSED),
        (errors.SpecError("a", wanted="b", got="c"), ExitCode.REFUSED),
        (errors.RobotError("unplugged"), ExitCode.ROBOT),
        (errors.PolicyError("raised"), ExitCode.POLICY),
        (errors.ProtocolError("bytes"), ExitCode.FAILED),
        (VagusError("anything"), ExitCode.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: VagusError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_each_way_a_run_can_end_has_its_exit_code() -> None:
    codes = {reason: exit_code_for(reason) for reason in EndReason}
    assert codes[EndReason.FINISHED] is ExitCode.OK
    assert codes[EndReason.DEAD] is ExitCode.DEAD
    assert codes[EndReason.ROBOT_ERROR] is ExitCode.ROBOT
    assert codes[EndReason.TERMINATED] is ExitCode.OK, "SIGTERM is how a supervisor ends what it has started"
    assert len(set(codes.values())) == len(codes) - 1
    stuck = {exit_code_for(reason, is_stopped=False) for reason in EndReason}
    assert stuck == {ExitCode.NOT_STOPPED}, "a robot that may still move comes before all else"


def test_the_documentation_lists_every_code_but_the_nameless_one() -> None:
    table = QUICKSTART.read_text(encoding="utf-8").partition("## Exit codes")[2]
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert listed >= set(ExitCode) - {ExitCode.FAILED}
    assert listed <= set(ExitCode)
