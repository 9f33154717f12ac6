"""Notes the files that this process reads, as Python's audit hook reports them.

A library that opens files in its own machine code (safetensors, onnxruntime) is not seen.
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
"""What is opened to be read and written counts as read: `numpy.memmap` does so by default."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What changes when a file is replaced or written to."""

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
    """Files read, on any thread, from `begin` to `end`."""

    def __init__(self) -> None:
        self._read: dict[str, Fingerprint] = {}
        self._written: set[str] = set()

    def begin(self) -> None:
        """Watch from now on."""
        _watch(self)

    def end(self) -> dict[Path, Fingerprint]:
        """Watch no more; return what was read and not written, as it was when it was opened first."""
        with _lock:
            _watching.discard(self)
        return {Path(path): seen for path, seen in self._read.items() if path not in self._written}

    @property
    def written(self) -> frozenset[Path]:
        """What was opened to be written."""
        return frozenset(map(Path, self._written))

    def note(self, path: object, mode: object, flags: object) -> None:
        """A file is being opened."""
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
"""A hook of the interpreter cannot be taken out again; there is at most one."""


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
