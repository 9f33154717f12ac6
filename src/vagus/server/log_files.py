"""Audit and capture files, each written by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from vagus.errors import ConfigError
from vagus.server.audit import AuditEvent, AuditFile, AuditLine, line_of
from vagus.server.background_queue import BackgroundQueue, QueueLimits
from vagus.server.capture import CaptureRing
from vagus.server.config import ServeConfig
from vagus.server.metrics import ServerMetrics
from vagus.server.replies import Outcome
from vagus.threads import Threads

__all__ = ["LogFiles"]

ItemT = TypeVar("ItemT")

CAPACITY = 1024
"""Largest number of audit lines that wait for the disk; the length of a line is limited."""

CAPTURE_CAPACITY = 32
"""Largest number of captured requests that wait; each holds its images."""
MAX_BYTES = 64 << 20
"""Largest size of all captured requests that wait."""


class LogFiles:
    """Audit file and capture folder, if the settings name them."""

    def __init__(self, config: ServeConfig, metrics: ServerMetrics, threads: Threads) -> None:
        self._metrics = metrics
        self._threads = threads
        self._ring: CaptureRing | None = None
        self._audit: AuditFile | None = None
        self._to_audit: BackgroundQueue[AuditLine | AuditEvent] | None = None
        self._to_capture: BackgroundQueue[Outcome] | None = None
        if config.audit_path is not None:
            self._audit = AuditFile(
                config.audit_path, max_bytes=config.audit_max_mb << 20, is_private=config.private_files
            )
            self._to_audit = self._background("audit", self._audit.write, CAPACITY)
        if config.capture_dir is not None:
            self._ring = CaptureRing(
                config.capture_dir, max_bytes=config.capture_max_mb << 20, is_private=config.private_files
            )
            self._to_capture = self._background("capture", self._ring.write, CAPTURE_CAPACITY)
        self._every = config.capture_every
        self._seen = 0

    def start(self) -> None:
        """Open the files and start the threads.

        Raises:
            ConfigError: a file or folder cannot be written.
        """
        if self._audit is not None:
            with _refusing("audit_path", self._audit.path):
                self._audit.open()
        if self._ring is not None:
            with _refusing("capture_dir", self._ring.folder):
                self._ring.open()
        if self._to_audit is not None:
            self._to_audit.start()
        if self._to_capture is not None:
            self._to_capture.start()

    def write(self, outcome: Outcome) -> None:
        """Add the outcome of one request. Never waits; if the disk is too slow, it is dropped and counted."""
        if self._to_audit is not None:
            self._to_audit.put(line_of(outcome))
        if self._to_capture is None:
            return
        self._seen += 1
        if self._seen % self._every == 1 % self._every:
            self._to_capture.put(outcome, size_bytes=len(outcome.payload) + len(outcome.reply))

    def write_event(self, event: AuditEvent) -> None:
        """Add an event of a session. Never waits; if the disk is too slow, it is dropped and counted."""
        if self._to_audit is not None:
            self._to_audit.put(event)

    def stop(self, timeout_s: float) -> None:
        """Write the waiting lines and samples, and close the files."""
        if self._to_audit is not None:
            self._to_audit.stop(timeout_s)
        if self._to_capture is not None:
            self._to_capture.stop(timeout_s)
        if self._audit is not None:
            self._audit.close()

    def _background(self, name: str, write: Callable[[ItemT], None], capacity: int) -> BackgroundQueue[ItemT]:
        return BackgroundQueue(
            f"vagus-{name}",
            write,
            threads=self._threads,
            limits=QueueLimits((capacity,), MAX_BYTES),
            on_lost=lambda why: self._metrics.count("dropped", f"{name}_{why}"),
        )


@contextmanager
def _refusing(setting: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            setting,
            wanted="a place that can be written",
            got=f"{path} ({error.strerror or error})",
            fix="give another one, or the rights to it",
        ) from error
