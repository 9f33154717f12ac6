"""Files of one recorded session, which stay readable if the disk is full or the process is killed.

`metadata.json`: description of the run, with a summary at its end. `steps.jsonl`: one line per command.
`chunks.jsonl`: one line per chunk. `images/<camera>/`: the frames that went with requests, colour as JPEG,
depth as PNG; their names say episode, step, number of the request and time of its state.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from vagus.errors import ConfigError
from vagus.private_files import make_folder, rights_of_file, rights_of_folder, write_file
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.session import Json
from vagus.recording.sink import FrameFile

__all__ = ["CHUNKS", "IMAGES", "METADATA", "STEPS", "SessionFolder", "append_whole", "safe_name"]

METADATA = "metadata.json"
STEPS = "steps.jsonl"
CHUNKS = "chunks.jsonl"
IMAGES = "images"
"""Names of the parts of a session folder."""

MAX_NAME = 64
HASHED = re.compile(r".*-[0-9a-f]{8}")
"""Form of a changed name: a name that cannot name a folder, or that already has this form, is changed."""

RESERVED_BYTES = 32 << 10
"""Bytes that metadata.json reserves for the summary, so that it fits even if the disk is full."""


class SessionFolder:
    """Folder of a session with open files; every write is complete or undone.

    Args:
        path: folder to make; it must not exist.
        metadata: description of the run, known at the beginning.
        is_private: only this user may read the files.

    Raises:
        ConfigError: the folder cannot be made or written.
    """

    def __init__(self, path: Path, metadata: Mapping[str, Json], *, is_private: bool = True) -> None:
        self.path = path = path.absolute()  # a driver may change the working directory
        self._is_private = is_private
        self._metadata = dict(metadata)
        self._reserved = len(_text(self._metadata)) + RESERVED_BYTES
        self._encoder = msgspec.json.Encoder()
        self._cameras: set[str] = set()
        try:
            make_folder(path.parent, is_private=is_private)
            path.mkdir(mode=rights_of_folder(is_private=is_private))
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            rights = rights_of_file(is_private=is_private)
            self._metadata_file = os.open(path / METADATA, flags, rights)
            self._steps_file = os.open(path / STEPS, flags | os.O_APPEND, rights)
            self._chunks_file = os.open(path / CHUNKS, flags | os.O_APPEND, rights)
            self._write_metadata()
        except OSError as error:
            raise ConfigError(
                "recorder directory", wanted="a folder that can be written", got=f"{path}: {error}"
            ) from error

    def write_steps(self, lines: Sequence[StepLine]) -> None:
        """Append commands to `steps.jsonl`.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        append_whole(self._steps_file, self._encoded(lines))

    def write_chunks(self, lines: Sequence[ChunkLine]) -> None:
        """Append chunks to `chunks.jsonl`.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        append_whole(self._chunks_file, self._encoded(lines))

    def write_frame(self, frame: FrameFile) -> None:
        """Write one frame.

        Raises:
            OSError: the disk is full or fails; no file is left.
        """
        folder = self.path / IMAGES / safe_name(frame.camera)
        if frame.camera not in self._cameras:
            make_folder(folder, is_private=self._is_private)
            self._cameras.add(frame.camera)
        write_file(folder / frame.name, frame.content, is_private=self._is_private)

    def close(self, summary: Mapping[str, Json]) -> None:
        """Write the summary and close the files. May be called twice."""
        if self._metadata_file < 0:
            return
        self._metadata["summary"] = dict(summary)
        try:
            self._write_metadata()
        finally:
            os.close(self._metadata_file)
            os.close(self._steps_file)
            os.close(self._chunks_file)
            self._metadata_file = self._steps_file = self._chunks_file = -1

    def _encoded(self, lines: Sequence[StepLine] | Sequence[ChunkLine]) -> bytes:
        """Return complete lines, encoded one by one: the encoder lets no other thread run."""
        return b"".join(self._encoder.encode(line) + b"\n" for line in lines)

    def _write_metadata(self) -> None:
        os.pwrite(self._metadata_file, _text(self._metadata).ljust(self._reserved) + b"\n", 0)


def append_whole(file: int, content: bytes) -> None:
    """Append to a file that was opened for appending, completely or not at all.

    Raises:
        OSError: the disk is full or fails; nothing was appended.
    """
    before = os.fstat(file).st_size
    written = os.write(file, content)
    if written != len(content):
        os.ftruncate(file, before)
        raise OSError(errno.ENOSPC, f"the disk took {written} of {len(content)} bytes")


def _text(metadata: Mapping[str, Json]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(metadata), indent=1)


def safe_name(name: str) -> str:
    """Return a folder name for `name`; different names give different folders."""
    cleaned = "".join(char if (char.isascii() and char.isalnum()) or char in "-_" else "_" for char in name)
    is_plain = cleaned == name and 0 < len(name) <= MAX_NAME and not HASHED.fullmatch(name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name if is_plain else f"{cleaned[:MAX_NAME]}-{digest}"
