"""What the page on recordings says is so."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from recording.rig import STATE, command, draft, image, settled
from vagus.control.config import RecorderConfig
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.recorder import Recorder
from vagus.recording.session_folder import SessionFolder

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")


def fields_of(table: str) -> set[str]:
    text = PAGE.partition(f"| field of a {table} |")[2].partition("\n\n")[0]
    return {name for row in text.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.mark.parametrize(("table", "kind"), [("step", StepLine), ("chunk", ChunkLine)])
def test_every_field_of_a_line_is_explained(table: str, kind: type[msgspec.Struct]) -> None:
    assert fields_of(table) == {field.name for field in msgspec.structs.fields(kind)}


def test_the_reader_in_ten_lines_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    folder = SessionFolder(tmp_path / "session", {"name": "arm-1", "actions": ["a", "b"]})
    recorder = Recorder(folder, RecorderConfig()).start()
    recorder.record_step(1, command(4), STATE)
    recorder.record_chunk(1, settled(3))
    recorder.record_chunk(2, settled(4, "too_late"))
    recorder.record_images(draft(3), {"top": image()}, {})
    recorder.close()
    code, count = re.subn(r'read\("[^"]+"\)', f"read({str(folder.path)!r})", snippet)
    assert count == 1
    exec(code, {})  # noqa: S102 - the page's own code
    said = capsys.readouterr().out
    assert "arm-1" in said
    assert "2 chunks, 1 not merged: {'too_late'}" in said
    assert "top 3 (8, 8, 3)" in said
    assert "'steps': 1" in said
