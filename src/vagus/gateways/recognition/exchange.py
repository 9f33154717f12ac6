"""One question and its answer over a socket, within bounds of time and bytes."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from vagus.gateways.recognition.findings import Answer
from vagus.quoting import quoted

__all__ = ["ProbeExchange", "TimeLimit", "asked", "connected"]

CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 2.0
"""Longest wait for one answer, however it trickles."""


class ProbeExchange(Protocol):
    """Bytes of one question and its answer; pure."""

    @property
    def is_over(self) -> bool:
        """Whether the answer is whole, or cannot become so."""
        ...

    @property
    def answer(self) -> Answer:
        """What came back so far."""
        ...

    def bytes_to_send(self) -> bytes:
        """Return what the other side must be told by now, once."""
        ...

    def receive(self, data: bytes) -> None:
        """Take what the other side sent; b"": it sends no more."""
        ...


class TimeLimit:
    """A point in time at which everything ends.

    Args:
        seconds: time left.
    """

    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds

    def left_s(self, most: float) -> float:
        """Return the time left, at most `most` seconds; 0: it is over."""
        return min(most, max(0.0, self._end_s - time.monotonic()))


def connected(host: str, port: int, limit: TimeLimit, *, is_secured: bool) -> socket.socket:
    """Return a connection to a server.

    Raises:
        OSError: nobody is there, or TLS fails.
    """
    connection = socket.create_connection((host, port), timeout=max(limit.left_s(CONNECT_TIMEOUT_S), 0.001))
    if not is_secured:
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing secret is said
    return context.wrap_socket(connection, server_hostname=host)


def asked(connect: Callable[[], socket.socket], exchange: ProbeExchange, limit: TimeLimit) -> Answer:
    """Return the answer to the question of an exchange, on a connection of its own."""
    own = TimeLimit(limit.left_s(ANSWER_TIMEOUT_S))
    try:
        with connect() as connection:
            _talk(connection, exchange, own)
    except OSError as error:
        if not exchange.is_over:
            return _with(exchange.answer, quoted(error.strerror or error, 120))
    return exchange.answer if exchange.is_over else _with(exchange.answer, "no whole answer came in time")


def _talk(connection: socket.socket, exchange: ProbeExchange, limit: TimeLimit) -> None:
    while left_s := limit.left_s(ANSWER_TIMEOUT_S):
        connection.settimeout(left_s)
        if data := exchange.bytes_to_send():
            connection.sendall(data)
        if exchange.is_over:
            return
        received = connection.recv(1 << 16)
        exchange.receive(received)
        if not received:
            return


def _with(answer: Answer, trouble: str) -> Answer:
    return replace(answer, trouble=answer.trouble or trouble)
