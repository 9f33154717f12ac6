"""Reader of recordings as MCAP files, also of those that are damaged, cut off, or still being written."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Metadata
from mcap.writer import MCAP0_MAGIC

from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.mcap.container import SUMMARY
from vagus.quoting import quoted
from vagus.recording.frame_files import decode_frame
from vagus.recording.lines import LineFaults, chunk_lines, step_lines
from vagus.recording.metadata import to_info
from vagus.recording.session import FrameKind, Json, RecordedFrame, RecordedSession
from vagus.recording.step_table import build_steps
from vagus.recording.summaries import lost
from vagus.types import Frame

__all__ = ["read_mcap"]

MAX_RECORD_BYTES = 512 << 20
"""Longest record, compressed or not."""
HEAD_BYTES = 9
KINDS = {"jpeg": FrameKind.COLOUR, "png": FrameKind.DEPTH}
READ_ERRORS = (McapError, ValueError, OverflowError, struct.error)
"""What the package raises on damaged bytes."""
_RecordT = TypeVar("_RecordT", bound=McapRecord)


class _FrameHead(msgspec.Struct, frozen=True):
    """A frame without its picture."""

    frame_id: str
    format: str
    episode: int
    step: int
    ticket: int
    captured_ns: int


class _FrameBody(msgspec.Struct, frozen=True):
    data: bytes


class _Contents:
    """What a file holds, collected record by record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commands: list[bytes] = []
        self.chunks: list[bytes] = []
        self.frames: list[RecordedFrame] = []
        self.description: Mapping[str, Json] | None = None
        self.summary: Mapping[str, Json] | None = None
        self.topics: dict[int, str] = {}
        self.warnings: list[str] = []
        self.bad_chunks = self.bad_messages = 0
        self._of_topic: Mapping[str, Callable[[bytes], None]] = {
            "/commands": lambda data: self.commands.append(data + b"\n"),
            "/chunks": lambda data: self.chunks.append(data + b"\n"),
            "/session": self._describe,
        }
        self._head = msgspec.json.Decoder(_FrameHead).decode

    def take(self, opcode: int, content: bytes, offset: int) -> None:
        """Take one record that begins at `offset` of the file."""
        if opcode == Opcode.CHUNK:
            self._take_chunk(content, offset)
        elif opcode == Opcode.METADATA:
            record = _parsed(Metadata.read, content)
            text = None if record is None or record.name != SUMMARY else record.metadata.get("json", "")
            self.summary = self.summary if not text or not text.strip() else _json_object(text.encode())

    def _take_chunk(self, content: bytes, offset: int) -> None:
        body = _chunk_body(content)
        if body is None:
            self.bad_chunks += 1
            return
        for place, opcode, record in _records_in(body):
            if opcode == Opcode.CHANNEL:
                channel = _parsed(Channel.read, record)
                if channel is not None:
                    self.topics[channel.id] = channel.topic
            elif opcode == Opcode.MESSAGE:
                self._take_message(record, offset, place)

    def _take_message(self, record: bytes, offset: int, place: int) -> None:
        message = _parsed(partial(_message, length=len(record)), record)
        if message is None:
            self.bad_messages += 1
            return
        topic = self.topics.get(message.channel_id, "")
        taker = self._of_topic.get(topic)
        if taker is not None:
            taker(message.data)
        elif topic.startswith(("/camera/", "/depth/")):
            self._take_frame(message.data, offset, place)

    def _take_frame(self, data: bytes, offset: int, place: int) -> None:
        try:
            head = self._head(data)
            kind = KINDS[head.format]
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            self.bad_messages += 1
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
            end = _scan(file, contents)
    except OSError as error:
        raise ConfigError("session", wanted="a file that can be read", got=f"{path}: {error}") from error
    if contents.description is None:
        topics = ", ".join(sorted(set(contents.topics.values()))[:8]) or "nothing"
        raise ConfigError(
            "session", wanted="an MCAP file that vagus has recorded", got=f"{path} with {quoted(topics)}"
        )
    return _session(contents, end)


def _session(contents: _Contents, end: str) -> RecordedSession:
    info, warnings = to_info(contents.description or {})
    step_faults, chunk_faults = LineFaults("/commands"), LineFaults("/chunks")
    steps = build_steps(
        step_lines(contents.commands, step_faults),
        step_faults,
        action_dim=len(info.action_features) or None,
        state_dim=len(info.state_features) or None,
    )
    chunks = tuple(chunk_lines(contents.chunks, chunk_faults))
    told = [*warnings, *contents.warnings, end]
    if contents.bad_chunks:
        told.append(f"{contents.bad_chunks} parts of the file are damaged and left out")
    if contents.bad_messages:
        told.append(f"{contents.bad_messages} messages cannot be read and are left out")
    if contents.summary is None:
        told.append("the session has no summary: it still runs, or its end was not recorded")
    frames = sorted(contents.frames, key=lambda one: (one.ticket, one.episode, one.step, one.camera))
    return RecordedSession(
        path=contents.path,
        info=info,
        steps=steps,
        chunks=chunks,
        frames=tuple(frames),
        summary=contents.summary,
        warnings=(
            *filter(None, told), *step_faults.warnings, *chunk_faults.warnings, *lost(contents.summary)
        ),
    )  # fmt: skip


def _scan(file: io.BufferedReader, contents: _Contents) -> str:
    """Hand over every record; return what is wrong with the end of the file, "" for nothing.

    Raises:
        ConfigError: it is no MCAP file.
    """
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        raise ConfigError("session", wanted="an MCAP file", got=f"{contents.path}, which begins otherwise")
    while True:
        offset = file.tell()
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return "the file is cut off" if head else "the file has no index: its end was not written"
        opcode, length = head[0], int.from_bytes(head[1:], "little")
        if length > MAX_RECORD_BYTES:
            return f"the rest of the file from byte {offset} cannot be read"
        content = file.read(length)
        if len(content) < length:
            return "the file is cut off"
        if opcode == Opcode.DATA_END:
            return ""
        contents.take(opcode, content, offset)


def _chunk_body(content: bytes) -> bytes | None:
    """Return what is in a chunk record; None: it is damaged or too large."""
    chunk = _parsed(Chunk.read, content)
    if chunk is None or chunk.uncompressed_size > MAX_RECORD_BYTES:
        return None
    body = chunk.data if chunk.compression == "" else _decompressed(chunk)
    if body is None or len(body) != chunk.uncompressed_size:
        return None
    is_whole = not chunk.uncompressed_crc or zlib.crc32(body) == chunk.uncompressed_crc
    return bytes(body) if is_whole else None


def _decompressed(chunk: Chunk) -> bytes | None:
    if chunk.compression != "zstd":
        return None
    try:
        size = zstandard.frame_content_size(chunk.data)
        if size not in (-1, chunk.uncompressed_size):
            return None
        found: bytes = zstandard.ZstdDecompressor().decompress(
            chunk.data, max_output_size=chunk.uncompressed_size
        )
    except zstandard.ZstdError:
        return None
    return found


def _records_in(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield place, opcode and content of the records in a chunk; a last one that is cut off is left out."""
    place = 0
    while place + HEAD_BYTES <= len(body):
        length = int.from_bytes(body[place + 1 : place + HEAD_BYTES], "little")
        end = place + HEAD_BYTES + length
        if end > len(body):
            return
        yield place, body[place], body[place + HEAD_BYTES : end]
        place = end


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
        body = _chunk_body(content)
    except OSError as error:
        raise ProtocolError(f"frame {where}: wanted a file that can be read, got: {error}") from error
    record = next((found for at, _, found in _records_in(body or b"") if at == place), b"")
    message = _parsed(partial(_message, length=len(record)), record)
    if message is None:
        raise ProtocolError(f"frame {where}: wanted the frame that was there, got other bytes")
    try:
        data = msgspec.json.decode(message.data, type=_FrameBody).data
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"frame {where}: {error}") from error
    return decode_frame(data, kind, where)


def _message(stream: ReadDataStream, *, length: int) -> Message:
    message: Message = Message.read(stream, length)
    return message


def _parsed(read: Callable[[ReadDataStream], _RecordT], content: bytes) -> _RecordT | None:
    """Return a record that the package reads; None: its bytes are damaged."""
    try:
        return read(ReadDataStream(io.BytesIO(content)))
    except READ_ERRORS:
        return None


def _json_object(data: bytes) -> Mapping[str, Json] | None:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
