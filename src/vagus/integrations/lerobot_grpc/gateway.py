"""Gateway for LeRobot's robot clients: the gRPC service `transport.AsyncInference`, without LeRobot."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, Protocol

import grpc

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import (
    ConfigError,
    LinkError,
    ProtocolError,
    SessionRefusedError,
    SpecError,
    StateError,
    VagusError,
)
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import protocol_of
from vagus.integrations.lerobot_grpc.conversation import WaitingCall
from vagus.integrations.lerobot_grpc.conversations import MAX_CALLS, MAX_STRANGERS, Conversations
from vagus.integrations.lerobot_grpc.dialect import decode_setup
from vagus.integrations.lerobot_grpc.protobuf import PART_BYTES, ObservationParts, decode_part
from vagus.quoting import quoted
from vagus.repeats import Repeats
from vagus.server.fair_queue import Allowance
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed
from vagus.transport.unreached import why_not_listening

__all__ = ["LeRobotGrpcListener"]

SERVICE: Final = "transport.AsyncInference"
"""Its name since July 2025, in every release that has it; before, it was `async_inference.AsyncInference`."""
EMPTY: Final = b""
"""The message `Empty`, and `Actions` without data."""
SWEEP_NS: Final = NS_PER_S // 4
"""Time between two looks for clients that have gone."""
PAUSE_S: Final = 0.1
"""Pause before a call is refused, since LeRobot's client repeats `GetActions` at once, for ever; and before
one of a client that calls too often."""
CALL_BURST: Final = 250
CALLS_PER_S: Final = 250.0
"""Calls of one address per second in the long run; a robot client at 60 Hz makes 120. Others wait."""
MAX_DETAILS: Final = 1500
"""Longest text of an error, in characters; gRPC takes some kilobytes of them."""
MAX_SETUP_BYTES: Final = 1 << 20
MAX_PARTS: Final = 1024
"""Most parts of one observation. LeRobot's are 2 MiB each."""
TOLD_EVERY_NS: Final = 60 * NS_PER_S
MAX_TOLD: Final = 256

STATUS: Final[tuple[tuple[type[VagusError], grpc.StatusCode], ...]] = (
    (SessionRefusedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (LinkError, grpc.StatusCode.UNAVAILABLE),  # LeRobot's client tries again by itself
    (StateError, grpc.StatusCode.FAILED_PRECONDITION),
    (ProtocolError, grpc.StatusCode.INVALID_ARGUMENT),
    (SpecError, grpc.StatusCode.INVALID_ARGUMENT),
)
"""Error → status of the call; any other is INTERNAL."""

logger = logging.getLogger(__name__)


class _Call(Protocol):
    """What this module uses of gRPC's `ServicerContext`."""

    def peer(self) -> str: ...
    def cancel(self) -> bool: ...
    def add_callback(self, callback: Callable[[], None]) -> bool: ...
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class LeRobotGrpcListener:
    """Serves LeRobot's robot clients; each connection is a robot with a session of its own.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None = None) -> None:
        self._gateway = gateway
        self._clock = clock or MonotonicClock()
        self._conversations = Conversations(gateway, self._clock)
        self._host, self._port = gateway.config.address(protocol_of(gateway.config.protocol).port)
        self._told: Repeats[tuple[str, str]] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=MAX_TOLD)
        self._allowance = Allowance(burst=CALL_BURST, per_s=CALLS_PER_S)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sweeper = Supervised(self._sweep, name="lerobot-grpc-sweep")
        self._workers = MAX_CALLS * (2 * gateway.config.max_peers + MAX_STRANGERS)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="lerobot-grpc")
        self._server: grpc.Server | None = None

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:8080"."""
        return f"{bracketed(self._host)}:{self._port}"

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        server = grpc.server(
            self._pool,
            handlers=[self._handlers()],
            options=_options(self._gateway.config.idle_timeout_s),
            maximum_concurrent_rpcs=self._workers,
        )
        try:
            port = server.add_insecure_port(self.address)
        except RuntimeError:
            port = 0
        if not port:
            server.stop(None).wait()
            said = _why_not_bound(self._host, self._port)
            raise ConfigError(
                "listen",
                wanted="an address that is free",
                got=f"{self.address}: {said}",
                fix=why_not_listening(said),
            )
        self._port = port
        self._server = server
        server.start()
        self._sweeper.start()

    def close(self) -> None:
        """Answer what is in progress, and stop. Twice does nothing."""
        self._stop.set()
        stopped = self._server and self._server.stop(self._gateway.config.answer_timeout_s)
        self._conversations.close()
        if stopped is not None:
            stopped.wait()
        self._pool.shutdown()
        if self._sweeper.is_alive():
            self._sweeper.join()

    # -- calls ------------------------------------------------------------------------------------------

    def _handlers(self) -> object:
        """Return the service, with bytes as its messages."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Ready": unary(self._guarded(self._ready)),
                "SendPolicyInstructions": unary(self._guarded(self._send_policy_instructions)),
                "SendObservations": grpc.stream_unary_rpc_method_handler(
                    self._guarded(self._send_observations)
                ),
                "GetActions": unary(self._guarded(self._get_actions)),
            },
        )

    def _ready(self, _: bytes, address: str, __: _Call) -> bytes:
        self._conversations.reset(address)
        return EMPTY

    def _send_policy_instructions(self, message: bytes, address: str, _: _Call) -> bytes:
        if len(message) > MAX_SETUP_BYTES:
            raise ProtocolError(f"setup: wanted at most {MAX_SETUP_BYTES} bytes, got {len(message)}")
        self._conversations.introduce(address, decode_setup(message))
        return EMPTY

    def _send_observations(self, messages: Iterator[bytes], address: str, call: _Call) -> bytes:
        conversation = self._conversations.find(address)
        with conversation.receiving(call.cancel):
            payload = self._received(messages)
        if payload is None:
            self._conversations.note_left(address)
        elif conversation.put(payload):
            self._gateway.metrics.count("superseded")
        return EMPTY

    def _received(self, messages: Iterator[bytes]) -> bytes | memoryview | None:
        """Return the observation that a stream carries; None: it was ended before."""
        parts = ObservationParts(self._gateway.config.max_message_mb << 20)
        try:
            for count, message in enumerate(messages, start=1):
                whole = parts.add(decode_part(message))
                if whole is not None:
                    return whole
                if count >= MAX_PARTS:
                    raise ProtocolError(f"observation: wanted at most {MAX_PARTS} parts, got more")
        except grpc.RpcError:
            return None
        raise ProtocolError("observation: wanted a part that ends it, got the end of the stream")

    def _get_actions(self, _: bytes, address: str, call: _Call) -> bytes:
        conversation = self._conversations.find(address)
        waiting = WaitingCall()
        if not call.add_callback(lambda: conversation.end(waiting)):
            waiting.is_over = True
        try:
            return conversation.answer(waiting)
        except VagusError as error:
            self._tell(address, error, "got no actions")
            return EMPTY  # LeRobot has no field for an error
        finally:
            if waiting.is_over:
                self._conversations.note_left(address)

    # -- around calls -----------------------------------------------------------------------------------

    def _guarded(self, serve: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return `serve` with its errors as gRPC has them."""

        def serve_guarded(request: object, call: _Call) -> bytes:
            address = call.peer()  # later it may not be known any more
            if not address:
                return call.abort(grpc.StatusCode.CANCELLED, "the client has gone")
            try:
                with self._conversations.calling(address):
                    return self._paced(serve, request, address, call)
            except VagusError as error:
                code = next(
                    (code for kind, code in STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL
                )
                text = str(error)
            except Exception:
                logger.exception("a call of %s failed", quoted(address, 64))
                code, text = grpc.StatusCode.INTERNAL, "the gateway failed; see its log"
            return call.abort(code, text[:MAX_DETAILS])

        return serve_guarded

    def _paced(self, serve: Callable[..., bytes], request: object, address: str, call: _Call) -> bytes:
        with self._lock:
            is_allowed = self._allowance.take(address, self._clock.now_ns())
        if not is_allowed:
            self._stop.wait(PAUSE_S)
        try:
            return serve(request, address, call)
        except VagusError as error:
            self._tell(address, error, "is refused")
            if isinstance(error, ProtocolError):
                self._gateway.metrics.count_malformed()
            self._stop.wait(PAUSE_S)
            raise

    def _tell(self, address: str, error: VagusError, what: str) -> None:
        """Log an error of a client, but not each of many."""
        host = address.rpartition(":")[0]
        with self._lock:
            repeat = self._told.note((host, type(error).__name__), self._clock.now_ns())
        if repeat is not None:
            logger.warning("%s %s (%d times): %s", quoted(address, 64), what, repeat.count, error)

    def _sweep(self) -> None:
        while not self._stop.is_set():
            self._clock.wait_until_ns(self._clock.now_ns() + SWEEP_NS, self._stop)
            self._conversations.sweep()


def _options(idle_timeout_s: float) -> list[tuple[str, int]]:
    """Return the settings of gRPC's server: a connection that answers no ping ends after the idle time."""
    half_ms = max(round(idle_timeout_s * 500), 1)
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", 2 * PART_BYTES),
        ("grpc.max_concurrent_streams", MAX_CALLS),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a small message stays small
        ("grpc.server_handshake_timeout_ms", 5000),
        ("grpc.max_connection_idle_ms", 4 * half_ms),
        ("grpc.keepalive_time_ms", half_ms),
        ("grpc.keepalive_timeout_ms", half_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _why_not_bound(host: str, port: int) -> str:
    """Return what the system says about an address; gRPC does not."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as probe:
            probe.bind(place)
    except OSError as error:
        return error.strerror or str(error)
    return "gRPC could not listen"
