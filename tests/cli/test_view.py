from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from recorded_sessions import session_of, with_frames
from rerun_contents import RerunContents
from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.viewing.session_view import view_of_session

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


def intrinsics_file(folder: Path, *, width: int = 64, height: int = 48) -> Path:
    file = folder / f"intrinsics{width}.json"
    said = {"width": width, "height": height, "fx": 60, "fy": 60, "cx": width / 2, "cy": height / 2}
    file.write_text(json.dumps(said))
    return file


@pytest.fixture
def with_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session with depth frames of 64×48 pixels be what is viewed."""
    view = view_of_session(with_frames(session_of()))
    monkeypatch.setattr("vagus.cli.view.view_of", lambda path, session, episode: view)


@pytest.mark.usefixtures("with_depth")
def test_depth_is_saved_in_space_with_the_files_of_its_camera(tmp_path: Path) -> None:
    pytest.importorskip("rerun.chunk", reason="this version of Rerun reads no files")
    extrinsics = tmp_path / "extrinsics.json"
    extrinsics.write_text(json.dumps({"translation": [0.1, 0.2, 0.3], "axis_angle": [0, 0, 0]}))
    files = ["--intrinsics", str(intrinsics_file(tmp_path)), "--extrinsics", str(extrinsics)]
    saved = tmp_path / "a.rrd"
    assert main(["view", "a", "--save", str(saved), *files]) == ExitCode.OK
    (place,) = [row for row in RerunContents(saved).column("/scene/depth", "Transform3D:translation") if row]
    assert place[0] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.usefixtures("with_depth")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--extrinsics", "e.json"], "wanted a file beside extrinsics, got none"),
        (["--depth-camera", "depth"], "wanted a file beside depth_camera, got none"),
        (["--intrinsics", "intrinsics128.json"], "(48, 64) pixels (height, width), got those of (96, 128)"),
        (["--intrinsics", "intrinsics64.json", "--depth-camera", "front"], "got front"),
    ],
)
def test_cameras_that_do_not_fit_are_refused_and_no_file_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    pytest.importorskip("rerun")
    monkeypatch.chdir(tmp_path)
    intrinsics_file(tmp_path)
    intrinsics_file(tmp_path, width=128, height=96)
    assert main(["view", "a", "--save", "a.rrd", *arguments]) == ExitCode.CONFIG
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a.rrd").exists()


def test_points_for_a_page_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = intrinsics_file(tmp_path)
    page = tmp_path / "a.html"
    assert main(["view", "a", "--html", str(page), "--intrinsics", str(file)]) == ExitCode.CONFIG
    assert "points are for Rerun" in capsys.readouterr().err
