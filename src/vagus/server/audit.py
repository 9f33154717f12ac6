"""One JSON line per request and per turn of a session: who asked what, when, and what came of it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from vagus.clock import NS_PER_MS
from vagus.server.journal import Outcome

__all__ = ["AuditEvent", "AuditFile", "AuditLine", "line_of", "stamp"]


class AuditLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line of the audit file. `ts` is for reading only; join by `epoch` and `seq`."""

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


class AuditEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line about a session, not a request; it is known by `event`. Text of clients is escaped and cut."""

    ts: str
    event: str
    """opened, refused, closed, misrouted, unknown_session, draining or stopped."""
    session: str = ""
    client: str = ""
    epoch: int = 0
    instance: str = ""
    robot_type: str = ""
    tags: dict[str, str] = {}
    trust_units: bool = False
    vouched: tuple[str, ...] = ()
    """Features whose unit a side does not state; the operator vouched for them."""
    image_codec: str = ""
    uses_rtc: bool = False
    replaces: str = ""
    """Session of the same client that this one took the place of."""
    code: str = ""
    """Why not, or why it ended."""
    reason: str = ""
    """The same for people."""
    count: int = 1
    """Times that it happened since it was written last; sessions in the end."""


def stamp() -> str:
    """Return the time of day, UTC, for reading only."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def line_of(outcome: Outcome) -> AuditLine:
    """Return the line for `outcome`, stamped now; it holds no image, so many may wait."""
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
    )


class AuditFile:
    """Appends lines to a file that is rotated at a size; one older file is kept. One thread only."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None

    def write(self, line: AuditLine | AuditEvent) -> None:
        """Append one line.

        Raises:
            OSError: the disk is full or the folder is not there; the next line tries again.
        """
        file = self._open()
        file.write(msgspec.json.encode(line) + b"\n")
        file.flush()
        if file.tell() >= self._max_bytes:
            self.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))

    def close(self) -> None:
        """Close the file. Twice is harmless."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        return self._file
