"""A recorded session is read as it was recorded; a damaged one gives what is left, and says what is not."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

import vagus.recording
from recording.rig import step_line
from vagus.control.config import RecorderConfig
from vagus.errors import ConfigError, ProtocolError
from vagus.recording.reader import read
from vagus.recording.recorder import Recorder
from vagus.recording.session import FrameKind, Json, RecordedSession
from vagus.recording.session_folder import RESERVED_BYTES, SessionFolder
from vagus.types import Command, LinkState, MotionState, Provenance, RequestDraft

METADATA: dict[str, Json] = {
    "vagus": "0.1",
    "robot": "sim",
    "name": "arm-1",
    "service": "reach/0/main",
    "model_hash": "ab12",
    "instruction": "reach",
    "tick_rate_hz": 100.0,
    "step_rate_hz": 20.0,
    "actions": ["a", "b"],
    "state": ["a", "b", "a.velocity"],
    "tags": {"site": "lab"},
    "vouched": [],
}
STATE = np.array([0.1, -0.5, math.nan], dtype=np.float32)
LINE = {
    "t_ns": 7, "epoch": 1, "seq": 2, "episode": 0, "step": 3, "index": 4, "age_ms": 5.5, "link": "streaming",
    "motion": "playing", "limited": ["velocity"], "is_moving": False, "action": [1.0, 2.0],
    "state": [3.0, 4.0, 5.0],
}  # fmt: skip


def command(step: int | None) -> Command:
    if step is None:
        where = Provenance(None, None, 1, None, None, None, LinkState.DEGRADED, MotionState.FALLBACK)
        return Command(None, where)
    where = Provenance(7, 8, 1, step, 2, 12_345_678, LinkState.STREAMING, MotionState.PLAYING)
    return Command(np.array([0.25, step]), where, frozenset({"velocity", "jerk"}), is_moving=True)


def frame() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((16, 8, 3), (200, 30, 10), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a complete session of two commands and one frame."""
    place = SessionFolder(tmp_path / "session", METADATA)
    recorder = Recorder(place, RecorderConfig(directory="x")).start()
    recorder.record_step(1000, command(4), STATE)
    recorder.record_step(2000, command(None), STATE)
    draft = RequestDraft(9, 1, 4, STATE, 900, None, 0, False, 0)
    recorder.record_images(draft, {"wrist/left": frame()}, {})
    recorder.close()
    return place.path


def written(folder: Path, *lines: object, tail: str = "") -> RecordedSession:
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "steps.jsonl").write_text(text + tail)
    return read(folder)


def test_commands_are_read_as_they_were_recorded(folder: Path) -> None:
    session = vagus.recording.read(folder)
    steps = session.steps
    assert len(steps) == 2
    assert steps.t_ns.tolist() == [1000, 2000]
    assert (steps.epoch.tolist(), steps.seq.tolist(), steps.index.tolist()) == ([7, -1], [8, -1], [2, -1])
    assert (steps.episode.tolist(), steps.step.tolist()) == ([1, 1], [4, -1])
    np.testing.assert_array_equal(steps.age_ms, [12.346, math.nan])
    assert steps.link == (LinkState.STREAMING, LinkState.DEGRADED)
    assert steps.motion == (MotionState.PLAYING, MotionState.FALLBACK)
    assert steps.limited == (frozenset({"velocity", "jerk"}), frozenset())
    assert steps.is_moving.tolist() == [True, False]
    np.testing.assert_array_equal(steps.action, [[0.25, 4.0], [math.nan, math.nan]])
    np.testing.assert_array_equal(steps.state, np.stack([STATE, STATE]).astype(np.float64))


def test_the_description_is_read(folder: Path) -> None:
    info = read(folder).info
    assert (info.format, info.vagus, info.robot, info.robot_label) == (1, "0.1", None, "sim")
    assert (info.robot_name, info.service, info.model_hash) == ("arm-1", "reach/0/main", "ab12")
    assert (info.actions, info.state) == (("a", "b"), ("a", "b", "a.velocity"))
    assert info.action_units == ("", "")
    assert (info.tick_rate_hz, info.step_rate_hz, info.tags) == (100.0, 20.0, {"site": "lab"})
    assert (info.began_wall, info.wall_at(5)) == (None, None)


def test_frames_stay_in_their_files_until_they_are_loaded(folder: Path) -> None:
    session = read(folder)
    (one,) = session.frames
    assert (one.kind, one.episode, one.step, one.ticket) == (FrameKind.COLOUR, 1, 4, 9)
    assert one.captured_ns == 900
    np.testing.assert_allclose(one.load(), frame(), atol=4)
    one.path.unlink()
    with pytest.raises(ProtocolError, match="wanted a file that can be read"):
        one.load()


def test_a_session_with_its_end_has_a_summary_and_nothing_to_tell(folder: Path) -> None:
    session = read(folder)
    assert session.summary == {"recorder": {"steps": 2, "images": 1, "steps_dropped": 0, "chunks_dropped": 0}}
    assert session.warnings == ()


def test_what_the_recorder_has_dropped_is_told(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path / "session", METADATA)
    place.close({"recorder": {"steps_dropped": 3, "images_dropped": 0}})
    assert read(place.path).warnings == ("the recorder dropped what it could not write: steps_dropped 3",)


@pytest.mark.parametrize("kept", range(1, 120, 7))
def test_a_session_cut_off_in_the_middle_of_a_line_gives_the_lines_before(folder: Path, kept: int) -> None:
    session = written(folder, LINE, LINE, tail=json.dumps(LINE)[:kept])
    assert len(session.steps) == 2
    assert "steps.jsonl: it is cut off in the middle of its last line" in session.warnings


@pytest.mark.parametrize(
    "bad",
    [
        "\x00" * 40,
        "[]",
        json.dumps({**LINE, "link": "warp"}),
        json.dumps({**LINE, "t_ns": 1 << 70}),
        json.dumps({**LINE, "action": [1.0]}),
        json.dumps({**LINE, "state": [[1.0]]}),
        json.dumps({**LINE, "limited": ["x" * 1000]}),
    ],
)
def test_a_line_that_cannot_be_read_costs_only_itself(folder: Path, bad: str) -> None:
    (folder / "steps.jsonl").write_text(f"{json.dumps(LINE)}\n{bad}\n{json.dumps(LINE)}\n")
    session = read(folder)
    assert session.steps.t_ns.tolist() == [7, 7]
    assert [w for w in session.warnings if w.startswith("steps.jsonl: 1 lines cannot be read")]


def test_numbers_that_are_not_there_become_nan(folder: Path) -> None:
    session = written(folder, {**LINE, "action": [None, 2.0], "age_ms": None, "state": [None, None, 1.0]})
    np.testing.assert_array_equal(session.steps.action, [[math.nan, 2.0]])
    np.testing.assert_array_equal(session.steps.state, [[math.nan, math.nan, 1.0]])
    assert math.isnan(session.steps.age_ms[0])


def test_a_session_of_a_killed_process_says_that_its_end_is_missing(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path / "session", {"robot": "sim"})
    place.write_steps([step_line()])
    session = read(place.path)  # it is still open
    assert (len(session.steps), session.summary) == (1, None)
    assert [w for w in session.warnings if "no summary" in w]
    place.close({})


def test_a_description_that_was_cut_off_costs_the_description_only(folder: Path) -> None:
    metadata = folder / "metadata.json"
    metadata.write_bytes(metadata.read_bytes()[:100])
    session = read(folder)
    assert session.steps.action.shape == (2, 2)
    assert session.info.actions == ()
    assert [w for w in session.warnings if w.startswith("metadata.json: it cannot be read")]


def test_a_field_of_another_type_costs_that_field(folder: Path) -> None:
    (folder / "metadata.json").write_text(json.dumps({**METADATA, "tags": 3, "began": [], "name": "arm-2"}))
    session = read(folder)
    assert (session.info.robot_name, session.info.tags) == ("arm-2", {})
    assert [w.partition(" ")[2].partition(":")[0] for w in session.warnings[:2]] == ["began", "tags"]


@pytest.mark.parametrize(
    ("utc", "monotonic_ns", "told"),
    [
        ("0001-01-01T00:00:00+14:00", 1, "began"),
        ("2026-01-01T00:00:00+00:00", 10**30, "began"),
        ("9999-12-31T23:59:59+00:00", -(1 << 62), ""),
    ],
)
def test_a_beginning_beyond_the_calendar_has_no_time_of_day(
    utc: str, monotonic_ns: int, told: str, folder: Path
) -> None:
    began: Json = {"utc": utc, "monotonic_ns": monotonic_ns}
    (folder / "metadata.json").write_text(json.dumps({**METADATA, "began": began, "summary": {}}))
    session = read(folder)
    assert session.info.wall_at(0) is None
    assert len(session.warnings) == bool(told)


def test_the_description_has_a_largest_size(folder: Path) -> None:
    with (folder / "metadata.json").open("r+b") as file:
        file.truncate(1 << 28)
    assert [w for w in read(folder).warnings if "bytes, got more" in w]


def test_missing_parts_are_told(folder: Path) -> None:
    (folder / "metadata.json").unlink()
    assert [w for w in read(folder).warnings if w == "metadata.json: it is missing"]
    (folder / "metadata.json").write_text(json.dumps(METADATA).ljust(RESERVED_BYTES))
    (folder / "steps.jsonl").unlink()
    session = read(folder)
    assert session.steps.action.shape == (0, 2)
    assert [w for w in session.warnings if w == "steps.jsonl: it is missing"]


def test_foreign_files_are_left_out_and_told(folder: Path) -> None:
    (camera,) = (folder / "images").iterdir()
    (camera / "Thumbs.db").write_bytes(b"")
    (folder / "images" / "note.txt").write_bytes(b"")
    session = read(folder)
    assert len(session.frames) == 1
    assert [w for w in session.warnings if w == "images: 1 files left out (foreign)"]


def test_a_frame_that_is_damaged_or_no_file_is_refused_when_it_is_loaded(folder: Path) -> None:
    (one,) = read(folder).frames
    one.path.write_bytes(one.path.read_bytes()[:50])
    with pytest.raises(ProtocolError, match=one.path.name):
        one.load()
    one.path.unlink()
    os.mkfifo(one.path)
    with pytest.raises(ProtocolError, match="wanted a file"):
        one.load()


def test_a_frame_of_too_many_pixels_is_refused_before_it_is_decoded(folder: Path) -> None:
    (one,) = read(folder).frames
    jpeg = bytearray(simplejpeg.encode_jpeg(frame(), colorspace="RGB"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    one.path.write_bytes(jpeg)
    with pytest.raises(ProtocolError, match="pixels, got 65535×65535"):
        one.load()


def test_what_is_no_session_is_refused_with_advice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="name one of the 1 sessions in it, newest last: session"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="wanted the folder of a recorded session"):
        read(folder / "metadata.json")
    dataset = tmp_path / "dataset"
    (dataset / "meta").mkdir(parents=True)
    (dataset / "meta" / "info.json").write_text("{}")
    with pytest.raises(ConfigError, match="LeRobot dataset"):
        read(dataset)


def test_the_package_of_the_recorders_loads_the_reader_only_when_it_is_used() -> None:
    program = (
        "import sys, vagus.recording\n"
        "assert 'vagus.recording.reader' not in sys.modules\n"
        "assert vagus.recording.read.__module__ == 'vagus.recording.reader'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    with pytest.raises(AttributeError, match="it has read"):
        getattr(vagus.recording, "write")  # noqa: B009 - what is read is the attribute
