"""What a Rerun file holds, read with Rerun's own reader."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from exchanges import POINTS, keep
from recorded_sessions import empty_session, session_of, with_frames
from rerun_contents import RerunContents
from vagus.clock import NS_PER_S
from vagus.errors import ConfigError, ProtocolError
from vagus.viewing.description import RecordingView
from vagus.viewing.palette import COMMANDED, rgb_of
from vagus.viewing.session_view import view_of_session
from vagus.viewing.sources import view_of

pytest.importorskip("rerun")
pytest.importorskip("rerun.chunk", reason="this version of Rerun reads no files")


Reading: TypeAlias = Callable[[RecordingView], RerunContents]


@pytest.fixture
def read(tmp_path: Path) -> Reading:
    from vagus.integrations.rerun.output import save_view  # noqa: PLC0415 - Rerun may be missing

    def saved(view: RecordingView) -> RerunContents:
        file = tmp_path / "view.rrd"
        save_view(view, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        return RerunContents(file)

    return saved


def test_a_file_that_cannot_be_written_whole_is_an_error_and_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A double fails: on a disk that is really full, Rerun may wait for itself for ever."""
    from vagus.integrations.rerun import output  # noqa: PLC0415 - Rerun may be missing

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("No space left on device (os error 28)")

    monkeypatch.setattr(output, "_written", fail)
    file = tmp_path / "view.rrd"
    with pytest.raises(OSError, match=r"view\.rrd could not be written: No space left"):
        output.save_view(view_of_session(session_of()), file)
    assert not file.exists()


def test_commands_and_measurements_are_curves_with_gaps(read: Reading) -> None:
    session = session_of()
    contents = read(view_of_session(session))
    rows = contents.column("/joints/shoulder.pos/commanded", "Scalars:scalars")
    assert len(rows) == len(session.steps)
    assert not any(rows[:10])
    assert [row[0] for row in rows[10:] if row] == pytest.approx(session.steps.action[10:, 0].tolist())
    assert contents.times_s("/joints/shoulder.pos/commanded")[10] == pytest.approx(0.2)
    measured = contents.column("/joints/gripper.pos/measured", "Scalars:scalars")
    assert [row[0] for row in measured if row] == pytest.approx(session.steps.state[:, 2].tolist())
    (colours,) = contents.column("/joints/shoulder.pos/commanded", "SeriesLines:colors")
    red, green, blue = rgb_of(COMMANDED)
    assert colours == [red << 24 | green << 16 | blue << 8 | 255]


def test_each_chunk_is_a_curve_of_its_own_with_a_gap_behind_it(read: Reading) -> None:
    view = view_of_session(session_of())
    contents = read(view)
    paths = [path for path in contents.columns if path.startswith("/joints/elbow.pos/chunks/")]
    assert len(paths) == 2
    points = {
        (round(t, 6), round(float(str(row[0])), 5))
        for path in paths
        for t, row in zip(contents.times_s(path), contents.column(path, "Scalars:scalars"), strict=True)
        if row
    }
    wanted = {
        (round(float(t), 6), round(float(value), 5))
        for fan in view.fans
        if fan.is_merged
        for t, value in zip(fan.times_s, fan.values[:, 1], strict=True)
    }
    assert points == wanted
    gaps = sum(not row for path in paths for row in contents.column(path, "Scalars:scalars"))
    assert gaps == sum(fan.is_merged for fan in view.fans)
    refused = contents.column("/joints/elbow.pos/refused/00", "Scalars:scalars")
    assert len([row for row in refused if row]) == 20


def test_states_and_limits_change_where_they_changed(read: Reading) -> None:
    contents = read(view_of_session(session_of()))
    states = contents.column("/states/motion", "StateChange:state")
    assert [row[0] if row else None for row in states] == ["waiting", "playing", "fallback", "playing", None]
    limit = contents.column("/states/limit_velocity", "StateChange:state")
    assert [row[0] if row else None for row in limit] == ["velocity", None]
    assert contents.times_s("/states/limit_velocity") == pytest.approx([1.62, 1.76])


def test_three_timelines_say_when(read: Reading) -> None:
    contents = read(view_of_session(with_frames(session_of())))
    assert contents.timelines == {"session_time", "wall_clock", "policy_step"}
    times = contents.times["/joints/elbow.pos/measured"]
    steps = times["policy_step"]
    assert steps == sorted(steps)
    began = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
    assert times["wall_clock"][0] == began.timestamp() * NS_PER_S


def test_without_a_time_of_day_there_is_no_wall_clock(read: Reading) -> None:
    session = session_of()
    contents = read(view_of_session(replace(session, info=replace(session.info, began_wall=None))))
    assert contents.timelines == {"session_time", "policy_step"}


def test_frames_texts_and_facts_are_there(read: Reading) -> None:
    view = view_of_session(with_frames(session_of()))
    contents = read(view)
    blobs = contents.column("/scene/front", "EncodedImage:blob")
    assert len(blobs) == 18
    assert len(contents.column("/scene/depth", "DepthImage:buffer")) == 18
    assert contents.column("/scene/depth", "DepthImage:meter")[0] == [1000.0]
    said = [row[0] for row in contents.column("/events/chunks", "TextLog:text") if row]
    assert said[0] == "request 1: merged, 20 actions from step 0"
    levels = [row[0] for row in contents.column("/events/chunks", "TextLog:level") if row]
    assert levels.count("WARN") == 1
    assert len(contents.column("/events/episodes", "TextLog:text")) == 2
    (about,) = contents.column("/about", "TextDocument:text")
    assert about is not None
    assert "reach the target" in str(about[0])
    assert r"arm \<3\>" in str(about[0])
    assert contents.reader.blueprints()


def test_a_frame_that_cannot_be_read_is_told_and_costs_no_other(tmp_path: Path) -> None:
    from vagus.integrations.rerun.output import save_view  # noqa: PLC0415 - Rerun may be missing

    def gone() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise ProtocolError("front.jpg is gone")

    view = view_of_session(with_frames(session_of()))
    broken = replace(view, pictures=(replace(view.pictures[0], load=gone), *view.pictures[1:]))
    warnings = save_view(broken, tmp_path / "a.rrd")
    assert warnings == ("1 frames could not be read, the first: front.jpg is gone",)
    assert len(RerunContents(tmp_path / "a.rrd").column("/scene/front", "EncodedImage:blob")) == 17


@pytest.mark.parametrize("broken", ["nan state", "one step", "nothing"])
def test_sessions_with_missing_parts_have_a_file(read: Reading, broken: str) -> None:
    session = session_of()
    if broken == "nan state":
        session.steps.state[:] = np.nan
    else:
        session = replace(session_of(0.02), chunks=()) if broken == "one step" else empty_session(session)
    contents = read(view_of_session(session))
    assert "/about" in contents.columns
    measured = contents.column("/joints/elbow.pos/measured", "Scalars:scalars")
    assert sum(bool(row) for row in measured) == {"nan state": 0, "one step": 1, "nothing": 0}[broken]


def test_a_viewer_that_cannot_start_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from vagus.integrations.rerun.output import show_view  # noqa: PLC0415 - Rerun may be missing

    for display in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(display, raising=False)
    with pytest.raises(ConfigError, match="without a display, use --html FILE"):
        show_view(view_of_session(session_of()))


def test_the_file_is_one_that_rerun_accepts(tmp_path: Path) -> None:
    from vagus.integrations.rerun.output import RERUN, save_view  # noqa: PLC0415 - Rerun may be missing

    save_view(view_of_session(with_frames(session_of())), tmp_path / "a.rrd")
    verify = [*RERUN, "rrd", "verify", str(tmp_path / "a.rrd")]
    done = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_points_of_a_debug_folder_are_at_their_time_with_their_colours(
    read: Reading, tmp_path: Path
) -> None:
    folder = tmp_path / "debug"
    folder.mkdir()
    keep(folder, 1, at="2026-01-02T03:04:05+00:00")
    keep(folder, 2, at="2026-01-02T03:04:06+00:00")
    broken = keep(folder, 3, at="2026-01-02T03:04:07+00:00")
    (broken / "points.ply").write_bytes(b"ply")
    contents = read(view_of(folder))
    places = [row for row in contents.column("/cloud", "Points3D:positions") if row]
    assert len(places) == 2
    np.testing.assert_allclose(np.array(places[0], np.float32), POINTS[:, :3])
    assert contents.times_s("/cloud") == [0.0, 1.0]
    colours = contents.column("/cloud", "Points3D:colors")[0]
    assert colours == [255 << 24 | 51 << 8 | 255, 255 << 16 | 128 << 8 | 255]
