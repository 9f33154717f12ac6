"""Sweep: closes the sessions of clients that are gone or silent, on a thread of its own."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from vagus.errors import LinkError
from vagus.server.open_sessions import OpenSessions
from vagus.server.publisher import Publisher
from vagus.server.session_log import SessionLog
from vagus.server.sessions import Session
from vagus.threads import Threads
from vagus.transport.keys import ClientKey, ServerKey
from vagus.transport.link import Link
from vagus.wire.schema import EventCode

__all__ = ["SessionSweep"]

SessionT = TypeVar("SessionT")

SWEEP_PERIOD_S = 1.0
"""Longest period of the search for clients that are gone or silent."""

CONFIRM_TIMEOUT_S = 1.0
"""Longest wait for the network's answer whether a client is really gone."""

CLOSED = {
    "gone": "this session was closed, because its client's token was gone; open a new one",
    "idle": "this session was closed, because its client was silent and has no token; open a new one",
    "no_token": "this session was closed: a client without a token must not be silent; open a new one",
}


class SessionSweep(Generic[SessionT]):
    """Search for clients that are gone or that have sent nothing for too long.

    Args:
        link: the network link.
        server: keys of this server.
        sessions: the open sessions.
        publisher: publisher of the events.
        log: log of the sessions.
    """

    def __init__(
        self,
        link: Link,
        server: ServerKey,
        sessions: OpenSessions[SessionT],
        *,
        publisher: Publisher,
        log: SessionLog,
    ) -> None:
        self._link = link
        self._server = server
        self._sessions = sessions
        self._publisher = publisher
        self._log = log

    def run(self, stopped: threading.Event, period_s: float, threads: Threads) -> None:
        """Sweep again and again, at least every `SWEEP_PERIOD_S`, until `stopped` is set."""
        while not stopped.wait(min(SWEEP_PERIOD_S, period_s)):
            with threads.going_on("looking for clients that are gone"):
                self.sweep()

    def sweep(self) -> None:
        """Close the sessions of clients that are gone or silent. It asks the network, so it may wait."""
        self._log.catch_up()
        for session in self._sessions.suspects():
            why = self._why_gone(session)
            if why is not None and self._sessions.end(session, why):
                self._publisher.about_session(session, EventCode.UNKNOWN_SESSION, CLOSED[why])

    def _why_gone(self, session: Session) -> str | None:
        """Return the reason to close a session, or None if the network has its token or a message came."""
        key = ClientKey(self._server, session.client).alive(session.instance)
        try:
            is_alive = key in self._link.tokens(key, timeout_s=CONFIRM_TIMEOUT_S)
        except LinkError:
            return None  # we cannot know, so nobody is closed
        if is_alive:
            self._sessions.token_changed(session.client, session.instance, is_alive=True)
        return self._sessions.looked_for(session, is_there=is_alive)
