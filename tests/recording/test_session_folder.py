"""Files of a session stay readable, whatever the disk does."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.rig import chunk_line, frame_file, step_line
from vagus.errors import ConfigError
from vagus.recording.session_folder import RESERVED_BYTES, SessionFolder, safe_name


def test_metadata_is_there_from_the_start_and_gets_the_summary_at_the_end(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "one", {"robot": "sim"})
    assert json.loads((folder.path / "metadata.json").read_text()) == {"robot": "sim"}
    folder.close({"ticks": 3})
    folder.close({"ticks": 4})
    metadata = json.loads((folder.path / "metadata.json").read_text())
    assert metadata == {"robot": "sim", "summary": {"ticks": 3}}


def test_the_summary_needs_no_more_room_than_was_reserved(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "one", {"robot": "sim"})
    before = (folder.path / "metadata.json").stat().st_size
    folder.close({f"key{place}": place for place in range(100)})
    assert (folder.path / "metadata.json").stat().st_size == before


def test_a_folder_that_exists_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recorder directory"):
        SessionFolder(tmp_path, {})
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="recorder directory"):
        SessionFolder(tmp_path / "file" / "one", {})


def test_a_long_description_leaves_as_much_room_for_the_summary(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "one", {"robot": "x" * RESERVED_BYTES})
    before = (folder.path / "metadata.json").stat().st_size
    folder.close({f"key{place}": place for place in range(100)})
    assert (folder.path / "metadata.json").stat().st_size == before


def test_steps_are_appended_and_a_part_that_fits_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(tmp_path / "one", {})
    folder.write_steps([step_line(1)])
    folder.write_chunks([chunk_line(1)])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, content: write(file, content[:3]))
        with pytest.raises(OSError, match="took 3"):
            folder.write_steps([step_line(2)])
        with pytest.raises(OSError, match="took 3"):
            folder.write_chunks([chunk_line(2)])
    folder.write_steps([step_line(3), step_line(4)])
    folder.write_chunks([chunk_line(3)])
    folder.close({})
    for name, times in (("steps.jsonl", [1, 3, 4]), ("chunks.jsonl", [1, 3])):
        lines = (folder.path / name).read_text().splitlines()
        assert [json.loads(line)["t_ns"] for line in lines] == times


def test_an_image_that_a_full_disk_cuts_short_leaves_no_file(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "one", {})
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))  # stands in for the end of the disk
    try:
        with pytest.raises(OSError, match="too large"):
            folder.write_frame(frame_file("top", bytes(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    folder.write_frame(frame_file("side", b"123"))
    folder.close({})
    assert [path.parent.name for path in folder.path.glob("images/*/*")] == ["side"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_cameras_whose_names_differ_never_share_a_folder(left: str, right: str) -> None:
    assert (safe_name(left) == safe_name(right)) is (left == right)


@given(st.text(st.characters(), max_size=200))
def test_any_name_of_a_camera_becomes_the_name_of_a_folder_below(name: str) -> None:
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", safe_name(name))


def test_names_that_differ_in_punctuation_only_differ_as_folders() -> None:
    assert len({safe_name(name) for name in ("a.b", "a/b", "a b", "a_b", "", "_", "..", "wrist")}) == 8
    assert safe_name("wrist-left_2") == "wrist-left_2"


@pytest.mark.parametrize("is_private", [True, False])
def test_files_are_the_owners_unless_others_may_read_them(tmp_path: Path, is_private: bool) -> None:
    folder = SessionFolder(tmp_path / "runs" / "one", {}, is_private=is_private)
    folder.write_frame(frame_file())
    folder.close({})
    everything = list((tmp_path / "runs").rglob("*"))
    rights = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in everything}
    assert len(everything) == 7
    assert (rights == {0}) is is_private


def test_a_driver_that_changes_the_working_directory_costs_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    folder = SessionFolder(Path("run"), {})
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder.write_frame(frame_file("front", b"jpeg"))
    folder.close({})
    assert (tmp_path / "run" / "images" / "front" / "e0000_s000000_t000001_n5.jpg").read_bytes() == b"jpeg"
