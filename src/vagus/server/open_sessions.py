"""Open sessions of a server, each with its slot in the pipeline; the threads of the link share them."""

from __future__ import annotations

import secrets
import threading
from typing import Generic, TypeVar

from vagus.clock import Clock, seconds_to_ns
from vagus.errors import SessionRefusedError
from vagus.server.config import ServeConfig
from vagus.server.pipeline import Pipeline
from vagus.server.session_admission import SessionAdmission, device_demand
from vagus.server.session_log import SessionLog
from vagus.server.sessions import EpochSource, Found, Opening, Session, SessionTable
from vagus.server.tenants import TenantTable
from vagus.server.validate import Offer, Terms, check_open
from vagus.wire.schema import Ack, Capabilities, EventCode, OpenMessage

__all__ = ["OpenSessions"]

SessionT = TypeVar("SessionT")


class OpenSessions(Generic[SessionT]):
    """Sessions from open to close. Any thread may call it; only `open` may take a while.

    Args:
        config: settings of the server.
        tenants: who belongs to whom.
        log: log of the sessions.
        clock: monotonic clock.
    """

    def __init__(self, config: ServeConfig, tenants: TenantTable, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._table = SessionTable(
            max_sessions=config.max_sessions,
            grace_ns=seconds_to_ns(config.client_grace_s),
            idle_ns=seconds_to_ns(config.session_idle_timeout_s),
            tenants=tenants,
        )
        self._admission = SessionAdmission(config)
        self._epochs = EpochSource(secrets.token_bytes(16))
        self._pipeline: Pipeline[SessionT] | None = None
        self._offer: Offer | None = None
        self._closed_code = EventCode.NOT_READY

    def __len__(self) -> int:
        with self._lock:
            return len(self._table)

    def count(self, tenant: str) -> int:
        """Return the number of open sessions of a tenant."""
        with self._lock:
            return self._table.count(tenant)

    @property
    def pipeline(self) -> Pipeline[SessionT] | None:
        """The pipeline that serves them; None before the first session."""
        return self._pipeline

    def admit(
        self, pipeline: Pipeline[SessionT], offer: Offer, *, max_sessions: int, exclusive_because: str = ""
    ) -> None:
        """Accept sessions from now on; only one session if a reason for this is given."""
        with self._lock:
            self._table.max_sessions = max_sessions
            self._table.exclusive_because = exclusive_because
            self._pipeline, self._offer = pipeline, offer

    def refuse(self) -> tuple[Session, ...]:
        """Accept no more sessions; return the open ones."""
        with self._lock:
            self._offer = None
            self._closed_code = EventCode.DRAINING
            return tuple(self._table)

    def all(self) -> tuple[Session, ...]:
        """Return the open sessions."""
        with self._lock:
            return tuple(self._table)

    def open(self, client: str, request: OpenMessage) -> Ack:
        """Open a session, which replaces one of the same process; return the answer to the client.

        Raises:
            SessionRefusedError: the session is refused.
        """
        with self._lock:
            offer, _ = self._open_offer()
        terms = check_open(request, offer)  # may take a while, so nobody waits for it
        terms = self._admitted(client, request, terms)
        with self._lock:
            offer, pipeline = self._open_offer()
            session, old = self._table.open(
                client, request.instance, self._epochs.take(), self._clock.now_ns()
            )
            pipeline.open(session, terms)
            if old is not None:
                pipeline.close(old)
        if old is not None:
            self._log.closed(old, "replaced")
        self._log.opened(session, request, terms, old)
        ack = _ack(session, terms, pipeline.present(offer.capabilities))
        session.opening = Opening(request, ack)  # before the client can know the epoch, so before any request
        self._note_demand()
        return ack

    def _admitted(self, client: str, request: OpenMessage, terms: Terms) -> Terms:
        """Return the terms with what the admission adds; sessions are opened one after the other.

        Raises:
            SessionRefusedError: the client cannot have a session, or the device cannot bear one more robot.
        """
        now_ns = self._clock.now_ns()
        with self._lock:
            offer, pipeline = self._open_offer()
            self._table.check_open(client, request.instance, now_ns)
            others = [session for session in self._table if session.client != client]
        return self._admission.admitted(
            request,
            terms,
            others=others,
            served=pipeline.present(offer.capabilities),
            max_batch=pipeline.max_batch,
            now_ns=now_ns,
        )

    def _note_demand(self) -> None:
        with self._lock:
            offer, pipeline, sessions = self._offer, self._pipeline, tuple(self._table)
        if offer is not None and pipeline is not None:
            served = pipeline.present(offer.capabilities)
            pipeline.note_demand(device_demand(sessions, served, max_batch=pipeline.max_batch))

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

    def capabilities(self) -> Capabilities | None:
        """Return what is offered to clients, with the load; None while no sessions are accepted."""
        with self._lock:
            offer, pipeline = self._offer, self._pipeline
        if offer is None or pipeline is None:
            return None
        return pipeline.present(offer.capabilities)

    def find(self, client: str, epoch: int) -> Session | Found:
        """Return the client's session if the epoch matches, and note the time of this message."""
        now_ns = self._clock.now_ns()
        with self._lock:
            session = self._table.find(client, epoch)
            if not isinstance(session, Found):
                session.heard_ns = now_ns
        return session

    def end(self, session: Session, why: str) -> bool:
        """Close exactly this session, not a session that replaced it; return whether it was open."""
        with self._lock:
            is_closed = self._table.close(session)
            pipeline = self._pipeline
        if is_closed and pipeline is not None:
            pipeline.close(session)
            self._log.closed(session, why)
            self._note_demand()
        return is_closed

    def token_changed(self, client: str, instance: str, *, is_alive: bool) -> None:
        """Note that the token of a client process appeared or disappeared."""
        with self._lock:
            self._table.token_changed(client, instance, self._clock.now_ns(), is_alive=is_alive)

    def suspects(self) -> set[Session]:
        """Return the sessions whose client is gone or silent, so that the network must be asked."""
        now_ns = self._clock.now_ns()
        with self._lock:
            return {*self._table.silent(now_ns), *self._table.gone(now_ns)}

    def looked_for(self, session: Session, *, is_there: bool) -> str | None:
        """Note the network's answer about a token; return why the session is over, or None if it is not."""
        with self._lock:
            return self._table.looked_for(session, self._clock.now_ns(), is_there=is_there)


def _ack(session: Session, terms: Terms, capabilities: Capabilities) -> Ack:
    return Ack(
        accepted=True,
        warnings=terms.warnings,
        session_id=session.session_id,
        epoch=session.epoch,
        image_codec=terms.image_codec,
        execute_horizon=terms.execute_horizon,
        capabilities=capabilities,
    )
