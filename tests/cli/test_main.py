"""What the command says and returns when it is called wrongly, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main

COMMANDS = ("demo", "serve", "run", "router", "status", "doctor", "chaos")

FILES = {
    "key.yaml": "policy: reach\nmax_sesions: 3\n",
    "value.yaml": "policy: reach\nmax_sessions: many\n",
    "broken.yaml": "policy: [\n",
    "list.yaml": "- policy\n",
    "robot.py": "class Arm: pass\n",
}

WRONG: dict[str, tuple[list[str], ExitCode, tuple[str, ...]]] = {
    "unknown key": (["serve", "key.yaml"], ExitCode.CONFIG, ("max_sesions", "did you mean max_sessions")),
    "value of another type": (["serve", "value.yaml"], ExitCode.CONFIG, ("max_sessions", "int")),
    "no YAML": (["serve", "broken.yaml"], ExitCode.CONFIG, ("YAML",)),
    "no table": (["serve", "list.yaml"], ExitCode.CONFIG, ("table",)),
    "no such manifest": (["serve", "absent.yaml"], ExitCode.CONFIG, ("absent.yaml",)),
    "no such robot": (["run", "--robot", "simm"], ExitCode.CONFIG, ("simm", "sim")),
    "no such robot file": (["run", "--robot", "absent.py:Arm"], ExitCode.CONFIG, ("absent.py",)),
    "no robot in the file": (["run", "--robot", "robot.py:Arm"], ExitCode.CONFIG, ("read_state",)),
    "no such option": (["run", "--options", "speed", "3"], ExitCode.CONFIG, ("speed", "rate_hz")),
    "no sense in a setting": (["run", "--buffer-time-s", "-1"], ExitCode.CONFIG, ("buffer_time_s", "-1")),
    "no such endpoint": (["status", "--connect", "nowhere"], ExitCode.CONFIG, ("nowhere", "tcp/")),
    "half a certificate": (["status", "--tls.ca", "key.yaml"], ExitCode.CONFIG, ("private_key",)),
    "no address": (["chaos", "127.0.0.1", "x"], ExitCode.CONFIG, ("host:port",)),
    "no sense in a fault": (["chaos", "a:1", "b:2", "--delay-ms", "-3"], ExitCode.CONFIG, ("delay_ms",)),
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
