from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main

STEP = {
    "t_ns": 1_000_000_000,
    "epoch": 5,
    "seq": 1,
    "episode": 0,
    "step": 0,
    "index": 0,
    "age_ms": 40.0,
    "link": "streaming",
    "motion": "playing",
    "limited": [],
    "is_moving": False,
    "action": [0.1, 0.2],
    "state": [0.0, 0.1],
}


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Return a session as the first version recorded it, cut off in the middle of a line."""
    folder = tmp_path / "runs" / "20260304-050607-arm-1f2e"
    folder.mkdir(parents=True)
    said = {"vagus": "0.0.1", "robot": "sim", "name": "arm", "actions": ["a", "b"], "state": ["a", "b"]}
    (folder / "metadata.json").write_text(json.dumps(said))
    lines = [json.dumps({**STEP, "t_ns": STEP["t_ns"] + k * 20_000_000, "step": k}) for k in range(50)]  # type: ignore[operator]
    (folder / "steps.jsonl").write_text("\n".join(lines)[:-10])
    return folder


def test_a_session_becomes_a_page_and_what_is_missing_is_told(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "arm.html"
    assert main(["view", str(session), "--html", str(page)]) == ExitCode.OK
    said = capsys.readouterr()
    assert f"written: {page}" in said.out
    assert "no chunks, so no fans are shown" in said.err
    assert "no chunks, so no fans are shown" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--html", "page.txt"], "ends in .html"),
        (["--html", "nowhere/page.html"], "can be written"),
        (["--save", "a.mcap"], "ends in .rrd"),
        (["--png", "picture.gif"], "ends in .pdf, .png, .svg"),
        (["--html", "a.html", "--begin", "70"], "goes from 0 to 0.96 s"),
        (["--html", "a.html", "--end", "nan"], "a finite number of seconds"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_no_file_is_left(
    session: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(session), *arguments]) == ExitCode.CONFIG
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_path_without_a_session_is_refused_with_the_sessions_beside_it(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, told in ((tmp_path / "none", "does not exist"), (session.parent, session.name)):
        assert main(["view", str(path), "--html", str(tmp_path / "a.html")]) == ExitCode.CONFIG
        assert told in capsys.readouterr().err
