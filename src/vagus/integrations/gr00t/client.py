"""Connection to a GR00T server over ZeroMQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from vagus.clock import NS_PER_MS, monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import ConfigError, LinkError, ProtocolError, QueryTimeoutError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_options import without_token
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES, Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation
from vagus.integrations.gr00t.dialect import N1_5, N1_6, decode_reply, encode_request
from vagus.integrations.gr00t.options import VERSIONS, Gr00tOptions
from vagus.integrations.gr00t.rows import are_alike, stacked, unstacked, version_of
from vagus.policies.policy import ServingMode
from vagus.quoting import quoted
from vagus.specs import RtcSpec

__all__ = ["Gr00tClient"]

MAX_ROWS: Final = 64
UNKNOWN_ENDPOINT: Final = "Unknown endpoint"
_LOST: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Gr00tClient:
    """Connection to a GR00T server, a `ForeignServer`. From N1.6 on it takes several robots in one call.

    Args:
        address: where it listens.
        options: settings.
        token: sent as `api_token`; None: nothing is sent.
    """

    wanted = "a GR00T server (ZeroMQ)"
    identity = ""
    loads_when_opened = False
    model_dim = 0
    serving_mode = ServingMode.SHARED
    serving_reason = ""

    def __init__(self, address: ForeignAddress, options: Gr00tOptions, token: str | None) -> None:
        self.address = address
        self._version = options.version
        self._token = token
        self._is_reset_unknown = False
        self._line: _RequestSocket | None = None

    @property
    def settings(self) -> str:
        """The version of the wire."""
        return self._version

    @property
    def max_rows(self) -> int:
        """Largest number of requests in one call."""
        return 1 if self._version == N1_5 else MAX_ROWS

    @property
    def has_reset(self) -> bool:
        """Whether there is a word for the begin of an episode: since N1.6, where the server knows it."""
        return self._version != N1_5 and not self._is_reset_unknown

    @property
    def is_open(self) -> bool:
        """Whether the connection of `open` still stands."""
        return self._line is not None and not self._line.is_lost

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew; return the server's modality configuration.

        Raises:
            LinkError: no connection, or no answer in time.
            ProtocolError: what answers is no GR00T server, or it refuses.
            ConfigError: the version is neither stated nor shown.
        """
        self.close()
        self._is_reset_unknown = False  # it may be another program now
        self._line = _RequestSocket(self.address)
        envelope = Envelope("gr00t", endpoint="get_modality_config")
        reply = self._exchange(ForeignRequest(Operation.DESCRIBE, envelope), timeout_s)
        if reply.error is not None and not reply.error.startswith(UNKNOWN_ENDPOINT):
            raise ProtocolError(f"the server refuses to say what it takes: {quoted(reply.error)}")
        said = {} if reply.error is not None else reply.extra
        self._version = self._version or version_of(said, (N1_5, N1_6))
        if not self._version:
            raise ConfigError(
                "version",
                wanted=f"one of {', '.join(VERSIONS)}, because {self.address} does not say what it takes",
                got="none",
                fix="give --options version n1.6",
            )
        return said

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return None: the wire has no words for real-time chunking."""
        del said, horizon
        return None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return one reply per request: asked in one call, if they are alike.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none.
            PolicyError: actions that are not one chunk per request.
        """
        asked = [request for request, _ in requests]
        parts = [asked] if are_alike(asked) else [[request] for request in asked]
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        replies: list[ForeignReply] = []
        for part in parts:
            reply = self._exchange(stacked(part, self._version), seconds_left(end_ns))
            replies += unstacked(reply, len(part), self._version)
        return replies

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: the server refuses.
        """
        envelope = Envelope("gr00t", self._version, endpoint="reset")
        request = ForeignRequest(Operation.RESET, envelope, beside={("data", "options"): None})
        reply = self._exchange(request, timeout_s)
        self._is_reset_unknown = (reply.error or "").startswith(UNKNOWN_ENDPOINT)
        if reply.error is not None and not self._is_reset_unknown:
            raise ProtocolError(f"the server refuses to begin an episode: {quoted(reply.error)}")

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _exchange(self, request: ForeignRequest, timeout_s: float) -> ForeignReply:
        if self._line is None:
            raise LinkError("not connected")
        frame = self._line.exchange(encode_request(replace(request, token=self._token)), timeout_s)
        return without_token(decode_reply(frame, request.operation), self._token)


class _RequestSocket:
    """One REQ socket with its only connection; it never connects again, as another process would answer."""

    def __init__(self, address: ForeignAddress) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FOREIGN_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 1)  # what nobody asked for waits in memory: by default, 1000
        self._socket.setsockopt(zmq.IPV6, int(":" in address.host))
        self._events: zmq.Socket[bytes] = self._socket.get_monitor_socket(_LOST)
        self._lost = False
        try:
            self._socket.connect(f"tcp://{address.target}")
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(f"{address.target}: {error}") from error

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        while not self._lost and self._events.poll(0):
            self._lost = bool(parse_monitor_message(self._events.recv_multipart())["event"] & _LOST)
        return self._lost

    def exchange(self, frame: bytes, timeout_s: float) -> bytes:
        """Return the answer to `frame`.

        Raises:
            QueryTimeoutError: none in time.
            LinkError: the connection has ended.
            ProtocolError: an answer of several frames.
        """
        if self.is_lost:
            raise LinkError("the connection has ended")
        self._socket.send(frame, zmq.NOBLOCK)
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._events, zmq.POLLIN)
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        while not self._socket.poll(0):
            left_ns = end_ns - monotonic_ns()
            if left_ns <= 0:
                raise QueryTimeoutError(f"no answer within {timeout_s:.1f} s")
            poller.poll(left_ns // NS_PER_MS + 1)
            if self.is_lost:
                raise LinkError("the connection could not be made, or has ended")
        frames: list[bytes] = self._socket.recv_multipart()
        if len(frames) != 1:
            raise ProtocolError(f"answer: wanted one frame, got {len(frames)}")
        return frames[0]

    def close(self) -> None:
        """Close both sockets at once."""
        with suppress(zmq.ZMQError):
            self._socket.disable_monitor()
        self._events.close(linger=0)
        self._socket.close(linger=0)
