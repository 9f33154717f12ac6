"""What `vagus replay` says to a script, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.parse import parse
from vagus.cli.replay import exit_code_of_report
from vagus.errors import ConfigError
from vagus.replay.resend import ResendReport


def report(**counts: int) -> ResendReport:
    found = {"same": 0, "different": 0, "failed": 0, "unanswered": 0, "skipped": 0, **counts}
    return ResendReport(
        captures="captures",
        server="s",
        model="m",
        model_hash="cafe",
        captured_hashes=["cafe"],
        is_same_model=True,
        tolerance=0.0,
        sessions=1,
        requests=sum(found.values()),
        joints=[],
        troubles=[],
        warnings=[],
        **found,
    )


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"same": 3}, ExitCode.OK),
        ({"same": 3, "skipped": 1}, ExitCode.OK),
        ({"same": 3, "different": 1}, ExitCode.DIFFERENT),
        ({"same": 3, "failed": 1}, ExitCode.DIFFERENT),
        ({"different": 1, "unanswered": 1}, ExitCode.DIFFERENT),
        ({"same": 3, "unanswered": 1}, ExitCode.FAILED),
        ({"skipped": 3}, ExitCode.FAILED),
    ],
)
def test_only_what_was_compared_is_the_same_or_different(counts: dict[str, int], code: ExitCode) -> None:
    assert exit_code_of_report(report(**counts)) is code


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--tolerance", "-1"], "tolerance"),
        (["--tolerance", "nan"], "tolerance"),
        (["--timeout-s", "0"], "timeout_s"),
        ([], "no captured request"),
        (["--latency-ms", "150"], "wanted a recorded session, got captures, and 150 ms more"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_a_network_is_looked_for(
    flags: list[str], wanted: str, tmp_path: Path
) -> None:
    (tmp_path / "damaged.capture").write_bytes(b"")
    with pytest.raises(ConfigError, match=wanted):
        parse(["replay", str(tmp_path), *flags]).run()


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--tolerance", "0.1"], "tolerance: wanted captures"),
        (["--service", "a/b"], "service: wanted captures"),
        (["--connect", "tcp/a:1"], "zenoh: wanted captures"),
        (["--cut-for-s", "3"], "--cut-every-s"),
        (["--loss", "2"], "loss"),
        (["--lognormal-sigma", "1"], "latency_ms"),
        ([], "chunks as they came"),
    ],
)
def test_a_session_takes_no_settings_of_captures(flags: list[str], wanted: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text("{}")
    (tmp_path / "steps.jsonl").write_text("")
    with pytest.raises(ConfigError, match=wanted):
        parse(["replay", str(tmp_path), *flags]).run()


def test_a_dataset_is_sent_to_the_policy_that_plays_it(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"vagus serve --policy replay:"):
        parse(["replay", str(tmp_path)]).run()
