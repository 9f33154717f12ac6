"""Recorded delays are read, and what is none is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from recording.rig import STATE, command, settled
from vagus.clock import NS_PER_MS
from vagus.control.config import RecorderConfig
from vagus.errors import ConfigError
from vagus.recording.recorder import Recorder
from vagus.recording.session_folder import SessionFolder
from vagus.trials.delay_law import read_law
from vagus.trials.delay_trace import MAX_BYTES, delays_in


def test_a_file_has_a_delay_per_line(tmp_path: Path) -> None:
    path = tmp_path / "lab.txt"
    path.write_text("# Wi-Fi of the lab\n80\n\n 95.5 \r\n1e3\n")
    assert delays_in(str(path)) == [80.0, 95.5, 1000.0]
    law = read_law(f"trace:{path}", read_trace=delays_in)
    assert law.trace_ms == (80.0, 95.5, 1000.0)


def test_a_recorded_session_has_the_delays_of_its_chunks(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path / "session", {"actions": ["a", "b"], "state": ["a", "b"]})
    recorder = Recorder(place, RecorderConfig(directory="x")).start()
    recorder.record_step(1000, command(4), STATE)
    for seq, delay_ms in ((3, 120), (4, 80)):
        chunk = settled(seq)
        recorder.record_chunk(chunk.proposal.draft.captured_ns + delay_ms * NS_PER_MS, chunk)
    recorder.close()
    assert delays_in(str(place.path)) == [120.0, 80.0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"80\nfast\n", "'fast' in line 2"),
        (b"80;90\n", "'80;90' in line 1"),
        (b"\xff\xfe\x00\x01", "in line 1"),
        (b"", "none in"),
        (b"# nothing yet\n\n", "none in"),
        (b"nan\n", "numbers from 0 to"),
        (b"-1\n", "numbers from 0 to"),
        (b"9" * (MAX_BYTES + 1), "at most 16 MB"),
        (None, "No such file"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "trace.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_law(f"trace:{path}", read_trace=delays_in)
    assert told in str(refused.value)


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recorded session"):
        delays_in(str(tmp_path))
