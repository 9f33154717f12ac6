"""Folder of limited size with samples of requests and their replies, for replay."""

from __future__ import annotations

import errno
import itertools
from collections import deque
from pathlib import Path

import msgspec

from vagus.errors import ProtocolError
from vagus.private_files import make_folder, open_file, write_file
from vagus.server.replies import Outcome
from vagus.wire.codec import encode_header

__all__ = ["CaptureRing", "Captured", "read_capture"]

SUFFIX = ".capture"
PROBE = ".writable"


class Captured(msgspec.Struct, frozen=True):
    """Captured request and its reply, as bytes of the native wire."""

    client: str
    header: bytes
    payload: bytes
    result: str
    reply: bytes


class CaptureRing:
    """Folder of captured requests; the oldest are removed when it is full. For one thread only.

    Args:
        folder: folder of the samples; samples of an earlier process count and are removed first.
        max_bytes: largest size of all samples together.
        is_private: only this user may read the files.
    """

    def __init__(self, folder: Path, *, max_bytes: int, is_private: bool = True) -> None:
        self.folder = folder.absolute()  # a policy may change the working directory
        self._max_bytes = max_bytes
        self._is_private = is_private
        self._files: deque[tuple[Path, int]] = deque()
        self._size_bytes = 0
        self._is_open = False

    def open(self) -> None:
        """Make the folder, and count the samples in it.

        Raises:
            OSError: the folder cannot be written.
        """
        make_folder(self.folder, is_private=self._is_private)
        probe = self.folder / PROBE
        open_file(probe, "wb", is_private=self._is_private).close()
        probe.unlink()
        found = [(p, p.stat()) for p in self.folder.glob(f"*{SUFFIX}")]
        found.sort(key=lambda entry: entry[1].st_mtime_ns)
        self._files = deque((path, status.st_size) for path, status in found)
        self._size_bytes = sum(size for _, size in self._files)
        self._is_open = True

    def write(self, outcome: Outcome) -> None:
        """Write one sample completely, or leave no file.

        Raises:
            OSError: the disk is full, the folder cannot be written, or the sample is larger than `max_bytes`.
        """
        if not self._is_open:
            self.open()
        sample = Captured(
            outcome.client, encode_header(outcome.header), outcome.payload, outcome.result, outcome.reply
        )
        content = msgspec.msgpack.encode(sample)
        if len(content) > self._max_bytes:
            raise OSError(errno.EFBIG, "a sample is larger than all samples may be", str(self.folder))
        self._make_room(len(content))
        path = self._free_path(f"{outcome.header.epoch:08x}-{outcome.header.seq:012d}")
        write_file(path, content, is_private=self._is_private)
        self._files.append((path, len(content)))
        self._size_bytes += len(content)

    def _make_room(self, size_bytes: int) -> None:
        while self._files and self._size_bytes + size_bytes > self._max_bytes:
            path, size = self._files[0]
            path.unlink(missing_ok=True)
            self._files.popleft()
            self._size_bytes -= size

    def _free_path(self, name: str) -> Path:
        """Return a free path for this sample, so that a repeated request replaces no sample."""
        names = (name if count == 1 else f"{name}-{count}" for count in itertools.count(1))
        return next(path for path in (self.folder / f"{n}{SUFFIX}" for n in names) if not path.exists())


def read_capture(path: Path) -> Captured:
    """Return the sample in the file at `path`.

    Raises:
        ProtocolError: the file is no sample.
    """
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Captured)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{path} is no captured request: {error}") from error
