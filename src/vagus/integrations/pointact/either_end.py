"""The server's end of one connection of either wire: its first byte tells ZeroMQ from HTTP (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from vagus.gateways.wire_answer import WireAnswer
from vagus.gateways.zmtp import RouterEnd, ZmqMessage
from vagus.integrations.pointact.http_server_end import HttpMessage, HttpServerEnd

__all__ = ["EitherEnd"]

_Message: TypeAlias = ZmqMessage | HttpMessage


class EitherEnd:
    """A request line of HTTP begins with a letter, a greeting of ZeroMQ with a byte that is none.

    Args:
        max_bytes: longest message.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._zeromq = RouterEnd(max_bytes=max_bytes)
        self._http = HttpServerEnd(max_bytes=max_bytes)
        self._end: RouterEnd | HttpServerEnd | None = None

    @property
    def is_between_messages(self) -> bool:
        """Whether the client owes nothing; one that has said nothing yet owes its first byte."""
        return self._end is not None and self._end.is_between_messages

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be answered on this connection."""
        return self._end is not None and self._end.is_over

    @property
    def may_return(self) -> bool:
        """Whether the client may connect anew for its next request, as those of HTTP do."""
        return self._end is self._http

    def receive(self, data: bytes) -> Sequence[_Message]:
        """Return the messages that end in `data`.

        Raises:
            ProtocolError: neither wire.
        """
        if self._end is None:
            self._end = self._http if data[:1].isalpha() else self._zeromq
        return self._end.receive(data)

    def bytes_to_send(self) -> bytes:
        """Return what the client must be told by now, once."""
        return b"" if self._end is None else self._end.bytes_to_send()

    def encode(self, message: _Message, answer: WireAnswer) -> bytes:
        """Return the bytes of the answer to a message."""
        if isinstance(message, HttpMessage):
            return self._http.encode(message, answer)
        return self._zeromq.encode(message, answer)
