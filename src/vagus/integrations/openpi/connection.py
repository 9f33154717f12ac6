"""WebSocket connection of one client, within bounds: its opening, what it leaves unread, what it floods."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.streams import StreamReader

from vagus.gateways.metrics import GatewayMetrics
from vagus.integrations.openpi.opening import HOW_TO_CONNECT

__all__ = ["ConnectionTimes", "OpenPiConnection", "PendingConnections"]

logger = logging.getLogger(__name__)

METHOD: Final = b"GET "
END_OF_HEAD: Final = b"\r\n\r\n"
MAX_HEAD_BYTES = 1 << 14
"""Longest HTTP request; a client in the field sends 250 bytes."""
MAX_PENDING = 256
"""Connections that are no robots (yet): opening, refused, asking for the health. One takes milliseconds."""
SMALL_BYTES = 1 << 8
"""A frame of fewer bytes costs more than it carries. Some clients cut their messages into frames of 4 kB."""
SMALL_FRAMES, SMALL_FRAMES_PER_S = 64, 20.0
"""Small frames between two messages, at once and in the long run; openpi's clients send a ping in 20 s.

Each may be a ping, whose answer waits in memory for a client that does not read."""

BUSY: Final = "too many connections open here at once; try again later"
ENDING: Final = "this gateway ends"


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """Time limits of a connection, in seconds.

    Attributes:
        open_s: longest opening.
        ping_interval_s: pause between two pings of ours, as in openpi.
        ping_timeout_s: longest wait for a pong; then the client has gone.
        send_s: longest time that a client takes to read its answer.
        close_s: longest wait for the client's part of a close.
        rest_s: how long a robot's session waits for its next connection; longer than a chunk.
    """

    open_s: float = 10.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 20.0
    send_s: float = 10.0
    close_s: float = 2.0
    rest_s: float = 10.0


class PendingConnections:
    """Connections that are no robots (yet), a bounded number: the oldest is refused for the newest.

    Whoever opens many and finishes none so keeps nobody out.
    """

    def __init__(self, most: int = MAX_PENDING) -> None:
        self._most = most
        self._all: OrderedDict[OpenPiConnection, None] = OrderedDict()

    def add(self, connection: OpenPiConnection) -> None:
        """Add a new connection; refuse the oldest if they are too many."""
        self._all[connection] = None
        while len(self._all) > self._most:
            oldest, _ = self._all.popitem(last=False)
            oldest.refuse(HTTPStatus.SERVICE_UNAVAILABLE, BUSY if self._most else ENDING)

    def remove(self, connection: OpenPiConnection) -> None:
        """Remove one that is a robot now, or has gone."""
        self._all.pop(connection, None)

    def refuse_all(self) -> None:
        """Refuse all of them, and those to come: the gateway ends."""
        self._most = 0
        for connection in list(self._all):
            connection.refuse(HTTPStatus.SERVICE_UNAVAILABLE, ENDING)


class OpenPiConnection(ServerConnection):
    """Connection that refuses with a sentence what is no WebSocket, and drops a client that costs others.

    A subclass for each listener sets `times`, `pending` and `metrics`.
    """

    times: ConnectionTimes
    pending: PendingConnections
    metrics: GatewayMetrics
    _head: bytes | None = b""  # None: whole, and handed on
    _is_refused = False
    _small_frames = float(SMALL_FRAMES)  # that it may still send
    _counted_s = 0.0
    _timer: asyncio.TimerHandle | None = None

    def refuse(self, status: HTTPStatus, sentence: str) -> None:
        """Answer what is no request of ours by a sentence; an open WebSocket is dropped."""
        self._stop_timer()
        if self._head is None or self._is_refused:
            self.transport.abort()
            return
        self._is_refused = True
        self.metrics.count("refused_http")
        body = f"{sentence}\n".encode()
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        with contextlib.suppress(OSError):  # it has gone already
            self.transport.write_eof()  # closed at once, what it still sends would wipe out the sentence
        self._timer = self.loop.call_later(self.times.close_s, self.transport.abort)

    async def next_message(self) -> bytes | str:
        """Return the next message.

        Raises:
            websockets.exceptions.ConnectionClosed: the client has gone.
        """
        message: bytes | str = await self.recv()
        self._small_frames = SMALL_FRAMES
        return message

    async def send_within(self, message: bytes | str) -> None:
        """Send a message to a client that reads; drop one that does not.

        Raises:
            websockets.exceptions.ConnectionClosed: the client has gone.
            asyncio.TimeoutError: the client was dropped.
        """
        try:
            await asyncio.wait_for(self.send(message), self.times.send_s)
        except asyncio.TimeoutError:
            self._drop("slow_reader")
            raise

    # -- called by asyncio and by websockets ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to open."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.times.open_s, self._refuse_slow)
        self.pending.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        if self._head is not None:
            data = self._head_from(data)
        begin, size = 0, SMALL_BYTES  # a read may hold 40 000 frames: a flood is seen in the first pieces
        while begin < len(data) and not (self._is_refused or self.transport.is_closing()):
            super().data_received(data[begin : begin + size])
            begin, size = begin + size, 2 * size

    def process_event(self, event: Request | Frame) -> None:  # type: ignore[override] # the base takes more
        """Count the frame."""
        if isinstance(event, Frame) and len(event.data) < SMALL_BYTES and not self._has_room_for_small():
            if not self.transport.is_closing():
                self._drop("flood")
            return
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self.pending.remove(self)
        super().connection_lost(exc)

    def _has_room_for_small(self) -> bool:
        now_s = self.loop.time()
        more = (now_s - self._counted_s) * SMALL_FRAMES_PER_S
        self._small_frames = min(self._small_frames + more, SMALL_FRAMES) - 1
        self._counted_s = now_s
        return self._small_frames >= 0

    # -- opening ----------------------------------------------------------------------------------------

    def _head_from(self, data: bytes) -> bytes:
        """Return the HTTP request once it is whole, else nothing. What is none is refused."""
        if self._is_refused or self._head is None:
            return b""
        self._head += data
        if not METHOD.startswith(self._head[: len(METHOD)]):
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, HOW_TO_CONNECT)
        elif END_OF_HEAD in self._head:
            return self._checked_head(self._head)
        elif len(self._head) > MAX_HEAD_BYTES:
            most = f"wanted a request of at most {MAX_HEAD_BYTES} bytes; {HOW_TO_CONNECT}"
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, most)
        return b""

    def _checked_head(self, head: bytes) -> bytes:
        """Return a request that websockets can read; it would drop another without a word."""
        reader = StreamReader()
        reader.feed_data(head)
        try:
            next(Request.parse(reader.read_line))
        except StopIteration:
            self._stop_timer()
            self._head = None
            return head
        except Exception:  # whatever that reader finds wrong
            logger.debug("no HTTP request from %s", self.remote_address, exc_info=True)
        self.refuse(HTTPStatus.BAD_REQUEST, HOW_TO_CONNECT)
        return b""

    def _refuse_slow(self) -> None:
        self.refuse(
            HTTPStatus.REQUEST_TIMEOUT, f"no whole request in {self.times.open_s:g} s; {HOW_TO_CONNECT}"
        )

    def _drop(self, event: str) -> None:
        self.metrics.count(event)
        self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
