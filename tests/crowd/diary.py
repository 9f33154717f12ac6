"""Diaries: what policy and robots did, one line each, readable after any end of their process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from vagus.clock import monotonic_ns

__all__ = ["Batch", "Diary", "Entry", "entries_of"]


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One inference of the policy: robot, process and request of each row; `server` is a process id."""

    begin_ns: int
    end_ns: int
    asked: list[tuple[int, int, int]]
    server: int = 0


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One line of a robot: `begin`, `ask`, `sent`, `got`, `lost`, `wrong`, `error` or `end`."""

    at_ns: int
    what: str
    counter: int = 0
    text: str = ""


class Diary:
    """A file that each line reaches at once. Any thread may write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, line: Batch | Entry) -> None:
        """Append a line."""
        with self._lock:
            self._file.write(msgspec.json.encode(line) + b"\n")

    def note(self, what: str, counter: int = 0, text: str = "") -> None:
        """Append a line of a robot, with the time."""
        self.write(Entry(monotonic_ns(), what, counter, text))


LineT = TypeVar("LineT")


def entries_of(path: Path, kind: type[LineT]) -> list[LineT]:
    """Return all lines; a last one that a killed process did not finish is left out."""
    if not path.exists():
        return []
    decode = msgspec.json.Decoder(kind).decode
    return [decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
