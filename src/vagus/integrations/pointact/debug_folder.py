"""Folder of bounded size with what went out to a policy and what came back, as files that a person can open.

Each exchange is a folder of its own: `image.png`, `points.ply` and `exchange.json`, which is written last.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from vagus.clock import Clock
from vagus.integrations.pointact.point_cloud import Points
from vagus.private_files import make_folder, write_file
from vagus.recording.exchange_files import IMAGE, POINTS, TOLD, ply_of
from vagus.server.background_queue import BackgroundQueue, QueueLimits
from vagus.threads import Threads
from vagus.types import Image
from vagus.wire.png import encode_png

__all__ = ["DebugFolder", "DebugSample", "DebugWriter"]

_DIGITS: Final = 8
_WAITING: Final = QueueLimits((16,), 64 << 20)
"""Of exchanges that wait for the disk; what does not fit is counted, and not kept."""
_STOP_S: Final = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DebugSample:
    """One request and what became of it.

    Attributes:
        picture: (height, width, 3) uint8 RGB, as it was sent.
        points: (count, 6) float32, as they were sent.
        told: everything else, as JSON can have it.
    """

    picture: Image
    points: Points
    told: dict[str, object]

    @property
    def size_bytes(self) -> int:
        """Size of the arrays."""
        return self.picture.nbytes + self.points.nbytes


class DebugFolder:
    """The folder. For one thread only; only this user may read what is in it.

    Args:
        folder: where; exchanges of an earlier process count, and are removed first.
        max_bytes: largest size of all exchanges together.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder.expanduser().absolute()
        self._max_bytes = max_bytes
        self._kept: deque[tuple[Path, int]] = deque()
        self._size_bytes = 0
        self._next = 0

    def open(self) -> None:
        """Make the folder, and count what is in it.

        Raises:
            OSError: it cannot be written.
        """
        make_folder(self.folder)
        probe = self.folder / ".writable"
        write_file(probe, b"")
        probe.unlink()
        found = sorted(path for path in self.folder.iterdir() if _is_exchange(path))
        self._kept = deque((path, _size_of(path)) for path in found)
        self._size_bytes = sum(size for _, size in self._kept)
        self._next = int(found[-1].name) + 1 if found else 0

    def write(self, exchange: DebugSample) -> Path:
        """Write one exchange; return its folder.

        Raises:
            OSError: the disk is full, or the exchange is larger than all may be.
        """
        files = {
            IMAGE: encode_png(exchange.picture),
            POINTS: ply_of(exchange.points),
            TOLD: msgspec.json.format(msgspec.json.encode(exchange.told), indent=1),
        }
        size_bytes = sum(map(len, files.values()))
        if size_bytes > self._max_bytes:
            raise OSError(errno.EFBIG, "an exchange is larger than all exchanges may be", str(self.folder))
        while self._kept and self._size_bytes + size_bytes > self._max_bytes:
            path, size = self._kept.popleft()
            shutil.rmtree(path, ignore_errors=True)
            self._size_bytes -= size
        path = self.folder / f"{self._next:0{_DIGITS}d}"
        self._next += 1
        self._kept.append((path, size_bytes))  # first: what is written in part counts, and is removed in turn
        self._size_bytes += size_bytes
        make_folder(path)
        for name, content in files.items():
            write_file(path / name, content)
        return path


class DebugWriter:
    """Writer of a debug folder on a thread of its own: who puts something in never waits for the disk.

    Args:
        folder: the folder, open.
        clock: monotonic clock.
        on_lost: called with "full" or "error" for what is not kept; any thread.
    """

    def __init__(self, folder: DebugFolder, clock: Clock, on_lost: Callable[[str], None]) -> None:
        self._folder = folder
        self._queue: BackgroundQueue[DebugSample] = BackgroundQueue(
            "vagus-pointact-debug",
            self._write,
            threads=Threads(clock),
            limits=_WAITING,
            on_lost=on_lost,
        )
        self._queue.start()

    def put(self, exchange: DebugSample) -> None:
        """Keep an exchange, whose arrays nobody changes any more."""
        self._queue.put(exchange, size_bytes=exchange.size_bytes)

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and end the thread."""
        self._queue.stop(_STOP_S)

    def _write(self, exchange: DebugSample) -> None:
        self._folder.write(exchange)


def _is_exchange(path: Path) -> bool:
    return len(path.name) == _DIGITS and path.name.isascii() and path.name.isdigit() and path.is_dir()


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
