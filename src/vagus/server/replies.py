"""Sends the reply to each request, and records its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vagus.clock import NS_PER_MS
from vagus.errors import ProtocolError
from vagus.quoting import quoted
from vagus.server.outcomes import CHUNK, Outcome, OutcomeLog
from vagus.server.publisher import Publisher
from vagus.server.request_slots import Disposition, QueuedRequest, ReadyRequest
from vagus.server.sessions import Session
from vagus.types import ActionChunk
from vagus.wire.codec import encode_tensor
from vagus.wire.schema import MAX_REASON, ChunkMessage, EventCode, Load

__all__ = ["BatchTiming", "Replies"]


MAX_TEXT = MAX_REASON - 64
"""Leaves room for the words that say that it was cut."""


@dataclass(frozen=True, slots=True)
class BatchTiming:
    """What a batch took.

    Attributes:
        begin_ns: when its rows left the queue.
        inference_ns: time in the policy.
        batch_size: rows; 0: the row did not get as far.
    """

    begin_ns: int
    inference_ns: int = 0
    batch_size: int = 0


class Replies:
    """Sends what a request is answered with, and records what became of it."""

    def __init__(self, publisher: Publisher, outcomes: OutcomeLog, load: Callable[[], Load]) -> None:
        self._publisher = publisher
        self._outcomes = outcomes
        self._load = load

    def chunk(self, session: Session, ready: ReadyRequest, chunk: ActionChunk, cost: BatchTiming) -> None:
        """Send actions."""
        message = ChunkMessage(
            step=chunk.step,
            chunk_model=encode_tensor(chunk.model),
            chunk_robot=encode_tensor(chunk.robot),
            valid_len=len(chunk),
            queue_wait_ms=_queue_wait_ns(ready, cost) / NS_PER_MS,
            decode_ms=ready.decode_ns / NS_PER_MS,
            inference_ms=cost.inference_ns / NS_PER_MS,
            batch_size=cost.batch_size,
            superseded=ready.letter.superseded,
            load=self._load(),
        )
        try:
            reply = self._publisher.chunk(session.client, ready.header, message)
        except ProtocolError as error:
            self.failed_row(session, ready, EventCode.POLICY_ERROR, str(error), cost)
            return
        self._record_row(session, ready, CHUNK, cost, reply=reply)

    def failed_row(
        self, session: Session, ready: ReadyRequest, code: EventCode, message: str, cost: BatchTiming
    ) -> None:
        """Send an event for a request that reached the policy."""
        message = quoted(message, MAX_TEXT)
        reply = self._publisher.event(session.client, ready.header, code, message)
        self._record_row(session, ready, code.value, cost, reply=reply, message=message)

    def dropped_row(self, session: Session, ready: ReadyRequest, why: Disposition, cost: BatchTiming) -> None:
        """Record a request that was inferred and whose answer nobody wants any more."""
        self._record_row(session, ready, why.value, cost)

    def failed(self, session: Session, queued: QueuedRequest, code: EventCode, message: str) -> None:
        """Send an event for a request that never reached the policy."""
        message = quoted(message, MAX_TEXT)
        reply = self._publisher.event(session.client, queued.header, code, message)
        self._record(session, queued, code.value, reply=reply, message=message)

    def dropped(self, session: Session, queued: QueuedRequest, why: Disposition) -> None:
        """Record a request that is not answered, because its sender does not wait for it any more."""
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
            )
        )

    def _record_row(
        self,
        session: Session,
        ready: ReadyRequest,
        result: str,
        cost: BatchTiming,
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
                payload=ready.letter.item.payload,
                reply=reply,
                step=ready.request.step,
                queue_wait_ns=_queue_wait_ns(ready, cost),
                decode_ns=ready.decode_ns,
                inference_ns=cost.inference_ns,
                batch_size=cost.batch_size,
                superseded=ready.letter.superseded,
                traceparent=ready.request.traceparent,
                message=message,
            )
        )


def _queue_wait_ns(ready: ReadyRequest, cost: BatchTiming) -> int:
    return max(cost.begin_ns - ready.letter.arrived_ns - ready.decode_ns, 0)
