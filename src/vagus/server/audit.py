"""Audit file: one JSON line per request and per event of a session."""

from __future__ import annotations

import datetime
import errno
import os
from io import SEEK_END, RawIOBase
from pathlib import Path

import msgspec

from vagus.clock import NS_PER_MS
from vagus.private_files import make_folder, open_file
from vagus.server.replies import Outcome

__all__ = ["AuditEvent", "AuditFile", "AuditLine", "line_of", "stamp"]


class AuditLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Audit line of a request. `ts` is for people only; join lines by `epoch` and `seq`."""

    ts: str
    session: str
    client: str
    epoch: int
    seq: int
    episode: int
    outcome: str
    step: int | None = None
    queue_wait_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    batch_size: int = 0
    superseded: int = 0
    traceparent: str | None = None
    message: str = ""
    tenant: str = ""


class AuditEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Audit line of a session; only such a line has the field `event`. Text of clients is escaped and cut."""

    ts: str
    event: str
    """opened, refused, closed, misrouted, unknown_session, over_quota, draining or stopped."""
    session: str = ""
    client: str = ""
    epoch: int = 0
    instance: str = ""
    robot_type: str = ""
    tags: dict[str, str] = {}
    trust_units: bool = False
    vouched: tuple[str, ...] = ()
    """Features that the operator vouches for: without a stated unit, a limit or feedback."""
    image_codec: str = ""
    uses_rtc: bool = False
    tenant: str = ""
    replaces: str = ""
    """Older session of the same client, which this session replaced."""
    code: str = ""
    """Code of the reason for a refusal or an end."""
    reason: str = ""
    """The reason as text for people."""
    count: int = 1
    """Number of events since the last line of this kind; at the end of the server, number of sessions."""


def stamp() -> str:
    """Return the time of day, UTC, for people only."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def line_of(outcome: Outcome) -> AuditLine:
    """Return the line of `outcome` with the present time. It holds no image, so many lines may wait."""
    return AuditLine(
        ts=stamp(),
        session=outcome.session_id,
        client=outcome.client,
        epoch=outcome.header.epoch,
        seq=outcome.header.seq,
        episode=outcome.header.episode,
        outcome=outcome.result,
        step=outcome.step,
        queue_wait_ms=round(outcome.queue_wait_ns / NS_PER_MS, 3),
        decode_ms=round(outcome.decode_ns / NS_PER_MS, 3),
        inference_ms=round(outcome.inference_ns / NS_PER_MS, 3),
        batch_size=outcome.batch_size,
        superseded=outcome.superseded,
        traceparent=outcome.traceparent,
        message=outcome.message,
        tenant=outcome.tenant,
    )


class AuditFile:
    """File that is rotated at a maximum size; one older file is kept. For one thread only."""

    def __init__(self, path: Path, *, max_bytes: int, is_private: bool = True) -> None:
        self.path = path.absolute()  # a policy may change the working directory
        self._max_bytes = max_bytes
        self._is_private = is_private
        self._file: RawIOBase | None = None

    def open(self) -> None:
        """Open the file, unless it is open.

        Raises:
            OSError: the file cannot be written.
        """
        self._opened()

    def write(self, line: AuditLine | AuditEvent) -> None:
        """Append one line; a full file is renamed first.

        Raises:
            OSError: the disk is full, or the folder cannot be written; the next line tries again.
        """
        file = self._opened()
        if file.seek(0, SEEK_END) >= self._max_bytes:
            self.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            file = self._opened()
        content = msgspec.json.encode(line) + b"\n"
        before_bytes = file.seek(0, SEEK_END)
        if file.write(content) != len(content):  # the disk took a part, and would take no more
            file.truncate(before_bytes)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        """Close the file. May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _opened(self) -> RawIOBase:
        if self._file is None:
            make_folder(self.path.parent, is_private=self._is_private)
            self._file = open_file(self.path, "ab", is_private=self._is_private)
        return self._file
