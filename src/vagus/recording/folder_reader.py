"""Reader of session folders, also of those that are damaged, cut off, or still being written."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from vagus.errors import ConfigError, ProtocolError
from vagus.malformed import MALFORMED
from vagus.private_files import read_file
from vagus.quoting import quoted
from vagus.recording.frame_files import MAX_FRAME_BYTES, MAX_FRAMES, decode_frame
from vagus.recording.lines import MAX_LINE_BYTES, ChunkLines, LineFaults, step_lines
from vagus.recording.metadata import MAX_METADATA_BYTES, to_info
from vagus.recording.session import (
    FrameKind,
    Json,
    RecordedFrame,
    RecordedSession,
    SessionInfo,
)
from vagus.recording.session_folder import CHUNKS, IMAGES, METADATA, STEPS, safe_name
from vagus.recording.step_table import build_steps
from vagus.recording.summaries import lost
from vagus.types import Frame

__all__ = ["is_session_folder", "read_folder"]

FRAME = re.compile(r"e(\d{1,18})_s(\d{1,18})_t(\d{1,18})(?:_n(\d{1,18}))?\.(jpg|png)")
KINDS = {"jpg": FrameKind.COLOUR, "png": FrameKind.DEPTH}


def is_session_folder(path: Path) -> bool:
    """Return whether a folder holds a session, perhaps a damaged one."""
    return (path / STEPS).is_file() or (path / METADATA).is_file()


def read_folder(path: Path) -> RecordedSession:
    """Read a session folder.

    Raises:
        ConfigError: a file of it cannot be read at all.
    """
    try:
        return _read(path)
    except OSError as error:
        raise ConfigError("session", wanted="a folder that can be read", got=f"{path}: {error}") from error


def _read(path: Path) -> RecordedSession:
    metadata, warnings = _metadata(path / METADATA)
    info, faults = to_info(metadata)
    warnings += faults
    step_faults, chunks = LineFaults(STEPS), ChunkLines(CHUNKS)
    steps = build_steps(
        step_lines(_lines(path / STEPS), step_faults),
        step_faults,
        action_dim=len(info.action_features) or None,
        state_dim=len(info.state_features) or None,
    )
    if not (path / STEPS).is_file():
        warnings += (f"{STEPS}: it is missing",)
    for line in _lines(path / CHUNKS):
        chunks.take(line)
    frames, foreign = _frames(path / IMAGES, info)
    summary = metadata.get("summary")
    if not isinstance(summary, dict):
        summary = None
        warnings += ("the session has no summary: it still runs, or its end was not recorded",)
    return RecordedSession(
        path=path,
        info=info,
        steps=steps,
        chunks=chunks.found,
        frames=frames,
        summary=summary,
        warnings=(*warnings, *step_faults.warnings, *chunks.faults.warnings, *foreign, *lost(summary)),
    )


def _metadata(path: Path) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """Return the JSON object in the file, and what is wrong with it; an empty one if it cannot be read."""
    if not path.is_file():
        return {}, (f"{METADATA}: it is missing",)
    with path.open("rb") as file:
        content = file.read(MAX_METADATA_BYTES + 1)
    if len(content) > MAX_METADATA_BYTES:
        return {}, (f"{METADATA}: wanted at most {MAX_METADATA_BYTES} bytes, got more",)
    try:
        found = msgspec.json.decode(content)
    except MALFORMED as error:
        return {}, (f"{METADATA}: it cannot be read: {quoted(error)}",)
    if isinstance(found, dict):
        return found, ()
    return {}, (f"{METADATA}: wanted an object, got {quoted(repr(found))}",)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends; a line that is too long is yielded in parts."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            yield line


def _frames(folder: Path, info: SessionInfo) -> tuple[tuple[RecordedFrame, ...], tuple[str, ...]]:
    """Return the frames in the order of their requests, and what is wrong with the folder."""
    cameras = [camera.name for camera in info.cameras] + [camera.name for camera in info.depth_cameras]
    names = {safe_name(camera): camera for camera in cameras}
    found: list[RecordedFrame] = []
    others: Counter[str] = Counter()
    for place in _folders(folder):
        with os.scandir(place) as entries:
            for entry in entries:
                frame = _frame(entry.name, place, names.get(place.name, place.name))
                if frame is None or len(found) == MAX_FRAMES:
                    others["foreign" if frame is None else "too many"] += 1
                else:
                    found.append(frame)
    found.sort(key=lambda frame: (frame.ticket, frame.episode, frame.step, frame.camera))
    warnings = tuple(f"{IMAGES}: {count} files left out ({why})" for why, count in others.items())
    return tuple(found), warnings


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())


def _frame(name: str, folder: Path, camera: str) -> RecordedFrame | None:
    """Return the frame of a file; None: it is no frame of a recording."""
    parts = FRAME.fullmatch(name)
    if parts is None:
        return None
    episode, step, ticket, captured_ns, suffix = parts.groups()
    kind, path = KINDS[suffix], folder / name
    return RecordedFrame(
        camera=camera,
        kind=kind,
        episode=int(episode),
        step=int(step),
        ticket=int(ticket),
        captured_ns=None if captured_ns is None else int(captured_ns),
        path=path,
        source=partial(_load, path, kind),
    )


def _load(path: Path, kind: FrameKind) -> Frame:
    return decode_frame(_content(path), kind, str(path))


def _content(path: Path) -> bytes:
    """Return the bytes of a file of a bounded size.

    Raises:
        ProtocolError: it is missing, too large, or no file.
    """
    try:
        return read_file(path, max_bytes=MAX_FRAME_BYTES)
    except OSError as error:
        raise ProtocolError(f"frame {path}: wanted a file that can be read, got: {error}") from error
