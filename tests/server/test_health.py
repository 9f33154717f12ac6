"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from server.raw_client import CountingPolicy, serving, wait_until
from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.server.health import MAX_CONNECTIONS, HealthServer, Vitals, answer
from vagus.server.lifecycle import Phase
from vagus.server.metrics import ServerMetrics
from vagus.wire.schema import Load


def vitals(phase: Phase = Phase.READY, *, is_healthy: bool = True) -> Vitals:
    metrics = ServerMetrics()
    metrics.count("dropped", "misrouted", 3)
    metrics.observe("inference", 0.003)
    metrics.observe("inference", 0.004)
    return Vitals(lambda: phase, lambda: is_healthy, lambda: Load(sessions=2, max_sessions=8), metrics)


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request("GET", path)
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    return reply.status, body


@pytest.mark.parametrize(
    ("phase", "status"), [(phase, 200 if phase is Phase.READY else 503) for phase in Phase]
)
def test_only_a_ready_server_is_ready(phase: Phase, status: int) -> None:
    assert answer("/readyz", vitals(phase)) == (status, f"{phase.value}\n".encode())


def test_a_server_without_its_policy_thread_is_not_healthy() -> None:
    assert answer("/healthz", vitals())[0] == 200
    assert answer("/healthz", vitals(is_healthy=False))[0] == 503


def test_metrics_are_in_base_units_with_cumulative_buckets() -> None:
    status, body = answer("/metrics", vitals())
    text = body.decode()
    assert status == 200
    assert 'vagus_dropped_total{reason="misrouted"} 3.0' in text
    assert 'vagus_inference_seconds_bucket{le="0.002"} 0.0' in text
    assert 'vagus_inference_seconds_bucket{le="0.005"} 2.0' in text
    assert 'vagus_inference_seconds_bucket{le="+Inf"} 2.0' in text
    assert "vagus_inference_seconds_sum 0.007" in text
    assert "vagus_sessions 2.0" in text
    assert 'vagus_phase{phase="ready"} 1.0' in text
    assert 'vagus_phase{phase="loading"} 0.0' in text


def test_without_the_extra_metrics_say_what_to_install_and_health_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    status, body = answer("/metrics", vitals())
    assert status == 501
    assert b'pip install "vagus[metrics]"' in body
    assert answer("/healthz", vitals())[0] == 200


def test_another_path_lists_the_paths() -> None:
    assert answer("/", vitals()) == (404, b"/healthz, /readyz or /metrics\n")


def test_probes_are_answered_over_http_and_a_taken_port_is_named() -> None:
    server = HealthServer("127.0.0.1", 0, partial(answer, vitals=vitals()))
    assert server.port == 0
    server.start()
    try:
        assert get(server.port, "/readyz") == (200, "ready\n")
        assert get(server.port, "/readyz?verbose=1") == (200, "ready\n")
        with pytest.raises(ConfigError, match="health_port"):
            HealthServer("127.0.0.1", server.port, partial(answer, vitals=vitals())).start()
    finally:
        server.stop()
        server.stop()


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_probes_are_answered_on_addresses_of_either_family(host: str) -> None:
    server = HealthServer(host, 0, partial(answer, vitals=vitals()))
    server.start()
    try:
        assert get(server.port, "/readyz", host) == (200, "ready\n")
    finally:
        server.stop()


def test_a_host_that_is_not_ours_is_named_as_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"\[2001:db8::1\]:9090"):
        HealthServer("2001:db8::1", 9090, partial(answer, vitals=vitals())).start()
    with pytest.raises(ConfigError, match=r"nowhere\.invalid:9090"):
        HealthServer("nowhere.invalid", 9090, partial(answer, vitals=vitals())).start()


def test_a_server_answers_probes_about_itself() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with serving(ServeConfig(warm_up=False, health_port=port)) as stand:
        stand.opened("arm").ask(1.0)
        assert get(port, "/healthz") == (200, "ok\n")
        assert 'vagus_requests_total{outcome="chunk"} 1.0' in get(port, "/metrics")[1]


@pytest.mark.slow
def test_connections_that_say_nothing_are_few_and_cost_no_probe() -> None:
    server = HealthServer("127.0.0.1", 0, partial(answer, vitals=vitals()))
    server.start()
    idle: list[socket.socket] = []
    try:
        for _ in range(3 * MAX_CONNECTIONS):
            idle += [socket.create_connection(("127.0.0.1", server.port), timeout=10)]
        assert get(server.port, "/readyz") == (200, "ready\n")
        assert idle[0].recv(1) == b""  # the oldest was dropped for the newest
        wait_until(lambda: probes() <= MAX_CONNECTIONS)
    finally:
        for connection in idle:
            connection.close()
        server.stop()


def probes() -> int:
    return sum("process_request" in thread.name for thread in threading.enumerate())


def test_a_thread_that_has_ended_turns_both_probes_red_and_is_named() -> None:
    sick = dataclasses.replace(vitals(), ended=lambda: "vagus-decode-0")
    assert answer("/healthz", sick) == (503, b"a thread has ended: vagus-decode-0\n")
    assert answer("/readyz", sick) == (503, b"a thread has ended: vagus-decode-0\n")


def test_what_a_policy_counts_itself_is_a_metric() -> None:
    class Counting(CountingPolicy):
        def count_with(self, count: Callable[[str], None]) -> None:
            count("unreachable")
            count("unreachable")

    with serving(ServeConfig(warm_up=False), Counting()) as stand:
        told = answer("/metrics", dataclasses.replace(vitals(), metrics=stand.server.metrics))[1].decode()
        assert 'vagus_policy_events_total{event="unreachable"} 2.0' in told
