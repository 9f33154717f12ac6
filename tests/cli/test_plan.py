"""`vagus plan` answers for people and for programs, and refuses what nobody can plan."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.cli.plan_report import show_plan
from vagus.cli.plan_source import profile_of
from vagus.cli.status import as_json
from vagus.cli.survey import FoundServer
from vagus.edge.client.session import parse_service
from vagus.errors import ConfigError
from vagus.planning.fleet_plan import FleetPlan
from vagus.server.capabilities import unloaded
from vagus.server.config import ServeConfig
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.wire.schema import Capabilities, LatencyRow, Load

TABLE = ["--latency-ms", "1:73", "2:109.8", "3:142.4"]
ROBOT = ["--rate-hz", "20", "--horizon", "10", "--buffer-time-s", "0.2"]


def plan_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> FleetPlan:
    assert main(["plan", *arguments, "--json"]) == ExitCode.OK
    return msgspec.json.decode(capsys.readouterr().out, type=FleetPlan)


def test_a_typed_table_is_planned_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *TABLE, *ROBOT, "--robots", "9"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "inference, ms per batch size: 1: 73, 2: 109.8, 3: 142.4 (the table as typed)" in said
    assert "robots: 9 × 20 Hz, chunks of 10, buffer 0.2 s, asks as the server has room, round trip 10" in said
    assert "5 robots per device, limited by the device; at most 1 % of the steps without an action" in said
    assert "9 robots need 2 devices, with 5 or 4 on each" in said
    for text in ("twice as fast", "execute horizon", "round trip", "This rests on:", "how fast it decodes"):
        assert text in said, text


def test_robots_that_ask_only_by_their_buffer_are_planned_too(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--execute-horizon", "None"], ["--robots", "2:execute=None"]):
        found = plan_json(capsys, *TABLE, *ROBOT, *arguments)
        assert (found.kinds[0].execute_horizon, found.kinds[0].observe_steps) == (0, 0)
    usual = plan_json(capsys, *TABLE, *ROBOT)
    assert usual.kinds[0].observe_steps > 0


def test_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *TABLE, *ROBOT, "--json"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert printed.err.startswith("simulating")  # it may take long, and JSON stays alone on standard output
    found = msgspec.json.decode(printed.out, type=FleetPlan)
    assert (found.robots_per_device, found.limited_by, found.fleet, found.devices) == (5, "device", 0, None)
    assert [row.max_batch for row in found.batches] == [1, 2, 3]
    assert found.assumptions


def test_a_fleet_of_several_kinds_gets_its_devices(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan_json(
        capsys, *TABLE, "--robots", "4:20hz:10:buffer=0.2s", "2:10hz:10:execute=8", "--round-trip-ms", "30"
    )
    assert [kind.count for kind in found.kinds] == [4, 2]
    assert found.kinds[1].execute_horizon == 8
    assert [kind.round_trip_ms for kind in found.kinds] == [30.0, 30.0]
    assert found.devices is not None
    assert found.devices >= 1
    assert sum(found.robots_per_hand) >= 3


def test_a_smaller_batch_is_planned_by_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan_json(capsys, *TABLE, *ROBOT, "--max-batch", "1")
    assert found.max_batch == 1
    assert found.robots_per_device <= 4
    assert {knob.after for knob in found.knobs if knob.name == "largest batch"} == {"3"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*TABLE, "--rate-hz", "0", "--horizon", "10"], "rate_hz: wanted a number above 0"),
        ([*TABLE, "--rate-hz", "nan", "--horizon", "10"], "rate_hz: wanted a number above 0"),
        ([*TABLE, "--rate-hz", "20", "--horizon", "0"], "horizon: wanted a number above 0"),
        (
            [*TABLE, "--rate-hz", "20", "--horizon", "10"],
            "wanted a buffer below the 0.5 s that a chunk lasts",
        ),
        ([*TABLE, *ROBOT[:-1], "-1"], "buffer_time_s: wanted a number above 0"),
        ([*TABLE, *ROBOT, "--slo-starved-share", "0"], "slo_starved_share: wanted a share"),
        ([*TABLE, *ROBOT, "--slo-starved-share", "1.5"], "slo_starved_share: wanted a share"),
        ([*TABLE, *ROBOT, "--max-batch", "4"], "max_batch: wanted at most 3"),
        ([*TABLE, *ROBOT, "--max-batch", "0"], "max_batch: wanted 1 to"),
        ([*TABLE, *ROBOT, "--execute-horizon", "11"], "execute_horizon: wanted 1 to the horizon"),
        ([*TABLE, *ROBOT, "--execute-horizon", "0"], "execute_horizon: wanted 1 to"),
        ([*TABLE, *ROBOT, "--round-trip-ms", "-1"], "round_trip_ms: wanted 0 to"),
        ([*TABLE, *ROBOT, "--robots", "0"], "robots: wanted COUNT"),
        ([*TABLE, "--robots", "20"], "wanted a rate and a horizon for each kind"),
        ([*TABLE], "wanted --rate-hz and --horizon of the robots"),
        (["--latency-ms", "1:30", "2:20", *ROBOT], "times that do not fall"),
        (["--latency-ms", "1:30", "8:90", *ROBOT], "a gap from 1 to 8"),
        (
            [*TABLE, "--service", "reach", *ROBOT],
            "one source of inference times, got --service and --latency-ms",
        ),
        ([*TABLE, *ROBOT, "--plot", "plan.txt"], "ends in .pdf, .png, .svg"),
        ([*TABLE, *ROBOT, "--plot", "nowhere/plan.png"], "can be written"),
        (["--status", "nowhere.json"], "status: wanted a file, got nowhere.json"),
    ],
)
def test_what_nobody_can_plan_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *arguments]) == ExitCode.CONFIG
    said = capsys.readouterr()
    assert told in said.err
    assert not said.out
    assert not list(tmp_path.iterdir())


def capabilities(name: str, *, alone_ms: float = 120.0, **changes: object) -> Capabilities:
    key = ServerKey(ServiceKey("m", "main", "default"), name)
    rows = tuple(LatencyRow(batch_size=n, p50_ms=alone_ms + 5 * n, max_ms=99.0) for n in (1, 2))
    ready = msgspec.structs.replace(
        unloaded(ServeConfig(policy="m"), key),
        phase="ready",
        horizon=35,
        rate_hz=30.0,
        latency=rows,
        load=Load(max_sessions=4),
        decode_per_s=500.0,
    )
    return msgspec.structs.replace(ready, **changes)


def status_file(folder: Path, *servers: Capabilities) -> str:
    found = [
        FoundServer(ServerKey(ServiceKey(said.model, "main", "default"), said.server), said)
        for said in servers
    ]
    path = folder / "status.json"
    path.write_text(
        as_json([*found, FoundServer(ServerKey(ServiceKey("m", "main", "default"), "mute"), None, "hangs")])
    )
    return str(path)


def test_what_vagus_status_prints_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = status_file(tmp_path, capabilities("a"), capabilities("b", alone_ms=140.0))
    found = plan_json(capsys, "--status", file)
    assert found.source == "measured by b of m/main/default, the slowest of 2 servers"
    assert found.latency_ms == {1: 145.0, 2: 150.0}
    assert (found.robots_per_device > 4, found.limited_by, found.max_sessions) == (True, "device", 4)
    assert (found.kinds[0].rate_hz, found.kinds[0].horizon) == (30.0, 35)
    assert any("requests per second, measured" in line for line in found.assumptions)


def test_a_server_that_lets_fewer_robots_connect_is_told_to_let_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--status", status_file(tmp_path, capabilities("a"))]) == ExitCode.OK
    assert "the server lets 4 robots connect: raise its max_sessions" in capsys.readouterr().out
    alone = capabilities("a", serving_mode="exclusive")
    assert main(["plan", "--status", status_file(tmp_path, alone)]) == ExitCode.OK
    assert "1 robot per device, the policy serves one at a time" in capsys.readouterr().out


def test_one_of_several_services_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = status_file(tmp_path, capabilities("a"), capabilities("b", model="other"))
    assert main(["plan", "--status", file]) == ExitCode.CONFIG
    assert "got none given; --service: m/main/default, other/main/default" in capsys.readouterr().err
    assert plan_json(capsys, "--status", file, "--service", "other").source.endswith("of other/main/default")


def test_an_older_server_that_does_not_say_how_fast_it_decodes_is_planned() -> None:
    profile = profile_of([capabilities("a", decode_per_s=0.0)], parse_service("m"))
    assert profile.assumptions == (
        "the server's processor keeps up: how fast it decodes frames is not known",
    )


def test_a_server_without_a_profile_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="the profile of cell: wanted inference times, got none"):
        profile_of([capabilities("cell", latency=())], None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "what `vagus status --json` prints"),
        ("[]", "a server that has answered"),
        ('[{"a": 1}]', "prints"),
    ],
)
def test_a_file_that_is_none_of_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    path = tmp_path / "status.json"
    path.write_text(content)
    assert main(["plan", "--status", str(path)]) == ExitCode.CONFIG
    assert told in capsys.readouterr().err


def test_a_plan_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan_json(capsys, *TABLE, *ROBOT, "--robots", "9")
    shown = io.StringIO()
    show_plan(found, Console(file=shown, width=80))
    tables = [line for line in shown.getvalue().splitlines() if line.startswith(("│", "┃"))]
    assert len(tables) >= 10
    assert all(len(line) <= 80 for line in tables)
    assert not any("…" in line for line in tables)


def test_robots_that_no_device_carries_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--latency-ms", "1:900", *ROBOT, "--robots", "3"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "not one robot per device with at most 1 %" in said
    assert "3 robots: no number of devices is enough" in said


@pytest.mark.parametrize(("name", "begins"), [("plan.png", b"\x89PNG"), ("plan.svg", b"<?xml")])
def test_a_plot_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begins: bytes
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    assert main(["plan", *TABLE, *ROBOT, "--json", "--plot", str(path)]) == ExitCode.OK
    assert path.read_bytes().startswith(begins)
    said = capsys.readouterr()
    assert json.loads(said.out)["robots_per_device"] == 5
    assert f"written: {path}" in said.err
    if name.endswith("svg"):
        text = path.read_text()
        for word in (
            "limit: 1 %",
            "one at a time: 4 robots",
            "batches up to 3: 5 robots",
            "robots on one device",
        ):
            assert f"<!-- {word} -->" in text, word
