"""Everything that a server sends, on one thread: a slow network never waits in front of the policy."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from vagus.clock import NS_PER_S
from vagus.server.spool import Spool
from vagus.server.telemetry import Telemetry
from vagus.transport.keys import ClientKey, ServerKey
from vagus.transport.link import Delivery, Link, Query
from vagus.wire.codec import encode, encode_header
from vagus.wire.schema import ChunkMessage, EventCode, EventMessage, Header, Kind

__all__ = ["Outbox"]

CAPACITY = 4096
"""Messages that may wait: many more than sessions, since each has one request in flight."""


class Outbox:
    """Publishes chunks and events, and answers queries."""

    def __init__(self, link: Link, server: ServerKey, telemetry: Telemetry) -> None:
        self._link = link
        self._server = server
        self._telemetry = telemetry
        self._spool: Spool[Callable[[], None]] = Spool(
            "vagus-publish",
            self._send,
            capacity=CAPACITY,
            on_drop=lambda: telemetry.count("dropped", "outbox_full"),
            on_error=lambda: telemetry.count("dropped", "publish_error"),
        )

    def start(self) -> None:
        """Start the thread."""
        self._spool.start()

    def stop(self, timeout_s: float) -> None:
        """Send what waits and end the thread."""
        self._spool.stop(timeout_s)

    def chunk(self, client: str, header: Header, message: ChunkMessage) -> bytes:
        """Send a chunk that answers the request with `header`; return its bytes.

        The message is encoded here and now, so its arrays may be reused afterwards.
        """
        return self._publish(client, msgspec.structs.replace(header, kind=Kind.CHUNK), message)

    def event(self, client: str, header: Header, code: EventCode, message: str) -> bytes:
        """Send an event that answers the request with `header` (seq 0: about the session)."""
        event = EventMessage(code=code.value, message=message, seq=header.seq)
        return self._publish(client, msgspec.structs.replace(header, kind=Kind.EVENT), event)

    def answer(self, query: Query, message: msgspec.Struct) -> None:
        """Answer a query."""
        payload = encode(message)
        self._spool.put(lambda: query.reply(payload))

    def _publish(self, client: str, header: Header, message: ChunkMessage | EventMessage) -> bytes:
        key = ClientKey(self._server, client).chunk
        head, payload = encode_header(header), encode(message)
        self._spool.put(
            lambda: self._link.publish(key, header=head, payload=payload, delivery=Delivery.CHUNK)
        )
        return payload

    def _send(self, job: Callable[[], None]) -> None:
        begin_ns = time.perf_counter_ns()
        job()
        self._telemetry.observe("publish", (time.perf_counter_ns() - begin_ns) / NS_PER_S)
