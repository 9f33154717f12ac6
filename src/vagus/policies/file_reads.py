"""Record of the files that this process reads, from Python's audit hook.

Files that a library opens in its own machine code (safetensors, onnxruntime) are not recorded.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileReads", "Fingerprint", "fingerprint"]

WRITING = frozenset("wax")
WRITING_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
"""Flags of a file that is only written. A file opened to read and write counts as read (`numpy.memmap`)."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Properties of a file that change when it is replaced or written."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def fingerprint(path: Path | str) -> Fingerprint | None:
    """Return the fingerprint of a regular file, or None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not os.path.isfile(path):
        return None
    return Fingerprint(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class FileReads:
    """Recorder of the files that are read from `begin` to `end`, on any thread."""

    def __init__(self) -> None:
        self._read: dict[str, Fingerprint] = {}
        self._written: set[str] = set()

    def begin(self) -> None:
        """Start to record."""
        _watch(self)

    def end(self) -> dict[Path, Fingerprint]:
        """Stop recording; return each file that was read and not written, with its first fingerprint."""
        with _lock:
            _watching.discard(self)
        return {Path(path): seen for path, seen in self._read.items() if path not in self._written}

    @property
    def written(self) -> frozenset[Path]:
        """Files that were opened to be written."""
        return frozenset(map(Path, self._written))

    def note(self, path: object, mode: object, flags: object) -> None:
        """Record that a file is opened."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor that is open already
        name = os.path.abspath(os.fsdecode(path))
        is_written = bool(WRITING & set(mode)) if isinstance(mode, str) else _is_writing(flags)
        if is_written:
            self._written.add(name)
            return
        seen = fingerprint(name)
        if seen is not None:
            self._read.setdefault(name, seen)


def _is_writing(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & WRITING_FLAGS)


_lock = threading.Lock()
_watching: set[FileReads] = set()
_hooks: list[object] = []
"""The installed audit hook, at most one: Python cannot remove a hook."""


def _watch(reads: FileReads) -> None:
    with _lock:
        _watching.add(reads)
        if not _hooks:
            _hooks.append(_on_event)
            sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _watching:
        return
    for reads in tuple(_watching):
        with contextlib.suppress(Exception):  # an error in here would be one of whoever opens a file
            reads.note(*arguments)
