"""Opens a session with another server and closes the old one, while the worker goes on."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vagus.edge.client.handshake import Contract
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.session import Presence, SessionOpener
from vagus.errors import VagusError
from vagus.threads import Supervised
from vagus.transport.keys import ServerKey
from vagus.transport.link import Sample

__all__ = ["Moving", "Opened"]

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 1.0
"""Longest wait for the answer to a session open: the server of the session may be lost meanwhile, and then
this one is needed."""
JOIN_TIMEOUT_S = 5.0
"""Longest wait for the thread at the end; each of its queries has a shorter timeout."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is open, with the presence that belongs to it."""

    session: SessionRef
    contract: Contract
    presence: Presence


@dataclass(slots=True)
class _Attempt:
    server: ServerKey
    opened: Opened | None = None
    error: VagusError | None = None
    is_over: bool = False


class Moving:
    """At most one session that is being opened at another server; the worker takes it when it may change.

    The thread starts with the first move. Until a session is taken, nothing else of this robot knows of it,
    so what becomes of it cannot disturb the session in use.

    Args:
        opener: opens and closes sessions.
        on_sample: receives what the servers say.
    """

    def __init__(self, opener: SessionOpener, on_sample: Callable[[Sample], None]) -> None:
        self._opener = opener
        self._on_sample = on_sample
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._attempt: _Attempt | None = None

    @property
    def target(self) -> ServerKey | None:
        """Server at which a session is being opened, or is open and was not taken yet."""
        attempt = self._attempt
        return None if attempt is None else attempt.server

    @property
    def is_opened(self) -> bool:
        """Whether the session is open, and waits to be taken."""
        attempt = self._attempt
        return attempt is not None and attempt.opened is not None

    def begin(self, server: ServerKey, contract: Contract, *, instruction: str, round_trip_ns: int) -> None:
        """Begin to open a session with this server, of the same contract; not while another attempt lasts."""
        attempt = self._attempt = _Attempt(server)
        self._do(partial(self._open, attempt, contract, instruction, round_trip_ns))

    def take(self) -> Opened | None:
        """Take the session that was opened; None if there is none yet. It is the caller's then."""
        with self._lock:
            attempt = self._attempt
            if attempt is None or attempt.opened is None:
                return None
            self._attempt = None
            return attempt.opened

    def take_error(self) -> VagusError | None:
        """Take the reason why no session could be opened; None if the attempt lasts, or there is none."""
        with self._lock:
            attempt = self._attempt
            if attempt is None or attempt.error is None:
                return None
            self._attempt = None
            return attempt.error

    def abandon(self) -> None:
        """End the attempt; a session that it opened is closed."""
        with self._lock:
            attempt, self._attempt = self._attempt, None
            if attempt is None:
                return
            attempt.is_over = True
            opened = attempt.opened
        if opened is not None:
            self.leave(opened.session, opened.presence)

    def leave(self, session: SessionRef | None, presence: Presence) -> None:
        """Close a session, and withdraw the presence at its server, in the background."""
        self._do(partial(self._leave, session, presence))

    def stop(self) -> None:
        """Close what was opened and not taken, and end the thread. Twice does nothing."""
        self.abandon()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(JOIN_TIMEOUT_S)

    # -- the thread -------------------------------------------------------------------------------------

    def _do(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._thread = Supervised(self._run, name="vagus-move")
            self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _open(self, attempt: _Attempt, contract: Contract, instruction: str, round_trip_ns: int) -> None:
        presence = Presence(self._opener.link, self._opener.identity, self._on_sample)
        try:
            presence.move_to(attempt.server)
            session, agreed = self._opener.open(
                attempt.server,
                contract.capabilities,
                instruction=instruction,
                contract=contract,
                round_trip_ns=round_trip_ns,
                timeout_s=min(OPEN_TIMEOUT_S, self._opener.config.handshake_timeout_s),
            )
        except VagusError as error:
            presence.leave()
            attempt.error = error
            return
        except BaseException as error:
            presence.leave()
            attempt.error = VagusError(f"the session could not be opened: {error!r}")
            raise
        with self._lock:
            if not attempt.is_over:
                attempt.opened = Opened(session, agreed, presence)
                return
        self._leave(session, presence)

    def _leave(self, session: SessionRef | None, presence: Presence) -> None:
        try:
            if session is not None and self._opener.link.health().is_connected:
                self._opener.close(session)
        finally:
            presence.leave()
