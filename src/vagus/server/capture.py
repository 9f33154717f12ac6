"""Folder of limited size with samples of requests and their replies, for replay."""

from __future__ import annotations

import errno
import itertools
from collections import deque
from pathlib import Path

import msgspec

from vagus.errors import ProtocolError
from vagus.malformed import MALFORMED
from vagus.private_files import make_folder, open_file, read_file, write_file
from vagus.server.audit import stamp
from vagus.server.replies import Outcome
from vagus.server.sessions import Opening
from vagus.types import Prefix
from vagus.wire.codec import (
    MAX_CHUNK_BYTES,
    MAX_CONTROL_BYTES,
    MAX_OBSERVATION_BYTES,
    decode,
    encode,
    encode_header,
    encode_tensor,
)
from vagus.wire.schema import ObservationMessage

__all__ = ["CAPTURE_FORMAT", "SUFFIX", "CaptureRing", "Captured", "read_capture"]

SUFFIX = ".capture"
PROBE = ".writable"
CAPTURE_FORMAT = 1
"""Format of the samples that this version writes; a sample without the field is of format 0."""
MAX_SAMPLE_BYTES = MAX_OBSERVATION_BYTES + MAX_CHUNK_BYTES + 2 * MAX_CONTROL_BYTES
"""Largest file that is read: a request, its reply, and how the session was opened."""


class Captured(msgspec.Struct, frozen=True):
    """Captured request and its reply, as bytes of the native wire, and what they are of.

    A sample says all by itself, so that it stays readable when others are removed, moved or mixed with those
    of another server. Samples of format 0 end after `reply`: nobody knows of which model they are.

    Attributes:
        client: segment of the client in its keys.
        header: header of the request; its schema version, epoch, number and episode are those of the wire.
        payload: bytes of the observation, as they were received; where the robot awaited other chunks, with
            the plan that was continued, and nothing awaited.
        result: "chunk", the code of the event that was sent, or the reason why nothing was sent.
        reply: bytes of the answer; empty without an answer.
        format: format of the sample.
        captured: time of day, UTC, ISO 8601; it orders the sessions of a folder.
        opening: what the client asked for and what the server said of itself: model, revision, service,
            hash, specs, range of wire versions, version of vagus, codec of the frames.
    """

    client: str
    header: bytes
    payload: bytes
    result: str
    reply: bytes
    format: int = 0
    captured: str = ""
    opening: Opening | None = None


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
            outcome.client,
            encode_header(outcome.header),
            _as_continued(outcome.payload, outcome.extended),
            outcome.result,
            outcome.reply,
            format=CAPTURE_FORMAT,
            captured=stamp(),
            opening=outcome.opening,
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


def _as_continued(payload: bytes, extended: Prefix | None) -> bytes:
    """Return a request that needs no answers under way: with the plan that was continued."""
    if extended is None:
        return payload
    message = decode(payload, ObservationMessage)
    return encode(
        msgspec.structs.replace(
            message,
            prefix_model=encode_tensor(extended.model),
            prefix_robot=encode_tensor(extended.robot),
            inference_delay=min(message.inference_delay, len(extended)),
            awaited=(),
        )
    )


def read_capture(path: Path) -> Captured:
    """Return the sample in the file at `path`, of any format up to `CAPTURE_FORMAT`.

    Raises:
        ProtocolError: the file cannot be read, is larger than a sample can be, is no sample, or is of a
            format of a newer version.
    """
    try:
        content = read_file(path, max_bytes=MAX_SAMPLE_BYTES)
    except OSError as error:
        raise ProtocolError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        sample = msgspec.msgpack.decode(content, type=Captured)
    except MALFORMED as error:
        raise ProtocolError(f"{path} is no captured request: {error}") from error
    if not 0 <= sample.format <= CAPTURE_FORMAT:
        raise ProtocolError(
            f"{path}: wanted a captured request of format 0 to {CAPTURE_FORMAT}, got format {sample.format}; "
            "a newer version of vagus wrote it"
        )
    return sample
