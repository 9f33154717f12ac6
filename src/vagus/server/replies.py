"""Replies to requests, and the record of each outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import ProtocolError
from vagus.quoting import quoted
from vagus.server.mailbox import QueuedRequest
from vagus.server.metrics import ServerMetrics
from vagus.server.pacing import Pacing
from vagus.server.publisher import Publisher
from vagus.server.request_slots import Disposition
from vagus.server.sessions import Opening, Session
from vagus.server.slot import ReadyRequest
from vagus.types import ActionChunk, Prefix
from vagus.wire.codec import encode_tensor
from vagus.wire.schema import MAX_REASON, ChunkMessage, EventCode, Header, Load

__all__ = ["Outcome", "OutcomeLog", "Replies", "RowCost"]

CHUNK = "chunk"
"""Result of a request that was answered with actions; every other result is the reason why not."""
MAX_TEXT = MAX_REASON - 64
"""Longest text of an event; leaves room for a note that it was cut."""


@dataclass(frozen=True, slots=True)
class RowCost:
    """What a row of a batch cost.

    Attributes:
        begin_ns: time at which the rows of the batch left the queue.
        inference_ns: time of the whole batch in the policy, after which its rows are answered.
        batch_size: rows in the forward pass that the row was in; 0: it was in none.
        extended: the plan that the row continued, where the robot awaited others; None: as it was sent.
    """

    begin_ns: int
    inference_ns: int = 0
    batch_size: int = 0
    extended: Prefix | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one request.

    Attributes:
        session_id: name of the session in logs.
        client: segment of the client in its keys.
        tenant: tenant of the client, or "" without tenants.
        extended: as in `RowCost`.
        header: header of the request.
        result: "chunk", the code of the event that was sent, or the reason why nothing was sent.
        payload: bytes of the request.
        reply: bytes of the answer; empty without an answer.
        step: s0, or None if the request did not reach the policy.
        queue_wait_ns: time from arrival to the start of the batch, without decoding.
        decode_ns: time to decode the request.
        inference_ns: inference time of the whole batch.
        batch_size: rows in the forward pass that the request was in; 0: it was in none.
        superseded: number of older requests that this one replaced.
        traceparent: trace context of the client.
        message: reason of a failure, for people.
        opening: how the session was opened.
    """

    session_id: str
    client: str
    header: Header
    result: str
    payload: bytes
    reply: bytes = b""
    step: int | None = None
    queue_wait_ns: int = 0
    decode_ns: int = 0
    inference_ns: int = 0
    batch_size: int = 0
    superseded: int = 0
    traceparent: str | None = None
    message: str = ""
    opening: Opening | None = None
    tenant: str = ""
    extended: Prefix | None = None


class OutcomeLog:
    """Log of outcomes, which passes each outcome to metrics, audit and capture."""

    def __init__(self, metrics: ServerMetrics, *listeners: Callable[[Outcome], None]) -> None:
        self.metrics = metrics
        self._listeners = listeners

    def record(self, outcome: Outcome) -> None:
        """Count an outcome and pass it on. Never waits."""
        metrics = self.metrics
        metrics.count("requests", outcome.result)
        if outcome.superseded:
            metrics.count("dropped", "superseded", outcome.superseded)
        if outcome.decode_ns:
            metrics.observe("decode", outcome.decode_ns / NS_PER_S)
        if outcome.step is not None:
            metrics.observe("queue_wait", outcome.queue_wait_ns / NS_PER_S)
        for listener in self._listeners:
            listener(outcome)


class Replies:
    """Sender of the reply to each request, which also records the outcome."""

    def __init__(
        self, publisher: Publisher, outcomes: OutcomeLog, load: Callable[[], Load], pacing: Pacing
    ) -> None:
        self._publisher = publisher
        self._outcomes = outcomes
        self._load = load
        self._pacing = pacing

    @property
    def metrics(self) -> ServerMetrics:
        """Metrics of the server."""
        return self._outcomes.metrics

    def chunk(self, session: Session, ready: ReadyRequest, chunk: ActionChunk, cost: RowCost) -> None:
        """Send a chunk."""
        message = ChunkMessage(
            step=chunk.step,
            chunk_model=encode_tensor(chunk.model),
            chunk_robot=encode_tensor(chunk.robot),
            valid_len=len(chunk),
            queue_wait_ms=_queue_wait_ns(ready, cost) / NS_PER_MS,
            decode_ms=ready.decode_ns / NS_PER_MS,
            inference_ms=cost.inference_ns / NS_PER_MS,
            batch_size=cost.batch_size,
            superseded=ready.queued.superseded,
            load=self._load(),
            min_interval_ms=self._pacing.answered(
                session, ready, begin_ns=cost.begin_ns, batch_ns=cost.inference_ns
            ),
        )
        try:
            reply = self._publisher.chunk(session.client, ready.header, message)
        except ProtocolError as error:
            self.failed_row(session, ready, EventCode.POLICY_ERROR, str(error), cost)
            return
        session.slack_ns = round(ready.request.slack_ms * NS_PER_MS)
        took_ns = cost.begin_ns + cost.inference_ns - ready.queued.arrived_ns
        session.round_trip_ns = took_ns + round(max(ready.request.network_ms, 0.0) * NS_PER_MS)
        self._record_row(session, ready, CHUNK, cost, reply=reply)

    def failed_row(
        self, session: Session, ready: ReadyRequest, code: EventCode, message: str, cost: RowCost
    ) -> None:
        """Send an event for a request that reached the policy."""
        message = quoted(message, MAX_TEXT)
        reply = self._publisher.event(session.client, ready.header, code, message)
        self._record_row(session, ready, code.value, cost, reply=reply, message=message)

    def dropped_row(self, session: Session, ready: ReadyRequest, why: Disposition, cost: RowCost) -> None:
        """Record a request that was inferred, but whose answer is not needed any more."""
        self._record_row(session, ready, why.value, cost)

    def failed(self, session: Session, queued: QueuedRequest, code: EventCode, message: str) -> None:
        """Send an event for a request that did not reach the policy."""
        message = quoted(message, MAX_TEXT)
        reply = self._publisher.event(session.client, queued.header, code, message)
        self._record(session, queued, code.value, reply=reply, message=message)

    def dropped(self, session: Session, queued: QueuedRequest, why: Disposition) -> None:
        """Record a request that gets no answer, because its sender does not wait for one any more."""
        self._record(session, queued, why.value)

    def _record(
        self, session: Session, queued: QueuedRequest, result: str, *, reply: bytes = b"", message: str = ""
    ) -> None:
        self._outcomes.record(
            Outcome(
                session_id=session.session_id,
                client=session.client,
                header=queued.header,
                result=result,
                payload=queued.payload,
                reply=reply,
                message=message,
                opening=session.opening,
                tenant=session.tenant.label,
            )
        )

    def _record_row(
        self,
        session: Session,
        ready: ReadyRequest,
        result: str,
        cost: RowCost,
        *,
        reply: bytes = b"",
        message: str = "",
    ) -> None:
        self._outcomes.record(
            Outcome(
                session_id=session.session_id,
                client=session.client,
                header=ready.header,
                result=result,
                payload=ready.queued.payload,
                reply=reply,
                step=ready.request.step,
                queue_wait_ns=_queue_wait_ns(ready, cost),
                decode_ns=ready.decode_ns,
                inference_ns=cost.inference_ns,
                batch_size=cost.batch_size,
                superseded=ready.queued.superseded,
                traceparent=ready.request.traceparent,
                message=message,
                opening=session.opening,
                tenant=session.tenant.label,
                extended=cost.extended,
            )
        )


def _queue_wait_ns(ready: ReadyRequest, cost: RowCost) -> int:
    return max(cost.begin_ns - ready.queued.arrived_ns - ready.decode_ns, 0)
