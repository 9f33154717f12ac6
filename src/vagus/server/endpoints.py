"""Link callbacks of the server: open, close, reset, observation, liveliness.

The callbacks return at once: a thread of its own answers the session requests.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import ProtocolError, SessionRefusedError
from vagus.server.open_sessions import OpenSessions
from vagus.server.publisher import Publisher
from vagus.server.request_quota import MIN_PAUSE_NS, RequestQuotas
from vagus.server.session_log import SessionLog
from vagus.server.session_requests import OPENS_PER_S, SessionRequests
from vagus.server.sessions import Found, Reminders, Session
from vagus.server.tenants import TenantTable
from vagus.threads import Threads
from vagus.transport.keys import client_segment
from vagus.transport.link import Query, Sample
from vagus.wire.codec import decode, decode_header
from vagus.wire.schema import (
    Ack,
    CloseMessage,
    EventCode,
    Header,
    Kind,
    OpenMessage,
    ResetAck,
    ResetMessage,
    SessionRequest,
)

__all__ = ["Endpoints"]

SessionT = TypeVar("SessionT")

REMINDER_NS = NS_PER_S
"""Shortest time between two events `unknown_session` to one client: one second."""

MAX_PAUSED = 4096
"""Largest number of robots above their tenant's quota that are told at once."""

MAX_REMINDED = 256
"""Largest number of unknown clients that are remembered."""

TOO_OFTEN = (
    f"this client requests sessions more than {OPENS_PER_S:g} times a second, or too many requests wait; "
    "ask again in some seconds"
)


class Endpoints(Generic[SessionT]):
    """Callbacks of the link, which check each message and pass it to the sessions and the pipeline.

    Args:
        sessions: the open sessions.
        tenants: who belongs to whom.
        publisher: publisher of the answers.
        log: log of the sessions.
        threads: the threads of the server, to which the own thread is added, and their clock.
    """

    def __init__(
        self,
        sessions: OpenSessions[SessionT],
        *,
        tenants: TenantTable,
        publisher: Publisher,
        log: SessionLog,
        threads: Threads,
    ) -> None:
        self._sessions = sessions
        self._publisher = publisher
        self._log = log
        self._clock = threads.clock
        self._lock = threading.Lock()
        self._desk = SessionRequests(self._answer_session, tenants, threads)
        self._quotas = RequestQuotas()
        self._refusals = Reminders(interval_ns=MIN_PAUSE_NS, max_clients=MAX_PAUSED)
        self._reminders = Reminders(interval_ns=REMINDER_NS, max_clients=MAX_REMINDED)

    def refuse(self) -> None:
        """Accept no more sessions, and tell the open sessions to connect to another server."""
        sessions = self._sessions.refuse()
        self._log.draining(len(sessions))
        for session in sessions:
            self._publisher.about_session(
                session, EventCode.DRAINING, "the server is draining; connect to another replica"
            )

    def start(self) -> None:
        """Start the thread that answers session requests."""
        self._desk.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread that answers session requests."""
        self._desk.stop(timeout_s)

    def on_session(self, query: Query) -> None:
        """Queue a request to open or close a session."""
        try:
            client = client_segment(query.key)
        except ProtocolError as error:
            self._refuse_open(query, EventCode.INVALID_INPUT.value, str(error))
            return
        if not self._desk.put(client, query):
            self._log.refused(client, EventCode.OVERLOADED.value, TOO_OFTEN)
            self._publisher.answer(
                query, Ack(accepted=False, code=EventCode.OVERLOADED.value, error=TOO_OFTEN)
            )

    def _answer_session(self, query: Query) -> None:
        try:
            client = client_segment(query.key)
            request = decode(query.payload, SessionRequest)
        except ProtocolError as error:
            self._refuse_open(query, EventCode.INVALID_INPUT.value, str(error))
            return
        if request.open is not None and request.close is None:
            self._open(query, client, request.open)
        elif request.close is not None and request.open is None:
            self._close(query, client, request.close)
        else:
            self._refuse_open(query, EventCode.INVALID_INPUT.value, "wanted either open or close")

    def on_reset(self, query: Query) -> None:
        """Begin an episode; the answer is sent after the policy thread has applied it."""
        try:
            client = client_segment(query.key)
            request = decode(query.payload, ResetMessage)
        except ProtocolError as error:
            refusal = ResetAck(applied=False, code=EventCode.INVALID_INPUT.value, error=str(error))
            self._publisher.answer(query, refusal)
            return
        session, pipeline = self._sessions.find(client, request.epoch), self._sessions.pipeline
        if isinstance(session, Found) or pipeline is None:
            reason = "this session is not open; open a new one"
            self._publisher.answer(
                query, ResetAck(applied=False, code=EventCode.UNKNOWN_SESSION.value, error=reason)
            )
            return
        pipeline.reset(session, request.episode, lambda ack: self._publisher.answer(query, ack))

    def on_observation(self, sample: Sample) -> None:
        """Pass an observation to the pipeline if its epoch is known. Its key alone may be wrong."""
        try:
            header = decode_header(sample.header)
            client = client_segment(sample.key)
        except ProtocolError as error:
            self._log.malformed(sample.key, str(error))
            return
        if header.kind is not Kind.OBSERVATION or header.seq < 1:
            self._log.malformed(sample.key, f"kind {header.kind}, seq {header.seq}")
            return
        session, pipeline = self._sessions.find(client, header.epoch), self._sessions.pipeline
        if isinstance(session, Found):
            self._turn_away(client, header, session)
        elif pipeline is not None and not self._must_pause(session, header):
            pipeline.submit(session, header, sample.payload)

    def _must_pause(self, session: Session, header: Header) -> bool:
        """Return whether a request is above the quota of its tenant; if so, it is refused here."""
        tenant, now_ns = session.tenant, self._clock.now_ns()
        if tenant.max_requests_per_s is None:
            return False
        with self._lock:
            pause_ns = self._quotas.pause_ns(tenant, session.client, now_ns)
            is_told = pause_ns > 0 and self._refusals.is_due(session.client, now_ns)
        if not pause_ns:
            return False
        self._log.over_quota(session)
        if is_told:  # whoever pauses is always told; whoever does not costs no more than ten events a second
            reason = (
                f"tenant {tenant.name!r} is above its {tenant.max_requests_per_s:g} requests per second; ask "
                f"again in {pause_ns / NS_PER_S:.1f} s, or raise the tenant's max_requests_per_s"
            )
            self._publisher.event(
                session.client, header, EventCode.OVERLOADED, reason, pause_ms=pause_ns / NS_PER_MS
            )
        return True

    def on_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        """Note that the token of a client process appeared or disappeared."""
        try:
            client = client_segment(key)
        except ProtocolError:
            return
        self._sessions.token_changed(client, key.split("/")[-2], is_alive=is_alive)

    # sessions

    def _open(self, query: Query, client: str, request: OpenMessage) -> None:
        try:
            ack = self._sessions.open(client, request)
        except SessionRefusedError as refusal:
            self._refuse_open(query, refusal.code, refusal.reason)
            return
        self._publisher.answer(query, ack)

    def _refuse_open(self, query: Query, code: str, reason: str) -> None:
        self._log.refused(_client_of(query.key), code, reason)
        ack = Ack(accepted=False, code=code, error=reason, capabilities=self._sessions.capabilities())
        self._publisher.answer(query, ack)

    def _close(self, query: Query, client: str, request: CloseMessage) -> None:
        session = self._sessions.find(client, request.epoch)
        if not isinstance(session, Found) and self._sessions.end(session, "by_client"):
            self._publisher.answer(query, Ack(accepted=True))
            return
        reason = "this session is not open"
        self._publisher.answer(query, Ack(accepted=False, code=EventCode.UNKNOWN_SESSION.value, error=reason))

    def _turn_away(self, client: str, header: Header, why: Found) -> None:
        self._log.turned_away(client, why)
        if why is Found.MISROUTED:
            return  # the network's fault: whoever the key names did not send this
        with self._lock:
            is_due = self._reminders.is_due(client, self._clock.now_ns())
        if is_due:
            self._publisher.event(
                client, header, EventCode.UNKNOWN_SESSION, "this session is not open; open a new one"
            )


def _client_of(key: str) -> str:
    try:
        return client_segment(key)
    except ProtocolError:
        return key
