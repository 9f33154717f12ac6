"""HTTP server of /healthz, /readyz and /metrics. Only /metrics needs the extra `metrics`."""

from __future__ import annotations

import http.server
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TypeAlias

from vagus.errors import ConfigError
from vagus.server.exposition import cumulative, metrics_answer
from vagus.server.lifecycle import Phase
from vagus.server.metrics import ServerMetrics
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed
from vagus.wire.schema import Load

__all__ = ["HealthServer", "Vitals", "answer"]

Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]
"""Type of a request in socketserver."""

MAX_CONNECTIONS = 32
"""Largest number of open connections. A probe takes milliseconds; for a new one, the oldest is dropped."""

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 5.0
"""Time after which a probe that sends nothing is dropped."""

COUNTERS = {
    "requests": ("vagus_requests", "Requests by what became of them.", "outcome"),
    "dropped": ("vagus_dropped", "Messages dropped, by reason.", "reason"),
    "opens": ("vagus_session_opens", "Session opens by answer.", "answer"),
    "closed": ("vagus_session_closes", "Sessions closed, by reason.", "reason"),
    "dispatched": (
        "vagus_dispatched",
        "Rows that went to the policy, by whether their answer was due.",
        "due",
    ),
    "scheduler": ("vagus_scheduler_faults", "Decisions of the scheduler that could not be done.", "fault"),
    "policy": ("vagus_policy_events", "What the policy itself counts, by its word for it.", "event"),
}
HISTOGRAMS = {
    "queue_wait": ("vagus_queue_wait_seconds", "From arrival to batch, without decoding."),
    "decode": ("vagus_decode_seconds", "Turning bytes into arrays."),
    "lateness": ("vagus_lateness_seconds", "From the time at which an answer was due to its batch."),
    "preparation": ("vagus_preparation_seconds", "Making a session or beginning an episode in the policy."),
    "inference": ("vagus_inference_seconds", "One batch in the policy."),
    "publish": ("vagus_publish_seconds", "Handing one answer to the network."),
    "batch_size": ("vagus_batch_rows", "Rows per forward pass."),
}


@dataclass(frozen=True, slots=True)
class Vitals:
    """Values that the probes read.

    Attributes:
        phase: phase of the server.
        is_healthy: whether the policy thread runs.
        load: load of the server.
        telemetry: counters and histograms.
        failing: reason why the policy fails for every session; "": it works.
        ended: names of threads that ended without an order; "": none.
    """

    phase: Callable[[], Phase]
    is_healthy: Callable[[], bool]
    load: Callable[[], Load]
    metrics: ServerMetrics
    failing: Callable[[], str] = str
    ended: Callable[[], str] = str


class HealthServer:
    """HTTP server that answers probes on threads of its own. A context manager of `start` and `stop`.

    Args:
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        answer: returns HTTP status and body for a path; any thread calls it.
    """

    def __init__(self, host: str, port: int, answer: Callable[[str], tuple[int, bytes]]) -> None:
        self._address = (host, port)
        self._answer = answer
        self._http: _BoundedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Port that the server listens on; 0: it does not listen."""
        return 0 if self._http is None else int(self._http.server_address[1])

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        answer = self._answer

        class Probe(_Probe):
            def reply(self) -> tuple[int, bytes]:
                return answer(self.path.partition("?")[0])

        try:
            self._http = _BoundedServer(self._address, Probe)
        except OSError as error:
            host, port = self._address
            raise ConfigError(
                "health_port", wanted="a free address", got=f"{bracketed(host)}:{port} ({error})"
            ) from error
        self._thread = Supervised(self._http.serve_forever, name="vagus-health")
        self._thread.start()

    def stop(self) -> None:
        """Stop listening. May be called twice."""
        http_server, self._http = self._http, None
        if http_server is not None and self._thread is not None:
            http_server.shutdown()
            http_server.server_close()
            self._thread.join()


def answer(path: str, vitals: Vitals) -> tuple[int, bytes]:
    """Return HTTP status and body for a probe of `path`."""
    phase = vitals.phase()
    if path == "/healthz":
        return _health(vitals)
    if path == "/readyz":
        return _readiness(phase, vitals)
    if path == "/metrics":
        return metrics_answer([partial(_families, vitals), *vitals.metrics.collects()])
    return 404, b"/healthz, /readyz or /metrics\n"


def _families(vitals: Vitals, core: ModuleType) -> Iterator[object]:
    """Yield the metric families of the server."""
    yield from _counters(vitals, core)
    yield from _histograms(vitals, core)
    yield from _gauges(vitals, core)


def _counters(vitals: Vitals, core: ModuleType) -> Iterator[object]:
    counters = vitals.metrics.counters()
    for family, (name, text, label) in COUNTERS.items():
        metric = core.CounterMetricFamily(name, text, labels=[label])
        for (counted, value), amount in sorted(counters.items()):
            if counted == family:
                metric.add_metric([value], amount)
        yield metric


def _histograms(vitals: Vitals, core: ModuleType) -> Iterator[object]:
    histograms = vitals.metrics.histograms()
    for family, (name, text) in HISTOGRAMS.items():
        metric = core.HistogramMetricFamily(name, text)
        metric.add_metric([], buckets=cumulative(histograms[family]), sum_value=histograms[family].total)
        yield metric


def _gauges(vitals: Vitals, core: ModuleType) -> Iterator[object]:
    load, phase = vitals.load(), vitals.phase()
    for name, text, value in (
        ("vagus_sessions", "Robots connected.", load.sessions),
        ("vagus_sessions_max", "Robots that can be connected.", load.max_sessions),
        ("vagus_sessions_waiting", "Robots whose request is not in a batch yet.", load.waiting),
        ("vagus_busy_ratio", "Share of the last seconds spent on inference.", load.busy),
        ("vagus_policy_failing", "1 while the policy fails for everybody.", bool(vitals.failing())),
    ):
        yield core.GaugeMetricFamily(name, text, value=value)
    metric = core.GaugeMetricFamily("vagus_phase", "1 for the present phase.", labels=["phase"])
    for candidate in Phase:
        metric.add_metric([candidate.value], float(candidate is phase))
    yield metric


def _health(vitals: Vitals) -> tuple[int, bytes]:
    if not vitals.is_healthy():
        return 503, b"the policy thread has ended\n"
    ended = vitals.ended()
    return (503, f"a thread has ended: {ended}\n".encode()) if ended else (200, b"ok\n")


def _readiness(phase: Phase, vitals: Vitals) -> tuple[int, bytes]:
    ended, failing = vitals.ended(), vitals.failing()
    if phase is Phase.READY and ended:
        return 503, f"a thread has ended: {ended}\n".encode()
    if phase is Phase.READY and failing:
        return 503, f"the policy fails for everybody: {failing}\n".encode()
    return (200 if phase is Phase.READY else 503), f"{phase.value}\n".encode()


def _family_of(host: str, port: int) -> socket.AddressFamily:
    """Return the family of an address (IPv4 or IPv6), because Python's HTTP server assumes IPv4.

    Raises:
        OSError: the address is not of this machine.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return socket.AddressFamily(found[0][0])


class _BoundedServer(http.server.ThreadingHTTPServer):
    """HTTP server with one thread per connection and few connections: a new one replaces the oldest."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], probe: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[object, None] = OrderedDict()
        self.address_family = _family_of(*address)
        super().__init__(address, probe)

    def process_request(self, request: Request, client_address: object) -> None:
        oldest = None
        with self._lock:
            self._open[request] = None
            if len(self._open) > MAX_CONNECTIONS:
                oldest, _ = self._open.popitem(last=False)
        if isinstance(oldest, socket.socket):
            with suppress(OSError):  # it has gone by itself
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Request) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Request, client_address: object) -> None:  # noqa: ARG002 - its signature
        logger.debug("a probe of %s failed", client_address)


class _Probe(http.server.BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def reply(self) -> tuple[int, bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, body = self.reply()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server passes
        """Log nothing, because probes come every few seconds."""
