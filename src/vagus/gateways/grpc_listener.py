"""Listener for gRPC calls whose messages stay bytes. Who uses it hands the package `grpc` in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from vagus.clock import NS_PER_S, Clock
from vagus.errors import ConfigError
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import protocol_of
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed
from vagus.transport.unreached import why_not_listening

__all__ = ["GrpcLimits", "GrpcListener"]

SWEEP_NS = NS_PER_S // 4
"""Time between two looks for clients that have gone."""
STREAMS_PER_CALL = 8
"""Streams of one connection for each call of a robot: gRPC counts one for a while after its call has been
answered, and refuses the call after the last one without a word."""


class _Ended(Protocol):
    def wait(self) -> bool: ...


class _Server(Protocol):
    """What is used of gRPC's server."""

    def add_insecure_port(self, address: str) -> int: ...
    def start(self) -> None: ...
    def stop(self, grace: float | None) -> _Ended: ...


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds of one listener.

    Attributes:
        workers: calls of all connections at once; one more is refused.
        calls: calls of one robot at once; whoever counts them refuses one more, in words of its protocol.
        max_bytes: largest message.
    """

    workers: int
    calls: int
    max_bytes: int


class GrpcListener:
    """One address, a pool of threads for its calls, and one thread that looks for clients that have gone.

    Args:
        library: the module `grpc`.
        gateway: says where to listen, and how long a client may be silent.
        limits: bounds.
        sweep: looks for clients that have gone; called four times a second.
        clock: monotonic.

    Attributes:
        stopping: set once the end has begun.
    """

    def __init__(
        self,
        library: ModuleType,
        gateway: Gateway,
        limits: GrpcLimits,
        sweep: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._library = library
        self._gateway = gateway
        self._limits = limits
        self._sweep = sweep
        self._clock = clock
        self._host, self._port = gateway.config.address(protocol_of(gateway.config.protocol).port)
        name = gateway.config.protocol.replace("_", "-")
        self._sweeper = Supervised(self._look, name=f"{name}-sweep")
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix=name)
        self._server: _Server | None = None
        self.stopping = threading.Event()

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:8080"."""
        return f"{bracketed(self._host)}:{self._port}"

    def start(self, handlers: Sequence[object]) -> None:
        """Start to listen.

        Args:
            handlers: generic handlers of gRPC, one per service.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        server: _Server = self._library.server(
            self._pool,
            handlers=handlers,
            options=_options(self._gateway.config.idle_timeout_s, self._limits),
            maximum_concurrent_rpcs=self._limits.workers,
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

    def close(self, end: Callable[[], None]) -> None:
        """Answer what is in progress, and stop; `end` is called once no more calls are taken."""
        self.stopping.set()
        server = self._server
        stopped = None if server is None else server.stop(self._gateway.config.answer_timeout_s)
        end()
        if stopped is not None:
            stopped.wait()
        self._pool.shutdown()
        if self._sweeper.is_alive():
            self._sweeper.join()

    def _look(self) -> None:
        while not self.stopping.is_set():
            self._clock.wait_until_ns(self._clock.now_ns() + SWEEP_NS, self.stopping)
            self._sweep()


def _options(idle_timeout_s: float, limits: GrpcLimits) -> list[tuple[str, int]]:
    """Return the settings of gRPC's server: a connection that answers no ping ends after the idle time."""
    half_ms = max(round(idle_timeout_s * 500), 1)
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_bytes),
        ("grpc.max_concurrent_streams", STREAMS_PER_CALL * limits.calls),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a small message stays small
        ("grpc.server_handshake_timeout_ms", 5000),
        ("grpc.max_connection_idle_ms", 4 * half_ms),
        ("grpc.keepalive_time_ms", half_ms),
        ("grpc.keepalive_timeout_ms", half_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),  # Astribot's client pings every 10 s
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
