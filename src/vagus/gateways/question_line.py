"""One TCP connection on which questions are asked one after the other, each with a deadline."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from vagus.clock import monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import LinkError, ProtocolError, QueryTimeoutError
from vagus.gateways.foreign_address import ForeignAddress

__all__ = ["QuestionEnd", "QuestionLine", "WireReply"]

RECEIVE_BYTES: Final = 1 << 18
SHORTEST_WAIT_S: Final = 0.001
"""A socket that waits for 0 s does not wait at all, and raises another error."""


class WireReply(Protocol):
    """One answer as it came."""

    @property
    def payload(self) -> memoryview:
        """The answer; a view that belongs to the receiver."""
        ...

    @property
    def refused(self) -> str:
        """Why there is no answer in it; "": there is."""
        ...


class QuestionEnd(Protocol):
    """The client's end of one connection, in the bytes of its wire (pure)."""

    @property
    def is_ready(self) -> bool:
        """Whether a question may be asked: the server is known, and owes nothing."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether no more can be asked on this connection."""
        ...

    def ask(self, payload: bytes) -> None:
        """Send a question."""
        ...

    def receive(self, data: bytes) -> Sequence[WireReply]:
        """Return the answers that end in `data`; b"": the server sends no more.

        Raises:
            ProtocolError: the wire is another one.
        """
        ...

    def bytes_to_send(self) -> bytes:
        """Return what the server must be told by now, once."""
        ...


class QuestionLine:
    """A connection to one process; it never connects again, as another process would answer.

    Used by one thread. After an error it is to be closed.

    Args:
        connection: a connected socket; closed by `close`.
        end: our end of the wire.
    """

    def __init__(self, connection: socket.socket, end: QuestionEnd) -> None:
        self._socket = connection
        self._end = end
        self._is_lost = False

    @classmethod
    def connect(cls, address: ForeignAddress, end: QuestionEnd, timeout_s: float) -> QuestionLine:
        """Return a connection on which questions may be asked.

        Raises:
            LinkError: none, or the server does not introduce itself in time.
            ProtocolError: it speaks another wire.
        """
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        try:
            wait_s = max(timeout_s, SHORTEST_WAIT_S)
            connection = socket.create_connection((address.host, address.port), wait_s)
        except OSError as error:
            raise LinkError(f"{address.target}: {error.strerror or error}") from error
        line = cls(connection, end)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not end.is_ready:
                line._turn(end_ns, timeout_s)
            line._send(end_ns, timeout_s)
        except BaseException:
            line.close()
            raise
        return line

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended, or the server said what nobody asked for."""
        if self._is_lost or self._end.is_over:
            return True
        self._socket.settimeout(0)
        try:
            data = self._socket.recv(RECEIVE_BYTES)
            self._is_lost = not data or bool(self._end.receive(data))
        except BlockingIOError:
            return False
        except (OSError, ProtocolError):
            self._is_lost = True
        return self._is_lost

    def exchange(self, payload: bytes, timeout_s: float) -> bytes:
        """Return the answer to a question.

        Raises:
            QueryTimeoutError: none in time.
            LinkError: the connection has ended.
            ProtocolError: an answer that is none, or several.
        """
        if self.is_lost:
            raise LinkError("the connection has ended")
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        self._end.ask(payload)
        replies: Sequence[WireReply] = ()
        while not replies:
            replies = self._turn(end_ns, timeout_s)
        reply, *unasked = replies
        if unasked:
            raise ProtocolError(f"answer: wanted one, got {len(replies)}")
        if reply.refused:
            raise ProtocolError(f"answer: {reply.refused}")
        return bytes(reply.payload)

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        self._is_lost = True
        with suppress(OSError):
            self._socket.close()

    def _turn(self, end_ns: int, timeout_s: float) -> Sequence[WireReply]:
        """Send what there is to send, and return the answers in what comes next."""
        self._send(end_ns, timeout_s)
        try:
            self._patient(end_ns)
            data = self._socket.recv(RECEIVE_BYTES)
        except TimeoutError as error:
            raise QueryTimeoutError(f"no answer within {timeout_s:.1f} s") from error
        except OSError as error:
            raise LinkError(f"the connection has ended: {error.strerror or error}") from error
        replies = self._end.receive(data)
        if not data:
            self._is_lost = True
            if not replies:
                raise LinkError("the connection has ended")
        return replies

    def _send(self, end_ns: int, timeout_s: float) -> None:
        data = self._end.bytes_to_send()
        if not data:
            return
        try:
            self._patient(end_ns)
            self._socket.sendall(data)
        except TimeoutError as error:
            raise QueryTimeoutError(f"nobody took the question within {timeout_s:.1f} s") from error
        except OSError as error:
            raise LinkError(f"the connection has ended: {error.strerror or error}") from error

    def _patient(self, end_ns: int) -> None:
        """Let the next call wait until the deadline.

        Raises:
            TimeoutError: it is over.
        """
        left_s = seconds_left(end_ns)
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(max(left_s, SHORTEST_WAIT_S))
