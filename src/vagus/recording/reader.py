"""The reader of recorded sessions, whatever their format."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vagus.errors import ConfigError
from vagus.recording.folder_reader import is_session_folder, read_folder
from vagus.recording.registry import packages_for
from vagus.recording.session import RecordedSession

__all__ = ["read"]

MAX_LISTED = 5
WANTED = "the folder of a recorded session (with metadata.json and steps.jsonl), or its .mcap file"
FILES: Mapping[str, str] = {".mcap": "vagus.integrations.mcap.reading:read_mcap"}
"""Ending of a recording that is one file → its reader, which is imported only when it is used."""


def read(path: str | os.PathLike[str]) -> RecordedSession:
    """Read a recorded session; frames stay in their files until they are loaded.

    A recording that was cut off, is damaged or still being written gives what is there;
    `RecordedSession.warnings` tells what is not.

    Args:
        path: folder or .mcap file of the session.

    Raises:
        ConfigError: there is no session at `path`, it cannot be read at all, or the package that reads it is
            not installed.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise ConfigError("session", wanted=WANTED, got=f"{place}, which does not exist")
    if place.is_dir() and is_session_folder(place):
        return read_folder(place)
    if place.is_file() and place.suffix in FILES:
        return _read_file(place)
    raise ConfigError("session", wanted=WANTED, got=str(place), fix=_advice(place))


def _read_file(path: Path) -> RecordedSession:
    module, _, name = FILES[path.suffix].partition(":")
    with packages_for(path.suffix[1:], f"reading {path.name}"):
        reader: Callable[[Path], RecordedSession] = getattr(importlib.import_module(module), name)
    return reader(path)


def _is_session(path: Path) -> bool:
    return is_session_folder(path) if path.is_dir() else path.suffix in FILES


def _advice(path: Path) -> str:
    """Return what to do with a path that is no session."""
    if not path.is_dir():
        return ""
    if (path / "meta" / "info.json").is_file():
        return "this is a LeRobot dataset"
    with os.scandir(path) as entries:
        inner = sorted(entry.name for entry in entries if _is_session(Path(entry.path)))
    if not inner:
        return ""
    told = ", ".join(inner[-MAX_LISTED:])
    return f"name one of the {len(inner)} sessions in it, newest last: {told}"
