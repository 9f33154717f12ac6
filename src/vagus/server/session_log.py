"""Log of sessions for console, audit and metrics; repeated events are counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from vagus.clock import NS_PER_S, Clock
from vagus.quoting import quoted
from vagus.repeats import Repeat, Repeats
from vagus.server.audit import AuditEvent, stamp
from vagus.server.metrics import ServerMetrics
from vagus.server.sessions import Found, Session
from vagus.server.tenant_metrics import TenantMetrics
from vagus.server.validate import Terms
from vagus.wire.schema import OpenMessage

__all__ = ["SessionLog"]

INTERVAL_NS = 10 * NS_PER_S
BURST = 10
"""Events of one client's sessions that are logged one by one within an interval."""
MAX_CLIENTS = 128
"""Largest number of clients that are logged within one interval, because clients choose their names."""
MAX_NAME = 100
MAX_REASON = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refused:
    client: str
    code: str


class SessionLog:
    """Log of session events. Any thread may call it; it never waits.

    Args:
        metrics: counters of the events.
        tenant_metrics: counters of each tenant.
        record: function that takes the audit lines.
        clock: monotonic clock.
    """

    def __init__(
        self,
        metrics: ServerMetrics,
        tenant_metrics: TenantMetrics,
        record: Callable[[AuditEvent], None],
        clock: Clock,
    ) -> None:
        self._metrics = metrics
        self._tenant_metrics = tenant_metrics
        self._record = record
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: Repeats[tuple[str, str]] = Repeats(
            interval_ns=INTERVAL_NS, max_keys=MAX_CLIENTS, burst=BURST
        )
        self._refused: Repeats[_Refused] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_CLIENTS)
        self._over: Repeats[tuple[str, str]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_CLIENTS)
        self._strays: Repeats[tuple[str, Found]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_CLIENTS)

    def opened(self, session: Session, request: OpenMessage, terms: Terms, replaced: Session | None) -> None:
        """Log that a session was accepted."""
        self._metrics.count("opens", "accepted")
        repeat = self._turn(session, "opened")
        if repeat is None:
            return
        event = AuditEvent(
            ts=stamp(),
            event="opened",
            session=quoted(session.session_id, MAX_NAME),
            client=quoted(session.client, MAX_NAME),
            epoch=session.epoch,
            instance=session.instance,
            robot_type=quoted(request.robot_type, MAX_NAME),
            tags={quoted(name, MAX_NAME): quoted(text, MAX_NAME) for name, text in request.tags.items()},
            trust_units=request.trust_units,
            vouched=tuple(quoted(said, MAX_NAME) for said in (*terms.vouched, *request.vouched)),
            image_codec=terms.image_codec,
            uses_rtc=terms.uses_rtc,
            tenant=session.tenant.label,
            replaces="" if replaced is None else quoted(replaced.session_id, MAX_NAME),
            count=repeat.count,
        )
        self._record(event)
        logger.info(
            "session %s opened: robot %s, instance %s, tags %s, %s frames%s%s%s%s",
            event.session,
            event.robot_type,
            event.instance,
            event.tags,
            event.image_codec,
            f", tenant {event.tenant}" if event.tenant else "",
            f", vouched for: {list(event.vouched)}" if event.vouched else "",
            f", replaces {event.replaces}" if event.replaces else "",
            repeat.times,
        )
        for warning in terms.warnings:
            logger.info("session %s: %s", event.session, quoted(warning, MAX_REASON))

    def refused(self, client: str, code: str, reason: str) -> None:
        """Log that a session was refused."""
        self._metrics.count("opens", code)
        refused = _Refused(client, code)
        with self._lock:
            repeat = self._refused.note(refused, self._clock.now_ns())
        if repeat is not None:
            self._tell_refused(refused, quoted(reason, MAX_REASON), repeat)

    def closed(self, session: Session, why: str) -> None:
        """Log that a session ended."""
        self._metrics.count("closed", why)
        repeat = self._turn(session, "closed")
        if repeat is None:
            return
        name = quoted(session.session_id, MAX_NAME)
        client = quoted(session.client, MAX_NAME)
        self._record(
            AuditEvent(
                ts=stamp(),
                event="closed",
                session=name,
                client=client,
                epoch=session.epoch,
                code=why,
                tenant=session.tenant.label,
                count=repeat.count,
            )
        )
        logger.info("session %s closed: %s%s", name, why, repeat.times)

    def over_quota(self, session: Session) -> None:
        """Log that a request was above the quota of its tenant."""
        self._metrics.count("dropped", "over_quota")
        tenant, client = session.tenant.label, session.client
        self._tenant_metrics.over_quota(tenant)
        with self._lock:
            repeat = self._over.note((tenant, client), self._clock.now_ns())
        if repeat is not None:
            self._tell_over(tenant, client, repeat)

    def turned_away(self, client: str, why: Found) -> None:
        """Log a message that belongs to no session of the client in its key."""
        self._metrics.count("dropped", why.value)
        with self._lock:
            repeat = self._strays.note((client, why), self._clock.now_ns())
        if repeat is not None:
            self._tell_stray(client, why, repeat)

    def malformed(self, key: str, reason: str) -> None:
        """Log a message that could not be decoded."""
        self._metrics.count("dropped", "malformed_header")
        logger.debug("dropped a message under %s: %s", quoted(key), reason)

    def draining(self, sessions: int) -> None:
        """Log that open sessions are told to use another server."""
        self._record(AuditEvent(ts=stamp(), event="draining", count=sessions))
        logger.info("draining: %d sessions are sent elsewhere", sessions)

    def stopped(self, sessions: int) -> None:
        """Log that the server ends, with the sessions that are still open."""
        self._record(AuditEvent(ts=stamp(), event="stopped", count=sessions))

    def catch_up(self) -> None:
        """Log the counts of repeated events that have stopped. Call it from time to time."""
        now_ns = self._clock.now_ns()
        with self._lock:
            refused, strays = self._refused.overdue(now_ns), self._strays.overdue(now_ns)
            over = self._over.overdue(now_ns)
        for refusal, repeat in refused:
            self._tell_refused(refusal, "as before", repeat)
        for (client, why), repeat in strays:
            self._tell_stray(client, why, repeat)
        for (tenant, client), repeat in over:
            self._tell_over(tenant, client, repeat)

    def _turn(self, session: Session, what: str) -> Repeat | None:
        with self._lock:
            return self._turns.note((session.client, what), self._clock.now_ns())

    def _tell_refused(self, refused: _Refused, reason: str, repeat: Repeat) -> None:
        client = quoted(refused.client, MAX_NAME)
        self._record(
            AuditEvent(
                ts=stamp(),
                event="refused",
                client=client,
                code=refused.code,
                reason=reason,
                count=repeat.count,
            )
        )
        logger.info("session of %s refused (%s): %s%s", client, refused.code, reason, repeat.times)

    def _tell_over(self, tenant: str, client: str, repeat: Repeat) -> None:
        name = quoted(client, MAX_NAME)
        self._record(
            AuditEvent(ts=stamp(), event="over_quota", client=name, tenant=tenant, count=repeat.count)
        )
        logger.info("request of %s is above the quota of tenant %s%s", name, tenant, repeat.times)

    def _tell_stray(self, client: str, why: Found, repeat: Repeat) -> None:
        name = quoted(client, MAX_NAME)
        self._record(AuditEvent(ts=stamp(), event=why.value, client=name, count=repeat.count))
        logger.info("message of %s dropped: %s%s", name, why.value, repeat.times)
