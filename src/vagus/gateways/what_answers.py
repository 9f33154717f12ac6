"""Recognition of what listens on a port, for messages: another protocol's first bytes tell it."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from vagus.gateways.recognition.exchange import TimeLimit, connected
from vagus.gateways.recognition.findings import Carrier
from vagus.quoting import quoted

__all__ = ["SomethingThere", "something_at", "what_answers"]

CONNECT_TIMEOUT_S = 1.0
GREETING_S = 0.4
"""ZeroMQ and gRPC servers speak first, within milliseconds; the others wait."""
MAX_BYTES: Final = 1024

_UPGRADE = (
    "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dmFndXMtaXMtYXNraW5nLg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_HEALTH = "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
_ZENOH_INIT = b"\x12\x00\xc1\x09\xf2" + b"vagus-is-asking."[:15]
"""Length, INIT, version 9, a router's ZID. A router answers by INIT or by CLOSE, whatever it thinks of it."""
_ZENOH_ANSWERS = (0x01, 0x03)


@dataclass(frozen=True, slots=True)
class SomethingThere:
    """What listens on a port.

    Attributes:
        words: what it is, as the end of a sentence.
        carrier: what carries its messages; None: nothing that is known.
        is_anybody: whether somebody accepts connections at all.
    """

    words: str
    carrier: Carrier | None = None
    is_anybody: bool = True


def what_answers(host: str, port: int, *, is_secured: bool = False) -> str:
    """Return what listens there, as the end of "wanted …, got": "a ZeroMQ server, such as GR00T's".

    Takes at most about 4 s, or longer if a name server is slow.

    Args:
        host: name or number of the host.
        port: port to look at.
        is_secured: whether to speak TLS first.
    """
    return something_at(host, port, is_secured=is_secured).words


def something_at(
    host: str, port: int, *, is_secured: bool = False, is_opening: bool = True
) -> SomethingThere:
    """Return what listens there, and what carries its messages; as `what_answers`.

    Args:
        host: name or number of the host.
        port: port to look at.
        is_secured: whether to speak TLS first.
        is_opening: whether a WebSocket may be opened; at some servers, that takes a place.
    """
    try:
        for ask in (_greeted, _upgraded if is_opening else _asked_for_health, _as_router):
            limit = TimeLimit(CONNECT_TIMEOUT_S)
            with connected(host, port, limit, is_secured=is_secured) as connection:
                verdict = ask(connection, host)
                if verdict is not None:
                    return verdict
    except OSError as error:
        return SomethingThere(_why_nobody(error, quoted(host, 80), port), is_anybody=False)
    return SomethingThere("something that accepts connections and says nothing")


def _why_nobody(error: OSError, host: str, port: int) -> str:
    if isinstance(error, ssl.SSLError):
        return f"something that does not speak TLS ({quoted(error.reason or error, 80)})"
    if isinstance(error, socket.gaierror):
        return f"nobody: the name {host} is not known"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody: nothing listens on port {port} of {host}"
    if isinstance(error, TimeoutError):
        return f"nobody: {host} does not answer"
    return f"nobody: {quoted(error.strerror or error, 120)}"


def _greeted(connection: socket.socket, host: str) -> SomethingThere | None:
    del host
    greeting = _heard(connection)
    if len(greeting) >= 10 and greeting[0] == 0xFF and greeting[9] & 1:
        return SomethingThere("a ZeroMQ server, such as GR00T's", Carrier.ZEROMQ)
    if len(greeting) >= 9 and greeting[3:9] == b"\x04\x00\x00\x00\x00\x00":  # SETTINGS of stream 0
        return SomethingThere("a gRPC server, such as LeRobot's", Carrier.GRPC)
    if greeting:
        return SomethingThere(f"a server that begins with {quoted(repr(greeting[:24]), 80)}")
    return None


def _asked_for_health(connection: socket.socket, host: str) -> SomethingThere | None:
    return _over_http(connection, _HEALTH.format(host=host))


def _upgraded(connection: socket.socket, host: str) -> SomethingThere | None:
    return _over_http(connection, _UPGRADE.format(host=host))


def _over_http(connection: socket.socket, request: str) -> SomethingThere | None:
    with suppress(OSError):
        connection.sendall(request.encode())
    answer = _heard(connection)
    if not answer.startswith(b"HTTP/"):
        wants_tls = answer.startswith(b"\x15\x03")
        return SomethingThere("a server that wants TLS (wss)") if wants_tls else None
    head = answer.decode("latin-1").split("\r\n")
    if " 101 " in f"{head[0]} ":
        return SomethingThere("a WebSocket server, such as openpi's", Carrier.WEBSOCKET)
    names = [line.partition(":")[2].strip() for line in head if line.lower().startswith("server:")]
    program = f" ({quoted(names[0], 60)})" if names else ""
    says = quoted(head[0].partition(" ")[2], 80)
    return SomethingThere(f"an HTTP server{program} that says {says!r}", Carrier.HTTP)


def _as_router(connection: socket.socket, host: str) -> SomethingThere | None:
    del host
    with suppress(OSError):
        connection.sendall(_ZENOH_INIT)
    answer = _heard(connection)
    is_zenoh = len(answer) >= 3 and int.from_bytes(answer[:2], "little") == len(answer) - 2
    if not is_zenoh or answer[2] & 0x1F not in _ZENOH_ANSWERS:
        return None
    return SomethingThere("a Zenoh router, such as vagus's own", Carrier.ZENOH)


def _heard(connection: socket.socket) -> bytes:
    connection.settimeout(GREETING_S)
    with suppress(OSError):
        return connection.recv(MAX_BYTES)
    return b""
