"""A line that cannot be read costs itself, is counted, and the first one is told."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest

from recording.rig import chunk_line, step_line
from vagus.recording.lines import ChunkLine, ChunkLines, LineFaults, StepLine, step_lines
from vagus.recording.step_table import build_steps

encode = msgspec.json.encode


def changed(line: StepLine | ChunkLine, **fields: object) -> bytes:
    return json.dumps({**json.loads(encode(line)), **fields}).encode() + b"\n"


def test_lines_come_back_as_they_were() -> None:
    faults = LineFaults("steps")
    made = [step_line(1), step_line(2)]
    assert list(step_lines((encode(line) + b"\n" for line in made), faults)) == made
    assert faults.warnings == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"robot": [[1.0, 2.0], [3.0]]},
        {"robot": [[1.0, 2.0]]},
        {"outcome": "x" * 1000},
        {"seq": 1.5},
        {"model": "abc"},
        {"epoch": None},
    ],
)
def test_a_chunk_that_contradicts_itself_is_left_out(fields: dict[str, object]) -> None:
    chunks, good = ChunkLines("chunks"), encode(chunk_line()) + b"\n"
    for line in (good, changed(chunk_line(), **fields), good):
        chunks.take(line)
    assert len(chunks.found) == 2
    (told,) = chunks.faults.warnings
    assert told.startswith("chunks: 1 lines cannot be read; line 2: ")


def test_a_chunk_of_no_rows_and_one_with_nan_can_be_read() -> None:
    chunks = ChunkLines("chunks")
    chunks.take(changed(chunk_line(), robot=[], model=[]))
    chunks.take(changed(chunk_line(), state=[None, 1.0]))
    empty, unknown = chunks.found
    assert (len(empty), empty.robot.shape, empty.model.shape) == (0, (0, 0), (0, 0))
    assert math.isnan(unknown.state[0])


@pytest.mark.parametrize(("name", "most"), [("MAX_CHUNKS", 2), ("MAX_CELLS", 1)])
def test_there_are_most_chunks(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"vagus.recording.lines.{name}", most)
    chunks = ChunkLines("chunks")
    for _ in range(5):
        chunks.take(encode(chunk_line()) + b"\n")
    assert len(chunks.found) == most
    (told,) = chunks.faults.warnings
    assert told.startswith(f"chunks: {5 - most} lines cannot be read; line {most + 1}: wanted at most")


def test_a_number_beyond_the_range_is_infinite_without_a_word() -> None:
    chunks = ChunkLines("chunks")
    chunks.take(changed(chunk_line(), state=[1e300, -1e300]))
    assert chunks.found[0].state.tolist() == [math.inf, -math.inf]


DEEP = b'"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"


def test_lines_of_deep_nesting_cost_only_themselves() -> None:
    steps, chunks = LineFaults("steps"), ChunkLines("chunks")
    deep = encode(step_line())[:-1] + b"," + DEEP
    assert len(list(step_lines([deep, encode(step_line()) + b"\n"], steps))) == 1
    chunks.take(encode(chunk_line())[:-1] + b"," + DEEP)
    for (told,) in (steps.warnings, chunks.faults.warnings):
        assert "1 lines cannot be read; line 1: maximum recursion depth" in told


def test_a_first_command_decides_the_width_where_nothing_is_declared() -> None:
    faults = LineFaults("steps")
    idle, moving = msgspec.structs.replace(step_line(1), action=[]), step_line(2)
    table = build_steps([*[idle] * 4097, moving, idle], faults, action_dim=None, state_dim=None)
    assert table.action.shape == (4099, 2)
    assert np.isnan(table.action).all(axis=1).sum() == 4098
    assert faults.warnings == ()


def test_there_is_a_largest_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.recording.step_table.MAX_CELLS", 20_000)
    faults = LineFaults("steps")
    table = build_steps([step_line()] * 9000, faults, action_dim=2, state_dim=2)
    assert len(table) == 4096
    assert "wanted at most 20000 numbers, got more; the rest is left out" in faults.warnings[0]
