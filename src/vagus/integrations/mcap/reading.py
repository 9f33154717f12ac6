"""Reader of recordings as MCAP files, also of those that are damaged, cut off, or still being written."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import msgspec
from mcap.opcode import Opcode
from mcap.records import Channel, Metadata
from mcap.writer import MCAP0_MAGIC

from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.mcap.container import SUMMARY
from vagus.integrations.mcap.records import (
    HEAD_BYTES,
    MAX_RECORD_BYTES,
    chunk_body,
    message_of,
    parsed,
    records_in,
)
from vagus.malformed import MALFORMED
from vagus.quoting import quoted
from vagus.recording.frame_files import MAX_FRAMES, decode_frame
from vagus.recording.lines import MAX_LINE_BYTES, ChunkLines, LineFaults, step_lines
from vagus.recording.metadata import MAX_METADATA_BYTES, to_info
from vagus.recording.session import FrameKind, Json, RecordedFrame, RecordedSession
from vagus.recording.step_table import build_steps
from vagus.recording.summaries import lost
from vagus.types import Frame

__all__ = ["read_mcap"]

GROWTH_FREE_BYTES = 256 << 20
MAX_GROWTH = 1000
"""A file may hold this many times its own bytes, and what is free: the commands of a robot that rests take
a 160th, zeros less than a 20 000th."""
MAX_TOPIC = 1024
"""Longest name of a topic that is remembered."""
KINDS = {"jpeg": FrameKind.COLOUR, "png": FrameKind.DEPTH}
_Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class _FrameHead(msgspec.Struct, frozen=True):
    """A frame without its picture."""

    frame_id: str
    format: str
    episode: _Int
    step: _Int
    ticket: _Int
    captured_ns: _Int


class _FrameBody(msgspec.Struct, frozen=True):
    data: bytes


class _Contents:
    """What a file holds, collected record by record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commands: list[bytes] = []
        self.chunks = ChunkLines("/chunks")
        self.frames: list[RecordedFrame] = []
        self.description: Mapping[str, Json] | None = None
        self.summary: Mapping[str, Json] | None = None
        self.topics: dict[int, str] = {}
        self.warnings: list[str] = []
        self.end = ""
        self.bad_chunks = self.bad_messages = self.lost_frames = self.inflated_bytes = 0
        self._of_topic: Mapping[str, Callable[[bytes], None]] = {
            "/commands": lambda data: self.commands.append(data + b"\n"),
            "/chunks": lambda data: self.chunks.take(data + b"\n"),
            "/session": self._describe,
        }
        self._head = msgspec.json.Decoder(_FrameHead).decode

    def take(self, opcode: int, content: bytes, offset: int) -> None:
        """Take one record that begins at `offset` of the file."""
        if opcode == Opcode.CHUNK:
            self._take_chunk(content, offset)
        elif opcode == Opcode.METADATA:
            record = parsed(Metadata.read, content)
            text = None if record is None or record.name != SUMMARY else record.metadata.get("json", "")
            self.summary = self.summary if not text or not text.strip() else _json_object(text.encode())

    def _take_chunk(self, content: bytes, offset: int) -> None:
        body = chunk_body(content)
        if body is None:
            self.bad_chunks += 1
            return
        self.inflated_bytes += len(body)
        for place, opcode, record in records_in(body):
            if opcode == Opcode.CHANNEL:
                channel = parsed(Channel.read, record)
                if channel is not None and len(channel.topic) <= MAX_TOPIC:
                    self.topics[channel.id] = channel.topic
            elif opcode == Opcode.MESSAGE:
                self._take_message(record, offset, place)

    def _take_message(self, record: bytes, offset: int, place: int) -> None:
        message = message_of(record)
        if message is None:
            self.bad_messages += 1
            return
        topic = self.topics.get(message.channel_id, "")
        taker = self._of_topic.get(topic)
        if taker is not None and len(message.data) <= MAX_LINE_BYTES:
            taker(message.data)
        elif taker is not None:
            self.bad_messages += 1
        elif topic.startswith(("/camera/", "/depth/")):
            self._take_frame(message.data, offset, place)

    def _take_frame(self, data: bytes, offset: int, place: int) -> None:
        try:
            head = self._head(data)
            kind = KINDS[head.format]
        except (*MALFORMED, KeyError):
            self.bad_messages += 1
            return
        if len(self.frames) == MAX_FRAMES:
            self.lost_frames += 1
            return
        self.frames.append(
            RecordedFrame(
                camera=head.frame_id,
                kind=kind,
                episode=head.episode,
                step=head.step,
                ticket=head.ticket,
                captured_ns=head.captured_ns,
                path=self.path,
                source=partial(_load, self.path, offset, place, kind),
            )
        )

    def _describe(self, data: bytes) -> None:
        self.description = _json_object(data)


def read_mcap(path: Path) -> RecordedSession:
    """Read the file of a session.

    Raises:
        ConfigError: it is no recording of this package, or cannot be read at all.
    """
    contents = _Contents(path)
    try:
        with path.open("rb") as file:
            return _session(contents, _scan(file, contents))
    except OSError as error:
        raise ConfigError("session", wanted="a file that can be read", got=f"{path}: {error}") from error


def _session(contents: _Contents, commands: Iterator[bytes]) -> RecordedSession:
    """Return the session; `commands` fills `contents` while it goes through the file.

    Raises:
        ConfigError: it is no recording of this package.
    """
    first = tuple(islice(commands, 1))  # the description stands before it
    info, warnings = to_info(contents.description or {})
    step_faults, chunk_faults = LineFaults("/commands"), contents.chunks.faults
    steps = build_steps(
        step_lines(chain(first, commands), step_faults),
        step_faults,
        action_dim=len(info.action_features) or None,
        state_dim=len(info.state_features) or None,
    )
    for _ in commands:  # those beyond the largest table
        pass
    if contents.description is None:
        topics = ", ".join(sorted(set(contents.topics.values()))[:8]) or "nothing"
        raise ConfigError(
            "session",
            wanted="an MCAP file that vagus has recorded",
            got=f"{contents.path} with {quoted(topics)}",
        )
    told = [*warnings, *contents.warnings, contents.end]
    if contents.bad_chunks:
        told.append(f"{contents.bad_chunks} parts of the file are damaged and left out")
    if contents.bad_messages:
        told.append(f"{contents.bad_messages} messages cannot be read and are left out")
    if contents.lost_frames:
        told.append(f"{contents.lost_frames} frames left out (too many)")
    if contents.summary is None:
        told.append("the session has no summary: it still runs, or its end was not recorded")
    frames = sorted(contents.frames, key=lambda one: (one.ticket, one.episode, one.step, one.camera))
    return RecordedSession(
        path=contents.path,
        info=info,
        steps=steps,
        chunks=contents.chunks.found,
        frames=tuple(frames),
        summary=contents.summary,
        warnings=(
            *filter(None, told), *step_faults.warnings, *chunk_faults.warnings, *lost(contents.summary)
        ),
    )  # fmt: skip


def _scan(file: io.BufferedReader, contents: _Contents) -> Iterator[bytes]:
    """Hand over every record, and yield the commands as they come: all may not fit into memory.

    Raises:
        ConfigError: it is no MCAP file.
    """
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        raise ConfigError("session", wanted="an MCAP file", got=f"{contents.path}, which begins otherwise")
    while True:
        offset = file.tell()
        head = file.read(HEAD_BYTES)
        opcode, length = (head or b"\0")[0], int.from_bytes(head[1:], "little")
        content = file.read(length) if length <= MAX_RECORD_BYTES else b""
        contents.end = _end(head, length, content, offset)
        if contents.inflated_bytes > GROWTH_FREE_BYTES + MAX_GROWTH * offset:
            contents.end = f"the rest of the file from byte {offset} is left out: it grows without bound"
        if contents.end or opcode == Opcode.DATA_END:
            return
        contents.take(opcode, content, offset)
        yield from contents.commands
        contents.commands.clear()


def _end(head: bytes, length: int, content: bytes, offset: int) -> str:
    """Return why a file ends with this record; "": it does not."""
    if not head:
        return "the file has no index: its end was not written"
    if len(head) == HEAD_BYTES and length > MAX_RECORD_BYTES:
        return f"the rest of the file from byte {offset} cannot be read"
    return "" if len(head) == HEAD_BYTES and len(content) == length else "the file is cut off"


def _load(path: Path, offset: int, place: int, kind: FrameKind) -> Frame:
    """Return the frame in the message at `place` of the chunk at `offset` of the file.

    Raises:
        ProtocolError: the file has changed, or the frame is damaged.
    """
    where = f"{path} at byte {offset}"
    try:
        with path.open("rb") as file:
            file.seek(offset)
            head = file.read(HEAD_BYTES)
            content = file.read(min(int.from_bytes(head[1:], "little"), MAX_RECORD_BYTES))
        body = chunk_body(content)
    except OSError as error:
        raise ProtocolError(f"frame {where}: wanted a file that can be read, got: {error}") from error
    record = next((found for at, _, found in records_in(body or b"") if at == place), b"")
    message = message_of(record)
    if message is None:
        raise ProtocolError(f"frame {where}: wanted the frame that was there, got other bytes")
    try:
        data = msgspec.json.decode(message.data, type=_FrameBody).data
    except MALFORMED as error:
        raise ProtocolError(f"frame {where}: {error}") from error
    return decode_frame(data, kind, where)


def _json_object(data: bytes) -> Mapping[str, Json] | None:
    if len(data) > MAX_METADATA_BYTES:
        return None
    try:
        found = msgspec.json.decode(data)
    except MALFORMED:
        return None
    return found if isinstance(found, dict) else None
