"""What the command says and returns when it is called wrongly, without a network."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus import __version__
from vagus.cli.command import _text_of
from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.cli.parse import COMMANDS as COMMANDS_LISTED
from vagus.control.config import LoopConfig
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.transport.zenoh_config import ZenohConfig

COMMANDS = (
    "demo",
    "serve",
    "run",
    "gateway",
    "router",
    "status",
    "doctor",
    "plan",
    "bench",
    "profile",
    "replay",
    "view",
    "chaos",
)

FILES = {
    "key.yaml": "policy: reach\nmax_sesions: 3\n",
    "value.yaml": "policy: reach\nmax_sessions: many\n",
    "broken.yaml": "policy: [\n",
    "list.yaml": "- policy\n",
    "choice.yaml": "policy: reach\nserving_mode: EXCLUSIVE\n",
    "network.yaml": "policy: reach\nzenoh: {mode: mesh}\n",
    "robot.py": "class Arm: pass\n",
    "gateway.yaml": "policy: reach\ngateways: [{protocol: openpi, profil: droid}]\n",
    "gateways.yaml": "gateways: [{protocol: openpi, profile: droid}, {protocol: openpi, profile: droid}]\n",
    "none.yaml": "gateways: []\n",
    "policy.yaml": "policy: reach\n",
}

WRONG: dict[str, tuple[list[str], ExitCode, tuple[str, ...]]] = {
    "unknown key of a gateway": (
        ["serve", "gateway.yaml"],
        ExitCode.CONFIG,
        ("gateways[0].profil", "did you mean profile"),
    ),
    "two gateways of one name": (["gateway", "gateways.yaml"], ExitCode.CONFIG, ("'openpi' twice", "name")),
    "no gateway in the file": (["gateway", "none.yaml"], ExitCode.CONFIG, ("at least one", "none")),
    "a file of something else": (["gateway", "policy.yaml"], ExitCode.CONFIG, ("among gateways", "policy")),
    "flags beside a file of gateways": (
        ["gateway", "none.yaml", "--max-peers", "3"],
        ExitCode.CONFIG,
        ("all settings in none.yaml",),
    ),
    "unknown protocol": (
        ["gateway", "ros"],
        ExitCode.CONFIG,
        ("openpi, gr00t, pointact, lerobot_grpc, astribot, lerobot_zenoh", "'ros'"),
    ),
    "no profile": (["gateway", "openpi"], ExitCode.CONFIG, ("profile", "openpi", "droid")),
    "unknown profile": (["gateway", "openpi", "--profile", "droit"], ExitCode.CONFIG, ("droid", "droit")),
    "profile of another protocol": (
        ["gateway", "openpi", "--profile", "so100"],
        ExitCode.CONFIG,
        ("openpi", "so100"),
    ),
    "unknown key": (["serve", "key.yaml"], ExitCode.CONFIG, ("max_sesions", "did you mean max_sessions")),
    "value of another type": (["serve", "value.yaml"], ExitCode.CONFIG, ("max_sessions", "int")),
    "no YAML": (["serve", "broken.yaml"], ExitCode.CONFIG, ("YAML",)),
    "no table": (["serve", "list.yaml"], ExitCode.CONFIG, ("table",)),
    "choice in upper case": (
        ["serve", "choice.yaml"],
        ExitCode.CONFIG,
        ("serving_mode", "auto, exclusive", "did you mean exclusive"),
    ),
    "no such choice": (["serve", "network.yaml"], ExitCode.CONFIG, ("zenoh.mode", "client, peer", "mesh")),
    "no such manifest": (["serve", "absent.yaml"], ExitCode.CONFIG, ("absent.yaml",)),
    "flag twice": (
        ["run", "--options", "seed", "1", "--options", "rate_hz", "50"],
        ExitCode.CONFIG,
        ("--options twice",),
    ),
    "flag and its opposite": (["run", "--no-wait", "--wait"], ExitCode.CONFIG, ("--wait twice",)),
    "no picture": (["demo", "--out", "nowhere/demo.png"], ExitCode.CONFIG, ("out", "nowhere/demo.png")),
    "no such picture": (["demo", "--out", "demo.xls"], ExitCode.CONFIG, ("out", ".png")),
    "no such robot": (["run", "--robot", "simm"], ExitCode.CONFIG, ("simm", "sim")),
    "no such robot file": (["run", "--robot", "absent.py:Arm"], ExitCode.CONFIG, ("absent.py",)),
    "no robot in the file": (["run", "--robot", "robot.py:Arm"], ExitCode.CONFIG, ("read_state",)),
    "no such option": (["run", "--options", "speed", "3"], ExitCode.CONFIG, ("speed", "rate_hz")),
    "no sense in a setting": (["run", "--buffer-time-s", "-1"], ExitCode.CONFIG, ("buffer_time_s", "-1")),
    "no such endpoint": (["status", "--connect", "nowhere"], ExitCode.CONFIG, ("nowhere", "tcp/")),
    "half a certificate": (["status", "--tls.ca", "key.yaml"], ExitCode.CONFIG, ("private_key",)),
    "no address": (["chaos", "127.0.0.1", "x"], ExitCode.CONFIG, ("host:port",)),
    "no sense in a fault": (["chaos", "a:1", "b:2", "--delay-ms", "-3"], ExitCode.CONFIG, ("delay_ms",)),
    "a cut that never comes": (
        ["chaos", "a:1", "b:2", "--cut-for-s", "5"],
        ExitCode.CONFIG,
        ("cut_for_s", "--cut-every-s"),
    ),
    "a place for no picture": (["demo", "--no-plot", "--out", "x.png"], ExitCode.CONFIG, ("out", "--plot")),
    "a format of no recording": (
        ["run", "--record.format", "lerobot"],
        ExitCode.CONFIG,
        ("record.format", "--record FOLDER"),
    ),
    "a data set's name for a folder": (
        ["run", "--record", "runs", "--record.repo-id", "me/runs"],
        ExitCode.CONFIG,
        ("record.repo_id", "--record.format lerobot"),
    ),
    "a folder's setting for a data set": (
        ["run", "--record", "runs", "--record.format", "lerobot", "--record.jpeg-quality", "50"],
        ExitCode.CONFIG,
        ("record.jpeg_quality", "--record.format folder"),
    ),
    "a time for no way back": (
        ["run", "--return-time-s", "9"],
        ExitCode.CONFIG,
        ("return_time_s", "--return-to-start"),
    ),
    "a host of no probes": (
        ["serve", "--policy", "reach", "--health-host", "0.0.0.0"],  # noqa: S104 - refused
        ExitCode.CONFIG,
        ("health_host", "--health-port"),
    ),
    "a size of no audit": (
        ["serve", "--policy", "reach", "--audit-max-mb", "5"],
        ExitCode.CONFIG,
        ("audit_max_mb", "--audit-path"),
    ),
    "two kinds of status": (["status", "--watch", "--json"], ExitCode.CONFIG, ("--watch", "--json")),
    "a pause between no looks": (["status", "--interval-s", "5"], ExitCode.CONFIG, ("interval_s", "--watch")),
    "no sense in a cut": (["chaos", "a:1", "b:2", "--cut-for-s", "0"], ExitCode.CONFIG, ("cut",)),
    "no question": (["doctor", "--count", "0"], ExitCode.CONFIG, ("count",)),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_line_says_what_is_wrong(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    arguments, code, parts = WRONG[what]
    assert main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vagus: ")
    for part in parts:
        assert part in line, line


def test_a_gateway_without_a_router_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("websockets")
    unreachable = ["--connect", "tcp/127.0.0.1:1", "--open-timeout-s", "0.2"]
    assert main(["gateway", "openpi", "--profile", "droid", *unreachable]) == ExitCode.UNREACHABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vagus: ")
    assert "127.0.0.1:1" in line


def test_what_the_list_of_commands_says_is_what_the_commands_say() -> None:
    assert set(COMMANDS_LISTED) == {*COMMANDS, "lerobot-rollout"}
    for place, _ in COMMANDS_LISTED.values():
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name).run)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vagus {__version__}"


def test_a_level_that_is_none_is_named_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAGUS_LOG", "loud")
    assert main(["chaos", "127.0.0.1:0", "127.0.0.1:1"]) == ExitCode.CONFIG
    assert "debug, info, warning, error" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_is_there_and_every_flag_says_what_it_does(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "usage:" in said
    for command in COMMANDS if arguments == ["--help"] else ():
        assert command in said


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run", "--bufer-time-s", "1"], ["serve", "--polcy", "x"]]
)
def test_what_does_not_exist_is_named_with_what_does(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.CONFIG
    said = capsys.readouterr().err
    assert all(argument in said for argument in arguments[-2:-1])


def choices_of(kind: type, prefix: str = "") -> Iterator[tuple[str, type[enum.Enum]]]:
    """Yield every setting of `kind` that is a choice: its flag below a command's, and the choices."""
    types = typing.get_type_hints(kind)
    for entry in dataclasses.fields(kind):
        flag = f"{prefix}{entry.name.replace('_', '-')}"
        if dataclasses.is_dataclass(types[entry.name]):
            yield from choices_of(types[entry.name], f"{flag}.")
        elif isinstance(types[entry.name], type) and issubclass(types[entry.name], enum.Enum):
            yield flag, types[entry.name]


FLAGS_OF_CHOICES = [
    *(("run", flag, kind) for flag, kind in choices_of(EdgeConfig)),
    *(("run", flag, kind) for flag, kind in choices_of(LoopConfig)),
    *(("run", flag, kind) for flag, kind in choices_of(ZenohConfig)),
    *(("serve", flag, kind) for flag, kind in choices_of(ServeConfig) if not flag.startswith("zenoh.")),
]


@pytest.mark.parametrize(("command", "flag", "kind"), FLAGS_OF_CHOICES)
def test_every_choice_is_spelled_in_lower_case_as_in_a_manifest(
    command: str, flag: str, kind: type[enum.Enum], capsys: pytest.CaptureFixture[str]
) -> None:
    for choice in kind:
        assert choice.value == choice.value.lower()
        with pytest.raises(SystemExit) as ended:  # both are parsed before the help is shown
            main([command, f"--{flag}", choice.value, "--help"])
        assert ended.value.code == 0
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([command, f"--{flag}", choice.name])
        assert ended.value.code == ExitCode.CONFIG
        assert f"'{choice.value}'" in capsys.readouterr().err


def test_ctrl_c_while_a_command_still_starts_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vagus.cli.main.importlib.import_module", interrupted)
    assert main(["--help"]) == ExitCode.INTERRUPTED


def test_nothing_heavy_is_imported_before_ctrl_c_is_in_order() -> None:
    heavy = "sorted({'numpy', 'rich', 'tyro', 'zenoh', 'msgspec'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, vagus.cli.main; print({heavy})"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_what_is_to_be_pasted_into_a_file_is_printed_as_it_is() -> None:
    manifest = 'policy: lerobot\nspec:  # in degrees\n  actions:\n    "j.pos": "deg"\n'
    error = ConfigError(
        "model", wanted="names\nand units", got="none", fix=f"check every line:\n\n{manifest}"
    )
    line, _, block = _text_of(error).partition("\n\n")
    assert "\n" not in line
    assert line.startswith("model: wanted names and units, got none")
    assert f"{block}\n" == manifest
