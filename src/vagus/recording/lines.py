"""Lines of a recording: one JSON document per command and one per chunk, in both directions.

The form is the same in a session folder and in an MCAP file. NaN is written as null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from vagus.clock import NS_PER_MS
from vagus.edge.handoff import Settled
from vagus.malformed import MALFORMED
from vagus.recording.session import RecordedChunk
from vagus.types import Command, FloatArray, LinkState, MotionState

__all__ = ["MAX_LINE_BYTES", "ChunkLine", "ChunkLines", "LineFaults", "StepLine", "step_lines"]

MAX_LINE_BYTES = 8 << 20
"""Longest line: a chunk of 100 000 numbers is a quarter of it."""
MAX_TEXT = 200
MAX_CHUNKS = 1 << 22
MAX_CELLS = 1 << 28
"""Most numbers in all chunks of a session, 1 GB."""

_Int: TypeAlias = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]
_Row: TypeAlias = list[float | None]
_LineT = TypeVar("_LineT")


class StepLine(msgspec.Struct, frozen=True, gc=False):
    """One command: a line of `steps.jsonl`. The fields are those of `StepTable`."""

    t_ns: _Int
    episode: _Int
    link: LinkState
    motion: MotionState
    action: list[float | None]
    state: list[float | None]
    epoch: _Int | None = None
    seq: _Int | None = None
    step: _Int | None = None
    index: _Int | None = None
    age_ms: float | None = None
    limited: Annotated[list[_Text], Meta(max_length=MAX_TEXT)] = []
    is_moving: bool = False

    @classmethod
    def of(cls, t_ns: int, command: Command, state: FloatArray) -> StepLine:
        """Return the line of a command that was sent at `t_ns`; `state` is what was measured then."""
        provenance = command.provenance
        return cls(
            t_ns=t_ns,
            episode=provenance.episode,
            link=provenance.link,
            motion=provenance.motion,
            action=[] if command.action is None else command.action.tolist(),
            state=state.tolist(),
            epoch=provenance.epoch,
            seq=provenance.seq,
            step=provenance.step,
            index=provenance.index,
            age_ms=None if provenance.age_ns is None else round(provenance.age_ns / NS_PER_MS, 3),
            limited=sorted(command.limited),
            is_moving=command.is_moving,
        )


class ChunkLine(msgspec.Struct, frozen=True, gc=False):
    """One chunk: a line of `chunks.jsonl`. The fields are those of `RecordedChunk`."""

    t_ns: _Int
    epoch: _Int
    seq: _Int
    ticket: _Int
    captured_ns: _Int
    episode: _Int
    step: _Int
    next_step: _Int
    outcome: _Text
    robot: list[_Row]
    model: list[_Row]
    state: _Row
    inference_delay: _Int = 0
    prefix_horizon: _Int = 0
    prefix_length: _Int = 0

    @classmethod
    def of(cls, t_ns: int, settled: Settled) -> ChunkLine:
        """Return the line of a chunk that was merged or kept out at `t_ns`."""
        chunk, source, draft = settled.proposal.chunk, settled.proposal.source, settled.proposal.draft
        return cls(
            t_ns=t_ns,
            epoch=source.epoch,
            seq=source.seq,
            ticket=draft.ticket,
            captured_ns=source.captured_ns,
            episode=draft.episode,
            step=chunk.step,
            next_step=settled.next_step,
            outcome=settled.outcome,
            robot=chunk.robot.tolist(),
            model=chunk.model.tolist(),
            state=draft.state.tolist(),
            inference_delay=draft.inference_delay,
            prefix_horizon=draft.prefix_horizon,
            prefix_length=0 if draft.prefix is None else len(draft.prefix),
        )

    def chunk(self) -> RecordedChunk:
        """Return the chunk.

        Raises:
            ValueError: the rows are not of one width, or `robot` and `model` not of one length.
        """
        if len(self.robot) != len(self.model):
            raise ValueError(f"{len(self.robot)} rows of robot, {len(self.model)} of model")
        return RecordedChunk(
            t_ns=self.t_ns,
            epoch=self.epoch,
            seq=self.seq,
            ticket=self.ticket,
            captured_ns=self.captured_ns,
            episode=self.episode,
            step=self.step,
            next_step=self.next_step,
            outcome=self.outcome,
            robot=_matrix(self.robot),
            model=_matrix(self.model),
            state=_floats(self.state),
            inference_delay=self.inference_delay,
            prefix_horizon=self.prefix_horizon,
            prefix_length=self.prefix_length,
        )


class LineFaults:
    """Lines that could not be read: how many, and the first in words."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._counts: Counter[str] = Counter()
        self._first = ""

    def note(self, number: int, why: str, *, is_last: bool = False) -> None:
        """Count a line that cannot be read; `number` counts from 1."""
        if is_last:
            self._counts["cut"] += 1
            return
        self._counts["bad"] += 1
        self._first = self._first or f"line {number}: {why}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be told, in words."""
        told = []
        if self._counts["bad"]:
            told.append(f"{self._what}: {self._counts['bad']} lines cannot be read; {self._first}")
        if self._counts["cut"]:
            told.append(f"{self._what}: it is cut off in the middle of its last line")
        return tuple(told)


class ChunkLines:
    """Chunks of a session, taken line by line, in a bounded number.

    Attributes:
        faults: the lines that could not be read.
    """

    def __init__(self, what: str) -> None:
        self.faults = LineFaults(what)
        self._decode = msgspec.json.Decoder(ChunkLine).decode
        self._found: list[RecordedChunk] = []
        self._count = self._cells = 0

    @property
    def found(self) -> tuple[RecordedChunk, ...]:
        """The chunks, in the order of their lines."""
        return tuple(self._found)

    def take(self, line: bytes) -> None:
        """Take the next line; one that cannot be read, or is too much, is counted in `faults`."""
        self._count += 1
        if len(self._found) >= MAX_CHUNKS or self._cells >= MAX_CELLS:
            self.faults.note(
                self._count, f"wanted at most {MAX_CHUNKS} chunks of {MAX_CELLS} numbers, got more"
            )
            return
        try:
            chunk = self._decode(line).chunk()
        except (*MALFORMED, ValueError) as error:
            is_cut = isinstance(error, MALFORMED) and not line.endswith(b"\n")
            self.faults.note(self._count, str(error), is_last=is_cut)
            return
        self._found.append(chunk)
        self._cells += chunk.robot.size + chunk.model.size + chunk.state.size


def step_lines(lines: Iterable[bytes], faults: LineFaults) -> Iterable[StepLine]:
    """Yield the commands; a line that cannot be read is counted in `faults`."""
    return _decoded(lines, msgspec.json.Decoder(StepLine), faults)


def _decoded(
    lines: Iterable[bytes], decoder: msgspec.json.Decoder[_LineT], faults: LineFaults
) -> Iterable[_LineT]:
    decode = decoder.decode
    for number, line in enumerate(lines, start=1):
        try:
            yield decode(line)
        except MALFORMED as error:  # noqa: PERF203 - each line on its own
            faults.note(number, str(error), is_last=not line.endswith(b"\n"))


def _matrix(rows: list[_Row]) -> FloatArray:
    """Return rows as an array, (rows, width), float32.

    Raises:
        ValueError: they are not of one width.
    """
    if len({len(row) for row in rows}) > 1:
        raise ValueError("rows of different lengths")
    return _floats(rows).reshape(len(rows), -1 if rows and rows[0] else 0)


def _floats(numbers: list[_Row] | _Row) -> FloatArray:
    """Return numbers as float32; one beyond its range is infinite."""
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float32)
