"""Link callbacks of the server: open, close, reset, observation, liveliness.

The callbacks return at once: a thread of its own answers the session requests. Only `sweep` may wait.
"""

from __future__ import annotations

import secrets
import threading
from typing import Generic, TypeVar

from msgspec import structs

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.errors import LinkError, ProtocolError, SessionRefusedError
from vagus.server.config import ServeConfig
from vagus.server.pipeline import Pipeline
from vagus.server.publisher import Publisher
from vagus.server.session_log import SessionLog
from vagus.server.session_requests import OPENS_PER_S, SessionRequests
from vagus.server.sessions import EpochSource, Found, Opening, Reminders, Session, SessionTable
from vagus.server.validate import Offer, check_open
from vagus.threads import Threads
from vagus.transport.keys import ClientKey, ServerKey, client_segment
from vagus.transport.link import Link, Query, Sample
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

MAX_REMINDED = 256
"""Largest number of unknown clients that are remembered."""

CLOSED = {
    "gone": "this session was closed, because its client's token was gone; open a new one",
    "idle": "this session was closed, because its client was silent and has no token; open a new one",
    "no_token": "this session was closed: a client without a token must not be silent; open a new one",
}

TOO_OFTEN = (
    f"this client requests sessions more than {OPENS_PER_S:g} times a second, or too many requests wait; "
    "ask again in some seconds"
)

CONFIRM_TIMEOUT_S = 1.0
"""Longest wait for the network's answer whether a client is really gone."""


class Endpoints(Generic[SessionT]):
    """Callbacks of the link, which check each message and pass it to the pipeline.

    Args:
        link: the network link.
        server: keys of this server.
        config: settings of the server.
        publisher: publisher of the answers.
        log: log of the sessions.
        threads: the threads of the server, to which the own thread is added, and their clock.
    """

    def __init__(
        self,
        link: Link,
        server: ServerKey,
        config: ServeConfig,
        *,
        publisher: Publisher,
        log: SessionLog,
        threads: Threads,
    ) -> None:
        self._link = link
        self._server = server
        self._publisher = publisher
        self._log = log
        self._clock = threads.clock
        self._lock = threading.Lock()
        self._desk = SessionRequests(self._answer_session, threads)
        self._sessions = SessionTable(
            max_sessions=config.max_sessions,
            grace_ns=seconds_to_ns(config.client_grace_s),
            idle_ns=seconds_to_ns(config.session_idle_timeout_s),
        )
        self._epochs = EpochSource(secrets.token_bytes(16))
        self._reminders = Reminders(interval_ns=REMINDER_NS, max_clients=MAX_REMINDED)
        self._pipeline: Pipeline[SessionT] | None = None
        self._offer: Offer | None = None
        self._closed_code = EventCode.NOT_READY

    def admit(
        self, pipeline: Pipeline[SessionT], offer: Offer, *, max_sessions: int, exclusive_because: str = ""
    ) -> None:
        """Accept sessions from now on; only one session if a reason for this is given."""
        with self._lock:
            self._sessions.max_sessions = max_sessions
            self._sessions.exclusive_because = exclusive_because
            self._pipeline, self._offer = pipeline, offer

    def refuse(self) -> None:
        """Accept no more sessions, and tell the open sessions to connect to another server."""
        with self._lock:
            self._offer = None
            self._closed_code = EventCode.DRAINING
            sessions = tuple(self._sessions)
        self._log.draining(len(sessions))
        for session in sessions:
            self._tell(session, EventCode.DRAINING, "the server is draining; connect to another replica")

    def _tell(self, session: Session, code: EventCode, message: str) -> None:
        """Send an event about the session itself."""
        header = Header(Kind.EVENT, seq=0, episode=0, client_mono_ns=0, epoch=session.epoch)
        self._publisher.event(session.client, header, code, message)

    def __len__(self) -> int:
        with self._lock:
            return len(self._sessions)

    def start(self) -> None:
        """Start the thread that answers session requests."""
        self._desk.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread that answers session requests."""
        self._desk.stop(timeout_s)

    # what the link calls

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
        session = self._find(client, request.epoch)
        if isinstance(session, Found) or self._pipeline is None:
            reason = "this session is not open; open a new one"
            self._publisher.answer(
                query, ResetAck(applied=False, code=EventCode.UNKNOWN_SESSION.value, error=reason)
            )
            return
        self._pipeline.reset(session, request.episode, lambda ack: self._publisher.answer(query, ack))

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
        session = self._find(client, header.epoch)
        if isinstance(session, Found):
            self._turn_away(client, header, session)
        elif self._pipeline is not None:
            self._pipeline.submit(session, header, sample.payload)

    def on_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        """Note that the token of a client process appeared or disappeared."""
        try:
            client = client_segment(key)
        except ProtocolError:
            return
        instance = key.split("/")[-2]
        with self._lock:
            self._sessions.token_changed(client, instance, self._clock.now_ns(), is_alive=is_alive)

    # the sweeper

    def sweep(self) -> None:
        """Close the sessions of clients that are gone or that have sent nothing for too long."""
        self._log.catch_up()
        now_ns = self._clock.now_ns()
        with self._lock:
            suspects = {*self._sessions.silent(now_ns), *self._sessions.gone(now_ns)}
        for session in suspects:
            why = self._why_gone(session)
            if why is not None and self._end(session, why):
                self._tell(session, EventCode.UNKNOWN_SESSION, CLOSED[why])

    def _why_gone(self, session: Session) -> str | None:
        """Return the reason to close a session, or None if the network has its token or a message came."""
        key = ClientKey(self._server, session.client).alive(session.instance)
        try:
            is_alive = key in self._link.tokens(key, timeout_s=CONFIRM_TIMEOUT_S)
        except LinkError:
            return None  # we cannot know, so nobody is closed
        if is_alive:
            self.on_token(key, True)  # noqa: FBT003 - the link's signature
        with self._lock:
            return self._sessions.looked_for(session, self._clock.now_ns(), is_there=is_alive)

    def _end(self, session: Session, why: str) -> bool:
        """Close exactly this session, not a session that replaced it."""
        with self._lock:
            is_closed = self._sessions.close(session)
            pipeline = self._pipeline
        if is_closed and pipeline is not None:
            pipeline.close(session)
            self._log.closed(session, why)
        return is_closed

    # sessions

    def _open(self, query: Query, client: str, request: OpenMessage) -> None:
        try:
            ack = self._opened(client, request)
        except SessionRefusedError as refusal:
            self._refuse_open(query, refusal.code, refusal.reason)
            return
        self._publisher.answer(query, ack)

    def _opened(self, client: str, request: OpenMessage) -> Ack:
        """Return the positive answer to a session open.

        Raises:
            SessionRefusedError: the session is refused.
        """
        with self._lock:
            offer, _ = self._open_offer()
        terms = check_open(request, offer)  # may take a while, so nobody waits for it
        with self._lock:
            offer, pipeline = self._open_offer()
            session, old = self._sessions.open(
                client, request.instance, self._epochs.take(), self._clock.now_ns()
            )
            pipeline.open(session, terms)
            if old is not None:
                pipeline.close(old)
        if old is not None:
            self._log.closed(old, "replaced")
        self._log.opened(session, request, terms, old)
        ack = Ack(
            accepted=True,
            warnings=terms.warnings,
            session_id=session.session_id,
            epoch=session.epoch,
            image_codec=terms.image_codec,
            capabilities=structs.replace(offer.capabilities, load=pipeline.load()),
        )
        session.opening = Opening(request, ack)  # before the client can know the epoch, so before any request
        return ack

    def _open_offer(self) -> tuple[Offer, Pipeline[SessionT]]:
        """Return the offer to clients, and the service that is served.

        Raises:
            SessionRefusedError: the server accepts no sessions now.
        """
        offer, pipeline = self._offer, self._pipeline
        if offer is None or pipeline is None:
            reason = (
                "the server is loading"
                if pipeline is None
                else "the server is draining; connect to another replica"
            )
            raise SessionRefusedError(self._closed_code.value, reason)
        return offer, pipeline

    def _refuse_open(self, query: Query, code: str, reason: str) -> None:
        self._log.refused(_client_of(query.key), code, reason)
        with self._lock:
            offer, pipeline = self._offer, self._pipeline
        capabilities = None
        if offer is not None and pipeline is not None:
            capabilities = structs.replace(offer.capabilities, load=pipeline.load())
        self._publisher.answer(query, Ack(accepted=False, code=code, error=reason, capabilities=capabilities))

    def _close(self, query: Query, client: str, request: CloseMessage) -> None:
        session = self._find(client, request.epoch)
        if not isinstance(session, Found) and self._end(session, "by_client"):
            self._publisher.answer(query, Ack(accepted=True))
            return
        reason = "this session is not open"
        self._publisher.answer(query, Ack(accepted=False, code=EventCode.UNKNOWN_SESSION.value, error=reason))

    def _find(self, client: str, epoch: int) -> Session | Found:
        """Return the client's session if the epoch matches, and note the time of this message."""
        now_ns = self._clock.now_ns()
        with self._lock:
            session = self._sessions.find(client, epoch)
            if not isinstance(session, Found):
                session.heard_ns = now_ns
        return session

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
