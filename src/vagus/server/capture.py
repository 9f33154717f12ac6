"""A bounded folder of sampled requests with their replies, for replay."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import msgspec

from vagus.errors import ProtocolError
from vagus.server.journal import Outcome
from vagus.wire.codec import encode_header

__all__ = ["CaptureRing", "Captured", "read_capture"]

SUFFIX = ".capture"


class Captured(msgspec.Struct, frozen=True):
    """One request as it came and its reply as it went: bytes of the native wire."""

    client: str
    header: bytes
    payload: bytes
    result: str
    reply: bytes


class CaptureRing:
    """Keeps requests; the oldest go when the folder is too large. One thread only.

    Args:
        folder: where the samples lie; samples of an earlier process count and are removed first.
        max_bytes: size of all samples together.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files: deque[tuple[Path, int]] | None = None
        self._size_bytes = 0

    def write(self, outcome: Outcome) -> None:
        """Keep this request.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        sample = Captured(
            outcome.client, encode_header(outcome.header), outcome.payload, outcome.result, outcome.reply
        )
        content = msgspec.msgpack.encode(sample)
        files = self._known_files()
        name = f"{outcome.header.epoch:08x}-{outcome.header.seq:012d}{SUFFIX}"
        path = self._folder / name
        path.write_bytes(content)
        files.append((path, len(content)))
        self._size_bytes += len(content)
        self._trim(files)

    def _known_files(self) -> deque[tuple[Path, int]]:
        if self._files is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = [(p, p.stat()) for p in self._folder.glob(f"*{SUFFIX}")]
            found.sort(key=lambda entry: entry[1].st_mtime_ns)
            self._files = deque((path, status.st_size) for path, status in found)
            self._size_bytes = sum(size for _, size in self._files)
        return self._files

    def _trim(self, files: deque[tuple[Path, int]]) -> None:
        while self._size_bytes > self._max_bytes and len(files) > 1:
            path, size = files.popleft()
            path.unlink(missing_ok=True)
            self._size_bytes -= size


def read_capture(path: Path) -> Captured:
    """Return the sample in the file at `path`.

    Raises:
        ProtocolError: it is no sample.
    """
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Captured)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{path} is no captured request: {error}") from error
