"""One TCP connection of a client, on a thread of its own: bytes in, requests answered, bytes out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from vagus.clock import NS_PER_S, Clock, seconds_to_ns
from vagus.errors import ProtocolError
from vagus.gateways.batch_conversation import BatchConversation
from vagus.gateways.gateway import Gateway
from vagus.gateways.wire_answer import WireAnswer

__all__ = ["ConnectionEnd", "PeerConnection", "WireMessage"]

RECEIVE_BYTES = 1 << 18
SEND_TIMEOUT_S = 5.0
"""Time in which a client must take its answer; one that reads nothing is dropped then."""
SHORTEST_WAIT_S = 0.001
"""A socket that waits for 0 s does not wait at all, and raises another error."""

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 11_000}
"""A machine that has gone without a word is noticed after eleven seconds, where the system can do that."""


class WireMessage(Protocol):
    """One request as it came."""

    @property
    def payload(self) -> memoryview:
        """The request; a view that belongs to the receiver."""
        ...

    @property
    def refused(self) -> str:
        """Why there is no request in it; "": there is."""
        ...


MessageT = TypeVar("MessageT", bound=WireMessage)


class ConnectionEnd(Protocol[MessageT]):
    """The server's end of one connection, in the bytes of its wire (pure)."""

    @property
    def is_between_messages(self) -> bool:
        """Whether the client owes nothing: no message has begun."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be answered on this connection."""
        ...

    @property
    def may_return(self) -> bool:
        """Whether a client of this wire may connect anew for its next request."""
        ...

    def receive(self, data: bytes) -> Sequence[MessageT]:
        """Return the messages that end in `data`.

        Raises:
            ProtocolError: the wire is another one. What `bytes_to_send` gives then is the last word.
        """
        ...

    def bytes_to_send(self) -> bytes:
        """Return what the client must be told by now, once."""
        ...

    def encode(self, message: MessageT, answer: WireAnswer) -> bytes:
        """Return the bytes of the answer to a message."""
        ...


class PeerConnection:
    """A client's connection. `run` is the work of its thread; any thread may read its state and end it.

    A client that sends no request for `idle_timeout_s` gives its places back; with its next request it takes
    new ones. Its connection stays: a request that is on its way then is not lost.

    Args:
        connection: the accepted socket; closed when `run` ends.
        end: our end of the wire.
        conversation: answers its requests.
        gateway: the settings, and the counters.
        clock: monotonic.
        tell: called with the reason when the client is dropped.
    """

    def __init__(
        self,
        connection: socket.socket,
        end: ConnectionEnd[MessageT],
        conversation: BatchConversation,
        gateway: Gateway,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._socket = connection
        self._gateway = gateway
        self._clock = clock
        self._tell = tell
        self._conversation = conversation
        self._end: ConnectionEnd[WireMessage] = end  # type: ignore[assignment]  # its own messages come back
        self._idle_ns = seconds_to_ns(gateway.config.idle_timeout_s)
        self._since_ns = clock.now_ns()
        self._is_answering = False
        self._is_ending = False

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._is_ending

    @property
    def is_replaceable(self) -> bool:
        """Whether it has no place at the gateway and none of its requests is being answered."""
        return not self._is_answering and not self._conversation.has_places

    def run(self) -> None:
        """Answer the client until it goes."""
        with self._socket, suppress(OSError):
            _set_up(self._socket)
            try:
                self._talk()
            except ProtocolError as error:
                self._gateway.metrics.count("refused_wire")
                self._tell(str(error))
                self._send(self._end.bytes_to_send())
            finally:
                self._conversation.leave(may_return=self._end.may_return and not self._is_ending)

    def end(self) -> None:
        """End it after the answer that is being computed."""
        self._is_ending = True
        with suppress(OSError):  # it has gone by itself
            self._socket.shutdown(socket.SHUT_RD)

    def cut(self) -> None:
        """End it at once, whatever it does."""
        self._is_ending = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    # -- on its thread ----------------------------------------------------------------------------------

    def _talk(self) -> None:
        self._send(self._end.bytes_to_send())
        while not self._end.is_over and (data := self._receive()):
            was_between = self._end.is_between_messages
            messages = self._end.receive(data)
            if was_between and not self._end.is_between_messages:
                self._since_ns = self._clock.now_ns()
            self._send(self._end.bytes_to_send())
            for message in messages:
                self._answer(message)

    def _receive(self) -> bytes:
        """Return what the client sends; b"" when it has gone, or takes too long over one message."""
        while not self._is_ending:
            is_between = self._end.is_between_messages
            try:
                data = self._heard(is_between=is_between)
            except TimeoutError:
                if not is_between:
                    self._tell("wanted the rest of a message, got none")
                    return b""
                self._conversation.release()
                continue
            return data
        return b""

    def _heard(self, *, is_between: bool) -> bytes:
        """Return what the client sends next.

        Raises:
            TimeoutError: nothing in time, or its time for this message is over; there may be more of it, but
                who sends without an end would be heard for ever.
        """
        patience_s = self._patience_s(is_between=is_between)
        if not is_between and patience_s == SHORTEST_WAIT_S:
            raise TimeoutError
        self._socket.settimeout(patience_s)
        return self._socket.recv(RECEIVE_BYTES)

    def _patience_s(self, *, is_between: bool) -> float | None:
        """Return how long to wait for the next bytes; None: for ever."""
        if is_between and not self._conversation.has_places:
            return None
        left_ns = self._since_ns + self._idle_ns - self._clock.now_ns()
        return max(left_ns / NS_PER_S, SHORTEST_WAIT_S)

    def _answer(self, message: WireMessage) -> None:
        if self._is_ending:
            return
        self._is_answering = True
        if message.refused:
            answer = self._conversation.refuse(message.refused)
        else:
            answer = self._conversation.answer(message.payload)
        self._send(self._end.encode(message, answer))
        self._since_ns = self._clock.now_ns()
        self._is_answering = False

    def _send(self, data: bytes) -> None:
        if data:
            self._socket.settimeout(SEND_TIMEOUT_S)
            self._socket.sendall(data)


def _set_up(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
