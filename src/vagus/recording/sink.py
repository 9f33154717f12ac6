"""Interface of what a recorder writes to: a session folder, or an MCAP file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.session import FrameKind, Json

__all__ = ["FrameFile", "SessionSink"]

SUFFIXES = {FrameKind.COLOUR: "jpg", FrameKind.DEPTH: "png"}


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One encoded frame: colour as JPEG, depth as PNG. The fields are those of `RecordedFrame`."""

    camera: str
    kind: FrameKind
    episode: int
    step: int
    ticket: int
    captured_ns: int
    content: bytes | memoryview

    @property
    def name(self) -> str:
        """Name of the frame as a file; frames of one camera differ in it."""
        request = f"e{self.episode:04d}_s{self.step:06d}_t{self.ticket:06d}_n{self.captured_ns}"
        return f"{request}.{SUFFIXES[self.kind]}"


class SessionSink(Protocol):
    """Interface for the writer thread of a recorder; a write is complete, or raises and leaves nothing."""

    def write_steps(self, lines: Sequence[StepLine]) -> None:
        """Append commands.

        Raises:
            OSError: the disk is full or fails.
        """
        ...

    def write_chunks(self, lines: Sequence[ChunkLine]) -> None:
        """Append chunks.

        Raises:
            OSError: the disk is full or fails.
        """
        ...

    def write_frame(self, frame: FrameFile) -> None:
        """Write one frame.

        Raises:
            OSError: the disk is full or fails.
        """
        ...

    def close(self, summary: Mapping[str, Json]) -> None:
        """Write the summary and close the files. May be called twice.

        Raises:
            OSError: the summary was not written.
        """
        ...
