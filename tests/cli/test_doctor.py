from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from vagus.cli.doctor import Probe, advise
from vagus.cli.status import as_table
from vagus.cli.survey import FoundServer
from vagus.edge.config import EdgeConfig, ExecuteHorizon
from vagus.server.capabilities import unloaded
from vagus.server.config import ServeConfig
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.wire.schema import SCHEMA_VERSION, Capabilities, LatencyRow, Load, WireCamera, WireRtc

KEY = ServerKey(ServiceKey("m", "main", "default"), "s")
GOOD = Probe(4, (5.0, 6.0, 7.0, 8.0))


def said(**changes: object) -> Capabilities:
    ready = msgspec.structs.replace(
        unloaded(ServeConfig(), KEY),
        phase="ready",
        horizon=30,
        rate_hz=30.0,
        latency=(LatencyRow(batch_size=1, p50_ms=20.0, max_ms=30.0),),
        load=Load(sessions=1, max_sessions=4),
    )
    return msgspec.structs.replace(ready, **changes)


def problems(capabilities: Capabilities, probe: Probe = GOOD, edge: EdgeConfig | None = None) -> list[str]:
    findings = advise(capabilities, probe, edge or EdgeConfig())
    return [finding.text for finding in findings if finding.is_problem]


def test_a_good_server_on_a_good_network_has_no_problem() -> None:
    assert problems(said()) == []


def test_quantiles_are_of_the_answers_that_came() -> None:
    assert GOOD.loss == 0
    assert GOOD.quantile_ms(0.5) == 7.0
    assert GOOD.quantile_ms(1.0) == 8.0
    assert Probe(4, (5.0,)).loss == pytest.approx(0.75)


def test_a_server_that_is_not_ready_is_a_problem() -> None:
    assert "warming" in problems(said(phase="warming"))[0]


def test_a_full_server_is_a_problem() -> None:
    assert "4 sessions" in problems(said(load=Load(sessions=4, max_sessions=4)))[0]


def test_another_wire_is_a_problem() -> None:
    newer = said(schema_min=SCHEMA_VERSION + 1, schema_max=SCHEMA_VERSION + 2)
    assert "schema" in problems(newer)[0]


def test_lost_questions_are_a_problem() -> None:
    assert "loss 25%" in problems(said(), Probe(4, (5.0, 6.0, 7.0)))[0]


def test_no_answer_at_all_ends_the_examination() -> None:
    assert "no answer" in problems(said(), Probe(3, ()))[-1]


def test_a_slow_network_wants_a_larger_buffer() -> None:
    (text,) = problems(said(), Probe(2, (400.0, 420.0)), EdgeConfig(buffer_time_s=0.5))
    assert "--buffer-time-s 0.75 (set: 0.5)" in text  # 1.5 · (420 + 30) ms and two steps
    assert problems(said(), Probe(2, (400.0, 420.0)), EdgeConfig(buffer_time_s=0.8)) == []


def test_a_chunk_shorter_than_the_buffer_is_a_problem() -> None:
    texts = problems(said(horizon=10), Probe(1, (400.0,)), EdgeConfig(buffer_time_s=1.0))
    assert any("0.33 s" in text for text in texts)


def test_actions_that_grow_too_old_are_told_but_no_problem() -> None:
    findings = list(advise(said(horizon=100), GOOD, EdgeConfig()))
    assert any("--max-action-age-s" in finding.text and not finding.is_problem for finding in findings)


@pytest.mark.parametrize(
    ("execute_horizon", "rtc", "told"),
    [
        ("auto", True, "4.3 times per second, which is about 3.5 Mbit/s"),
        ("auto", False, "2.3 times per second, which is about 1.9 Mbit/s"),
        (25, True, "1.1 times per second, which is about 0.9 Mbit/s"),
        (None, True, "0.9 times per second, which is about 0.7 Mbit/s"),
    ],
)
def test_what_a_robot_needs_of_the_network_is_told_as_the_documentation_has_it(
    execute_horizon: ExecuteHorizon, told: str, *, rtc: bool
) -> None:
    cameras = tuple(WireCamera(name=name, height=480, width=640) for name in ("left", "right"))
    arm = said(horizon=50, cameras=cameras, rtc=WireRtc(prefix_horizon=20) if rtc else None)
    arm = msgspec.structs.replace(arm, latency=(LatencyRow(batch_size=1, p50_ms=93.0, max_ms=93.0),))
    (finding,) = (
        one.text
        for one in advise(arm, GOOD, EdgeConfig(execute_horizon=execute_horizon))
        if "Mbit/s" in one.text
    )
    assert told in finding
    assert f"--execute-horizon {execute_horizon}" in finding
    assert ("a number or None asks less often" in finding) == (execute_horizon == "auto")


@pytest.mark.parametrize(("max_in_flight", "told"), [(1, "0.9 times"), (4, "1.0 times")])
def test_a_robot_that_asks_ahead_is_bound_by_its_part_of_the_server_not_by_the_delay(
    max_in_flight: int, told: str
) -> None:
    """Inference takes 0.5 s, so half of the device is a request per second; the network adds 0.6 s."""
    cameras = (WireCamera(name="front", height=480, width=640),)
    rows = (LatencyRow(batch_size=1, p50_ms=500.0, max_ms=500.0),)
    arm = said(horizon=50, cameras=cameras, rtc=WireRtc(prefix_horizon=20), latency=rows)
    findings = advise(arm, Probe(1, (600.0,)), EdgeConfig(max_in_flight=max_in_flight))
    assert any(told in finding.text for finding in findings)


def test_a_policy_slower_than_the_age_bound_is_told_what_run_would_refuse_and_what_it_takes() -> None:
    slow = said(horizon=50, rate_hz=10.0, latency=(LatencyRow(batch_size=1, p50_ms=3500.0, max_ms=3600.0),))
    texts = problems(slow)
    assert any("nothing would ever move; set --max-action-age-s" in text for text in texts)
    assert not any("--buffer-time-s" in text for text in texts)  # none below the age bound would do
    advised = [
        text for text in problems(slow, edge=EdgeConfig(max_action_age_s=10.0)) if "takes up to" in text
    ]
    assert "--buffer-time-s 5 (set: 0.5)" in advised[0]


def test_a_server_that_still_loads_is_examined_as_far_as_it_goes() -> None:
    assert "loading" in problems(msgspec.structs.replace(unloaded(ServeConfig(), KEY), phase="loading"))[0]


def test_another_model_than_the_pinned_one_is_a_problem() -> None:
    served = said(model_hash="aaaabbbbcccc")
    assert problems(served, edge=EdgeConfig(pin_model="aaaabbbb")) == []
    assert "aaaabbbbcccc, not bbbb0000" in problems(served, edge=EdgeConfig(pin_model="bbbb0000"))[0]


def test_a_policy_that_fails_is_a_problem() -> None:
    assert "lost [cuda:0]" in problems(said(failing="RuntimeError: lost [cuda:0]"))[0]


def test_what_a_policy_fails_with_is_shown_as_it_was_said() -> None:
    screen = Console(width=300, file=io.StringIO())
    key = ServerKey(ServiceKey.of("m", "main"), "s")
    screen.print(as_table([FoundServer(key, said(failing="lost [cuda:0]"))]))
    shown = screen.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
    assert "failing: lost [cuda:0]" in shown


def test_replicas_are_shown_side_by_side_with_load_demand_and_times() -> None:
    screen = Console(width=300, file=io.StringIO())
    service = ServiceKey.of("m", "main")
    rows = tuple(LatencyRow(batch_size=n, p50_ms=20.0 * n, max_ms=99.0) for n in (1, 2, 4))
    first = said(load=Load(sessions=3, max_sessions=8, waiting=1, busy=0.25, demand=0.31), latency=rows)
    other = said(load=Load(sessions=0, max_sessions=8))
    found = [FoundServer(ServerKey(service, "s1"), first), FoundServer(ServerKey(service, "s2"), other)]
    screen.print(as_table(found))
    shown = screen.file.getvalue().splitlines()  # type: ignore[attr-defined] # it is a StringIO
    cells = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in shown]
    head, one, two = (next(row for row in cells if mark in row) for mark in ("needed", "s1", "s2"))
    assert dict(zip(head, one, strict=True)) | {"phase": "", "model": "", "service": ""} == {
        "service": "",
        "server": "s1",
        "model": "",
        "phase": "",
        "sessions": "3/8",
        "waiting": "1",
        "busy": "25%",
        "needed": "31%",
        "starved": "0.0%",
        "inference, ms": "1: 20 · 2: 40 · 4: 80",
    }
    assert (two[4], two[7]) == ("0/8", "0%")
