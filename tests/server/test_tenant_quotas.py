"""Quotas of tenants at a running server: who is over one is told, and nobody else notices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from server.raw_client import RawClient, serving, wait_until
from vagus.gateway_config import GatewayConfig
from vagus.server.config import ServeConfig
from vagus.server.health import Vitals, answer
from vagus.server.tenants import Tenant
from vagus.transport.zenoh_config import LinkMode, TlsConfig, ZenohConfig

LABS = (
    Tenant(name="a", clients=("a-*",), max_sessions=2, max_requests_per_s=0.01),
    Tenant(name="b", clients=("b-*",), max_sessions=2),
)


def asks(client: RawClient, count: int) -> list[str]:
    """Ask so often in a row; return "chunk", or the code of the event, of each answer."""
    replies = [client.ask(float(number)) for number in range(count)]
    return ["chunk" if reply.chunk is not None else reply.code for reply in replies]


def test_a_tenant_over_its_session_quota_is_told_what_to_do_and_others_open() -> None:
    with serving(ServeConfig(warm_up=False, max_sessions=4, tenants=LABS)) as stand:
        for name in ("a-1", "a-2", "b-1"):
            stand.opened(name)
        ack = stand.client("a-3").try_open()
        assert (ack.accepted, ack.code) == (False, "sessions_full")
        assert "tenant 'a' has taken all 2 of its sessions" in ack.error
        assert "kept for other tenants than 'other'" in stand.client("stranger").try_open().error
        stand.opened("b-2")
        assert stand.server.load().sessions == 4


def test_a_request_above_the_quota_gets_an_event_with_a_pause_before_it_is_decoded() -> None:
    with serving(ServeConfig(warm_up=False, tenants=LABS)) as stand:
        robot, other = stand.opened("a-1"), stand.opened("b-1")
        assert robot.ask(1.0).chunk is not None
        robot.seq += 1
        robot.send_bytes(b"not even a message")
        reply = robot.receive()
        assert reply.event is not None
        assert (reply.code, reply.header.seq) == ("overloaded", robot.seq)
        assert "tenant 'a' is above its 0.01 requests per second" in reply.event.message
        assert 100 <= reply.event.pause_ms <= 10_000
        assert asks(other, 20) == ["chunk"] * 20
        assert stand.dropped("over_quota") == 1
        assert stand.outcomes("invalid_input") == 0


def test_whoever_does_not_pause_gets_few_events_and_the_policy_sees_nothing() -> None:
    with serving(ServeConfig(warm_up=False, tenants=LABS)) as stand:
        robot = stand.opened("a-1")
        assert robot.ask(1.0).chunk is not None
        for number in range(200):
            robot.send(float(number))
        wait_until(lambda: stand.dropped("over_quota") == 200)
        assert stand.opened("b-1").ask(1.0).chunk is not None
        assert stand.outcomes("chunk") == 2
        assert robot.replies.qsize() < 100


def test_metrics_and_audit_name_the_tenants_and_no_others(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    config = ServeConfig(warm_up=False, tenants=LABS, audit_path=tmp_path / "audit.jsonl")
    with serving(config) as stand:
        robot, stranger = stand.opened("a-1"), stand.opened("stranger")
        assert asks(robot, 1) == ["chunk"]
        assert asks(stranger, 2) == ["chunk"] * 2
        assert asks(robot, 1) == ["overloaded"]
        server = stand.server
        vitals = Vitals(lambda: server.phase, lambda: True, server.load, server.metrics)
        text = answer("/metrics", vitals)[1].decode()
        assert 'vagus_tenant_requests_total{outcome="chunk",tenant="a"} 1.0' in text
        assert 'vagus_tenant_requests_total{outcome="over_quota",tenant="a"} 1.0' in text
        assert 'vagus_tenant_requests_total{outcome="chunk",tenant="other"} 2.0' in text
        assert [
            f'vagus_tenant_sessions{{tenant="{name}"}} {count}.0' in text
            for name, count in (("a", 1), ("b", 0), ("other", 1))
        ] == [True] * 3
        assert "stranger" not in text
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert {
        (line.get("event", line.get("outcome")), line["tenant"]) for line in lines if "tenant" in line
    } == {("opened", "a"), ("opened", "other"), ("chunk", "a"), ("chunk", "other"), ("over_quota", "a")}


def test_without_tenants_there_is_no_metric_of_them_and_no_word_in_the_audit(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    with serving(ServeConfig(warm_up=False, audit_path=tmp_path / "audit.jsonl")) as stand:
        assert asks(stand.opened("arm"), 1) == ["chunk"]
        server = stand.server
        text = answer("/metrics", Vitals(lambda: server.phase, lambda: True, server.load, server.metrics))[1]
        assert b"tenant" not in text
    assert "tenant" not in (tmp_path / "audit.jsonl").read_text()


def test_it_is_told_whose_the_robots_of_a_gateway_are(caplog: pytest.LogCaptureFixture) -> None:
    gateways = tuple(GatewayConfig(protocol="openpi", profile="droid", name=name) for name in ("b", "cell"))
    with (
        caplog.at_level("INFO"),
        serving(ServeConfig(warm_up=False, tenants=LABS, gateways=gateways)) as stand,
    ):
        stand.opened("b-1")
    told = [record.getMessage() for record in caplog.records]
    assert "robots of gateway b are of tenant b" in told
    assert "robots of gateway cell are of tenant other" in told
    assert [", tenant b" in line for line in told if "opened" in line] == [True]


def warnings_of(caplog: pytest.LogCaptureFixture, config: ServeConfig) -> list[str]:
    caplog.clear()
    with serving(config):
        pass
    return [record.getMessage() for record in caplog.records if record.name == "vagus.server.reception"]


def test_quotas_above_what_there_is_and_names_without_proof_are_told_at_the_start(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    greedy = (Tenant(name="a", clients=("a-*",), max_sessions=9, max_requests_per_s=1e6),)
    told = warnings_of(caplog, ServeConfig(max_sessions=8, warm_up_runs=1, tenants=greedy))
    assert [what in "\n".join(told) for what in ("session quotas", "request quotas", "no certificates")] == [
        True
    ] * 3
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    tls = TlsConfig(ca=pem, certificate=pem, private_key=pem)
    own = ZenohConfig(mode=LinkMode.PEER, listen=("tls/127.0.0.1:0",), tls=tls)
    told = warnings_of(caplog, ServeConfig(warm_up=False, tenants=LABS, zenoh=own))
    assert ["without access rules" in line for line in told] == [True]
    ruled = replace(own, extra=("access_control={enabled: true}",))
    assert warnings_of(caplog, ServeConfig(warm_up=False, tenants=LABS, zenoh=ruled)) == []
    routed = ZenohConfig(connect=("tls/127.0.0.1:7447",), tls=tls)
    assert warnings_of(caplog, ServeConfig(warm_up=False, tenants=LABS, zenoh=routed)) == []
    assert warnings_of(caplog, ServeConfig(warm_up=False)) == []
