"""An MCAP file that grows by whole chunks and stays readable if the disk is full or the process is killed.

The records are those of the `mcap` package; its writer is not used, because it cannot take back a chunk that
the disk did not take. The summary of the session has room near the beginning from the start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC

from vagus import __version__
from vagus.errors import ConfigError
from vagus.private_files import make_folder, rights_of_file
from vagus.recording.session_folder import RESERVED_BYTES, append_whole

__all__ = ["SUMMARY", "McapContainer", "TimedMessage"]

SUMMARY = "vagus.summary"
"""Name of the metadata record with the summary of the session."""
FOOTER_BYTES = 8 + 8 + 4


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """One message of a file.

    Attributes:
        channel: number of its channel.
        wall_ns: time in nanoseconds since 1970, UTC.
        data: its JSON.
        sequence: number of the request that it belongs to; 0: of none.
    """

    channel: int
    wall_ns: int
    data: bytes
    sequence: int = 0


class McapContainer:
    """An open MCAP file for one thread.

    Args:
        path: file to make; it must not exist.
        is_private: only this user may read the file.

    Raises:
        ConfigError: the file cannot be made or written.
    """

    def __init__(self, path: Path, *, is_private: bool = True) -> None:
        self.path = path = path.absolute()  # a driver may change the working directory
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._written: set[int] = set()
        self._indexes: list[ChunkIndex] = []
        self._counts: Counter[int] = Counter()
        try:
            make_folder(path.parent, is_private=is_private)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = os.open(path, flags, rights_of_file(is_private=is_private))
            begin = _bytes_of(Header(profile="", library=f"vagus {__version__}"))
            self._summary_at = len(MCAP0_MAGIC) + len(begin)
            append_whole(self._file, MCAP0_MAGIC + begin + _summary_record(b""))
        except OSError as error:
            raise ConfigError(
                "recorder directory", wanted="a folder that can be written", got=f"{path}: {error}"
            ) from error

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return self._file >= 0

    def add_channel(
        self, topic: str, name: str, schema: bytes, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Return the number of a new channel of JSON messages.

        Args:
            topic: its name.
            name: name of the schema; channels of one name share the schema.
            schema: JSON Schema of the messages.
            metadata: free text about the channel.
        """
        known = next((one.id for one in self._schemas if one.name == name), None)
        if known is None:
            known = len(self._schemas) + 1
            self._schemas.append(Schema(id=known, name=name, encoding="jsonschema", data=schema))
        number = len(self._channels) + 1
        self._channels.append(
            Channel(
                id=number,
                topic=topic,
                message_encoding="json",
                metadata=dict(metadata or {}),
                schema_id=known,
            )
        )
        return number

    def write(self, messages: Sequence[TimedMessage], *, compress: bool) -> None:
        """Append messages as one chunk, completely or not at all.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        if not messages:
            return
        body, index_of = RecordBuilder(), dict[int, MessageIndex]()
        fresh = {message.channel for message in messages} - self._written
        self._describe(body, fresh)
        for message in messages:
            index = index_of.setdefault(message.channel, MessageIndex(message.channel, []))
            index.records.append((message.wall_ns, body.count))
            Message(
                channel_id=message.channel,
                log_time=message.wall_ns,
                data=message.data,
                publish_time=message.wall_ns,
                sequence=message.sequence,
            ).write(body)
        self._append_chunk(body.end(), messages, list(index_of.values()), compress=compress)
        self._written |= fresh
        self._counts.update(message.channel for message in messages)

    def write_summary(self, summary: bytes) -> None:
        """Write the summary of the session, JSON of at most `RESERVED_BYTES`, into the room kept for it.

        Raises:
            OSError: it is longer, or the disk fails.
        """
        if len(summary) > RESERVED_BYTES:
            raise OSError(f"the summary takes {len(summary)} bytes, and {RESERVED_BYTES} were kept for it")
        file = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(file, _summary_record(summary), self._summary_at)
        finally:
            os.close(file)

    def close(self) -> None:
        """Write the index and close the file. May be called twice.

        Raises:
            OSError: the disk is full or fails; the file is without an index, and is closed.
        """
        if self._file < 0:
            return
        try:
            append_whole(self._file, self._end())
        finally:
            os.close(self._file)
            self._file = -1

    def _describe(self, body: RecordBuilder, channels: set[int]) -> None:
        """Write the records of these channels and their schemas."""
        for number in sorted(channels):
            channel = self._channels[number - 1]
            self._schemas[channel.schema_id - 1].write(body)
            channel.write(body)

    def _append_chunk(
        self, content: bytes, messages: Sequence[TimedMessage], indexes: list[MessageIndex], *, compress: bool
    ) -> None:
        times = [message.wall_ns for message in messages]
        chunk = Chunk(
            compression="zstd" if compress else "",
            data=zstandard.compress(content) if compress else content,
            message_start_time=min(times),
            message_end_time=max(times),
            uncompressed_crc=zlib.crc32(content),
            uncompressed_size=len(content),
        )
        start, out, offsets = os.fstat(self._file).st_size, RecordBuilder(), dict[int, int]()
        chunk.write(out)
        chunk_length = out.count
        for index in indexes:
            offsets[index.channel_id] = start + out.count
            index.write(out)
        index_length = out.count - chunk_length
        append_whole(self._file, out.end())
        self._indexes.append(
            ChunkIndex(
                chunk_start_offset=start,
                chunk_length=chunk_length,
                compression=chunk.compression,
                compressed_size=len(chunk.data),
                uncompressed_size=chunk.uncompressed_size,
                message_start_time=chunk.message_start_time,
                message_end_time=chunk.message_end_time,
                message_index_length=index_length,
                message_index_offsets=offsets,
            )
        )

    def _end(self) -> bytes:
        """Return the end of the file: the index of all that is in it."""
        before = _bytes_of(DataEnd(0))
        start = os.fstat(self._file).st_size + len(before)
        groups: tuple[tuple[Opcode, Sequence[McapRecord]], ...] = (
            (Opcode.SCHEMA, self._schemas),
            (Opcode.CHANNEL, self._channels),
            (Opcode.STATISTICS, [self._statistics()]),
            (Opcode.CHUNK_INDEX, self._indexes),
            (Opcode.METADATA_INDEX, [MetadataIndex(self._summary_at, len(_summary_record(b"")), SUMMARY)]),
        )
        body, offsets = RecordBuilder(), list[SummaryOffset]()
        for opcode, records in groups:
            begin = body.count
            for record in records:
                record.write(body)
            offsets.append(SummaryOffset(opcode, start + begin, body.count - begin))
        offsets_at = start + body.count
        for offset in offsets:
            offset.write(body)
        summary = body.end()
        head = struct.pack("<BQQQ", Opcode.FOOTER, FOOTER_BYTES, start, offsets_at)
        footer = _bytes_of(Footer(start, offsets_at, zlib.crc32(head, zlib.crc32(summary))))
        end: bytes = before + summary + footer + MCAP0_MAGIC
        return end

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts=dict(self._counts),
            chunk_count=len(self._indexes),
            message_count=self._counts.total(),
            message_start_time=min((index.message_start_time for index in self._indexes), default=0),
            message_end_time=max((index.message_end_time for index in self._indexes), default=0),
            metadata_count=1,
            schema_count=len(self._schemas),
        )


def _bytes_of(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    content: bytes = builder.end()
    return content


def _summary_record(summary: bytes) -> bytes:
    """Return the record of the summary, always of the same length."""
    return _bytes_of(Metadata(SUMMARY, {"json": summary.ljust(RESERVED_BYTES).decode()}))
