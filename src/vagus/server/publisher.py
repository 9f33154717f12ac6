"""Publisher of all messages of a server, on its own thread, so that a slow network does not delay the policy.

Chunks and events are sent before answers to queries, and these before answers to status queries.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

import msgspec

from vagus.clock import NS_PER_S
from vagus.quoting import quoted
from vagus.server.background_queue import BackgroundQueue, QueueLimits
from vagus.server.metrics import ServerMetrics
from vagus.server.sessions import Session
from vagus.threads import Threads
from vagus.transport.keys import ClientKey, ServerKey
from vagus.transport.link import Delivery, Link, Query
from vagus.wire.codec import encode, encode_header
from vagus.wire.schema import (
    MAX_REASON,
    MAX_WARNING,
    Ack,
    ChunkMessage,
    EventCode,
    EventMessage,
    Header,
    Kind,
    ResetAck,
)

__all__ = ["Publisher"]

CAPACITY = (4096, 1024, 256)
"""Largest number of waiting messages per rank: chunks and events, answers, status."""
MAX_BYTES = 64 << 20
"""Largest size of the waiting messages per rank; a chunk has at most 8 MiB."""
LOST = {"full": "outbox_full", "error": "publish_error"}
SHOWN = 40
"""Characters that `quoted` may add after a cut."""


class Rank(enum.IntEnum):
    """Rank of a message; a lower rank is sent first."""

    CHUNK = 0
    ANSWER = 1
    STATUS = 2


class Publisher:
    """Publisher of chunks, events and answers to queries. It cuts their texts to the limits of the wire.

    Attributes:
        link: the network link.
        server: keys of this server.
        metrics: metrics of the server.
    """

    def __init__(self, link: Link, server: ServerKey, metrics: ServerMetrics, threads: Threads) -> None:
        self.link = link
        self.server = server
        self.metrics = metrics
        self._background: BackgroundQueue[Callable[[], None]] = BackgroundQueue(
            "vagus-publish",
            self._send,
            threads=threads,
            limits=QueueLimits(CAPACITY, MAX_BYTES),
            on_lost=lambda why: metrics.count("dropped", LOST[why]),
        )

    def start(self) -> None:
        """Start the thread."""
        self._background.start()

    def stop(self, timeout_s: float) -> None:
        """Send the waiting messages and end the thread."""
        self._background.stop(timeout_s)

    def chunk(self, client: str, header: Header, message: ChunkMessage) -> bytes:
        """Send a chunk that answers the request with `header`; return its bytes.

        The message is encoded before the return, so its arrays may be reused.

        Raises:
            ProtocolError: the message is larger than the limit of a chunk.
        """
        return self._publish(client, msgspec.structs.replace(header, kind=Kind.CHUNK), message)

    def event(
        self,
        client: str,
        header: Header,
        code: EventCode,
        message: str,
        *,
        target: str = "",
        pause_ms: float = 0.0,
    ) -> bytes:
        """Send an event that answers the request with `header` (seq 0: the event is about the session).

        `target` is the server that a robot is invited to, with EventCode.MOVE; `pause_ms` is the time until
        it may ask again, with EventCode.OVERLOADED.
        """
        event = EventMessage(
            code=code.value,
            message=_shown(message, MAX_REASON),
            seq=header.seq,
            target=target,
            pause_ms=pause_ms,
        )
        return self._publish(client, msgspec.structs.replace(header, kind=Kind.EVENT), event)

    def about_session(self, session: Session, code: EventCode, message: str, *, target: str = "") -> None:
        """Send an event about a session itself, which answers no request."""
        header = Header(Kind.EVENT, seq=0, episode=0, client_mono_ns=0, epoch=session.epoch)
        self.event(session.client, header, code, message, target=target)

    def answer(self, query: Query, message: Ack | ResetAck) -> None:
        """Answer a query."""
        self._answer(query, encode(_fit(message)), Rank.ANSWER)

    def status(self, query: Query, payload: bytes) -> None:
        """Answer a status query, after all other messages."""
        self._answer(query, payload, Rank.STATUS)

    def _answer(self, query: Query, payload: bytes, rank: Rank) -> None:
        if not self._background.put(lambda: query.reply(payload), rank=rank, size_bytes=len(payload)):
            query.drop()

    def _publish(self, client: str, header: Header, message: ChunkMessage | EventMessage) -> bytes:
        key = ClientKey(self.server, client).chunk
        head, payload = encode_header(header), encode(message)
        self._background.put(
            lambda: self.link.publish(key, header=head, payload=payload, delivery=Delivery.CHUNK),
            rank=Rank.CHUNK,
            size_bytes=len(payload),
        )
        return payload

    def _send(self, job: Callable[[], None]) -> None:
        begin_ns = time.perf_counter_ns()
        job()
        self.metrics.observe("publish", (time.perf_counter_ns() - begin_ns) / NS_PER_S)


def _fit(message: Ack | ResetAck) -> Ack | ResetAck:
    """Return the answer with texts that can be encoded and are within the limits of the schema."""
    error = _shown(message.error, MAX_REASON)
    if isinstance(message, ResetAck):
        return msgspec.structs.replace(message, error=error)
    warnings = tuple(_shown(warning, MAX_WARNING) for warning in message.warnings)
    return msgspec.structs.replace(message, error=error, warnings=warnings)


def _shown(text: str, limit: int) -> str:
    return quoted(text, limit - SHOWN)
