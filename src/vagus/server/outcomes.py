"""Log of each request's outcome, for metrics, audit and capture; it waits for none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vagus.clock import NS_PER_S
from vagus.server.metrics import ServerMetrics
from vagus.wire.schema import Header

__all__ = ["Outcome", "OutcomeLog"]

CHUNK = "chunk"
"""The outcome of a request that was answered with actions; all others say why not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request and what became of it.

    Attributes:
        session_id: session, as in logs.
        client: segment of the client in its keys.
        header: the request's header.
        result: "chunk", the code of the event sent, or why nothing was sent.
        payload: the request as it came.
        reply: the answer as it went; empty where none did.
        step: s0, or None where the request could not be read.
        queue_wait_ns: from arrival to batch, without decoding.
        decode_ns: turning bytes into arrays.
        inference_ns: of the whole batch.
        batch_size: rows in the batch; 0: it was in none.
        superseded: older requests that this one replaced.
        traceparent: the client's trace context.
        message: what went wrong, for people.
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


class OutcomeLog:
    """Tells everybody who wants to know about each outcome."""

    def __init__(self, metrics: ServerMetrics, *listeners: Callable[[Outcome], None]) -> None:
        self.metrics = metrics
        self._listeners = listeners

    def record(self, outcome: Outcome) -> None:
        """Count and pass on. Never waits."""
        metrics = self.metrics
        metrics.count("requests", outcome.result)
        if outcome.superseded:
            metrics.count("dropped", "superseded", outcome.superseded)
        if outcome.decode_ns:
            metrics.observe("decode", outcome.decode_ns / NS_PER_S)
        if outcome.batch_size:
            metrics.observe("queue_wait", outcome.queue_wait_ns / NS_PER_S)
        for listener in self._listeners:
            listener(outcome)
