"""Files of a session stay readable, whatever the disk does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vagus.control.session_folder import SessionFolder, safe_name
from vagus.errors import ConfigError


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


def test_steps_are_appended_and_a_part_that_fits_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(tmp_path / "one", {})
    folder.write_steps(b'{"a":1}\n')
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, content: write(file, content[:3]))
        with pytest.raises(OSError, match="took 3"):
            folder.write_steps(b'{"a":2}\n')
    folder.write_steps(b'{"a":3}\n')
    folder.close({})
    assert (folder.path / "steps.jsonl").read_bytes() == b'{"a":1}\n{"a":3}\n'


def test_an_image_that_cannot_be_written_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder(tmp_path / "one", {})

    def fail(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(OSError, match="No space"):
            folder.write_image("top", "a.jpg", b"123")
    folder.write_image("top", "b.jpg", b"123")
    folder.close({})
    assert [path.name for path in (folder.path / "images" / "top").iterdir()] == ["b.jpg"]


def test_a_camera_cannot_write_outside_the_folder() -> None:
    assert safe_name("../../etc/x y") == "______etc_x_y"
    assert safe_name("") == "_"
    assert safe_name("wrist-left_2") == "wrist-left_2"
