"""The reader of recorded sessions, whatever their format."""

from __future__ import annotations

import os
from pathlib import Path

from vagus.errors import ConfigError
from vagus.recording.folder_reader import is_session_folder, read_folder
from vagus.recording.session import RecordedSession

__all__ = ["read"]

MAX_LISTED = 5
WANTED = "the folder of a recorded session (with metadata.json and steps.jsonl)"


def read(path: str | os.PathLike[str]) -> RecordedSession:
    """Read a recorded session; frames stay in their files until they are loaded.

    A recording that was cut off, is damaged or still being written gives what is there;
    `RecordedSession.warnings` tells what is not.

    Args:
        path: folder of the session.

    Raises:
        ConfigError: there is no session at `path`, or it cannot be read at all.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise ConfigError("session", wanted=WANTED, got=f"{place}, which does not exist")
    if place.is_dir() and is_session_folder(place):
        return read_folder(place)
    raise ConfigError("session", wanted=WANTED, got=str(place), fix=_advice(place))


def _advice(path: Path) -> str:
    """Return what to do with a path that is no session."""
    if not path.is_dir():
        return ""
    if (path / "meta" / "info.json").is_file():
        return "this is a LeRobot dataset"
    with os.scandir(path) as entries:
        inner = sorted(e.name for e in entries if e.is_dir() and is_session_folder(Path(e.path)))
    if not inner:
        return ""
    told = ", ".join(inner[-MAX_LISTED:])
    return f"name one of the {len(inner)} sessions in it, newest last: {told}"
