"""One TCP connection of a GR00T client, on a thread of its own: bytes in, requests answered, bytes out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from vagus.clock import NS_PER_S, Clock, seconds_to_ns
from vagus.errors import ProtocolError
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES
from vagus.integrations.gr00t.conversation import Gr00tConversation
from vagus.integrations.gr00t.zmtp import RouterEnd, ZmqMessage, encode_answer

__all__ = ["Gr00tConnection"]

BYTES_PER_MB = 1_000_000
RECEIVE_BYTES = 1 << 18
SEND_TIMEOUT_S = 5.0
"""Time in which a client must take its answer; one that reads nothing is dropped then."""
SHORTEST_WAIT_S = 0.001
"""A socket that waits for 0 s does not wait at all, and raises another error."""

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 11_000}
"""A machine that has gone without a word is noticed after eleven seconds, where the system can do that."""


class Gr00tConnection:
    """A client's connection. `run` is the work of its thread; any thread may read its state and end it.

    A client that sends no request for `idle_timeout_s` gives its places back; with its next request it takes
    new ones. Its connection stays: a request that is on its way then is not lost.

    Args:
        connection: the accepted socket; closed when `run` ends.
        conversation: answers its requests.
        gateway: the settings, and the counters.
        clock: monotonic.
        tell: called with the reason when the client is dropped.
    """

    def __init__(
        self,
        connection: socket.socket,
        conversation: Gr00tConversation,
        gateway: Gateway,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._socket = connection
        self._gateway = gateway
        self._clock = clock
        self._tell = tell
        self._conversation = conversation
        most = min(gateway.config.max_message_mb * BYTES_PER_MB, MAX_FOREIGN_BYTES)
        self._end = RouterEnd(max_bytes=most)
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
                self._conversation.release()

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
        while data := self._receive():
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
            self._socket.settimeout(self._patience_s(is_between=is_between))
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except TimeoutError:
                if not is_between:
                    self._tell("wanted the rest of a message, got none")
                    return b""
                self._conversation.release()
                continue
            return data
        return b""

    def _patience_s(self, *, is_between: bool) -> float | None:
        """Return how long to wait for the next bytes; None: for ever."""
        if is_between and not self._conversation.has_places:
            return None
        left_ns = self._since_ns + self._idle_ns - self._clock.now_ns()
        return max(left_ns / NS_PER_S, SHORTEST_WAIT_S)

    def _answer(self, message: ZmqMessage) -> None:
        if self._is_ending:
            return
        self._is_answering = True
        if message.refused:
            payload = self._conversation.refuse(message.refused)
        else:
            payload = self._conversation.answer(message.payload)
        self._send(encode_answer(message.envelope, payload))
        self._since_ns = self._clock.now_ns()
        self._is_answering = False

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_TIMEOUT_S)
        self._socket.sendall(data)


def _set_up(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
