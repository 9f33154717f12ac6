"""What `vagus serve` does before a policy is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.cli.serve import ServeCommand, ServeFlags
from vagus.cli.serve_arguments import manifest_among
from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig

TELLING = """
import os
raise RuntimeError("threads: " + os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("given", "seen"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_a_policy_is_imported_where_threads_wait_asleep_unless_told_otherwise(
    given: str | None,
    seen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = tmp_path / "telling.py"
    policy.write_text(TELLING)
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")  # whatever `serve` sets is taken back with it
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        code = main(["serve", "--policy", f"{policy}:act", "--connect", *router.endpoints])
    assert code != ExitCode.OK
    assert f"threads: {seen}" in capsys.readouterr().err


MANIFEST = """{
    "policy": "arm.py:Arm", "service_name": "cell", "max_sessions": 3, "audit_path": "audit.jsonl",
    "options": {"horizon": 20},
    "zenoh": {"connect": ["tls/router:7447"], "lease_s": 5.0,
              "tls": {"ca": "pem", "certificate": "pem", "private_key": "pem"}}
}"""
FLAGS: dict[str, tuple[str, ...]] = {
    "none": (),
    "one": ("--max-sessions", "8"),
    "a list": ("--connect", "tls/a:1", "tls/b:2"),
    "pairs": ("--options", "horizon", "30", "config", "other.json"),
    "a switch": ("--no-warm-up",),
    "with =": ("--revision=x.json",),
    "a file": ("--capture-dir", "captures.json"),
    "a section": ("--spec.cameras", "top", "96", "96"),
}


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pem").touch()
    (tmp_path / "Arm.JSON").write_text(MANIFEST)
    return "Arm.JSON"


def config_of(arguments: list[str]) -> ServeConfig:
    return ServeCommand.from_arguments(arguments).config


@pytest.mark.parametrize("before", FLAGS)
@pytest.mark.parametrize("after", FLAGS)
def test_a_manifest_is_read_wherever_it_stands(before: str, after: str, manifest: str) -> None:
    behind = FLAGS[after] if after != before else ()
    config = config_of([*FLAGS[before], manifest, *behind])
    assert config == config_of([manifest, *FLAGS[before], *behind])
    assert config.options["horizon"] == (30 if "pairs" in (before, after) else 20)
    assert (config.policy, config.service_name, config.audit_path) == (
        "arm.py:Arm",
        "cell",
        Path("audit.jsonl"),
    )
    assert config.zenoh.tls.ca == Path("pem").absolute()
    assert config.zenoh.lease_s == 5.0


def test_flags_win_over_the_manifest_and_what_they_do_not_name_stays(manifest: str) -> None:
    config = config_of(["--service-name", "lab", manifest, "--max-sessions", "8", "--connect", "tls/other:1"])
    assert (config.service_name, config.max_sessions) == ("lab", 8)
    assert config.zenoh.connect == ("tls/other:1",)
    assert config.options == {"horizon": 20}


ONE_VALUE = {
    "policy": "other",
    "revision": "v2",
    "serving_mode": "exclusive",
    "max_batch": "3",
    "audit_path": "other.jsonl",
    "zenoh.lease_s": "7.0",
    "zenoh.mode": "client",
}


@pytest.mark.parametrize("name", ONE_VALUE)
def test_any_flag_wins_over_the_manifest(name: str, manifest: str) -> None:
    flag = name.removeprefix("zenoh.").replace("_", "-")
    alone = config_of(["--policy", "reach", f"--{flag}", ONE_VALUE[name]]) if name != "policy" else None
    told = config_of([manifest, f"--{flag}", ONE_VALUE[name]])

    def value(config: ServeConfig) -> object:
        place: object = config
        for part in name.split("."):
            place = getattr(place, part)
        return place

    assert value(told) == ("other" if alone is None else value(alone))


NOT_UNDERSTOOD = {
    "nothing": ([], ("manifest", "--policy", "lerobot, pointact-echo, reach", "neither")),
    "no policy": (["--max-sessions", "3"], ("--policy", "lerobot, pointact-echo, reach")),
    "a policy without its flag": (["waves.py:wave"], ("did you mean --policy waves.py:wave?",)),
    "a backend without its flag": (["reach"], ("did you mean --policy reach?",)),
    "no such file": (["nofile"], ("'nofile'", ".yaml, .toml or .json")),
    "another suffix": (["--max-sessions", "3", "reach.cfg"], ("'reach.cfg'",)),
    "a missing manifest behind a flag": (["--max-sessions", "3", "absent.json"], ("absent.json",)),
    "two manifests": (["Arm.JSON", "--max-sessions", "3", "other.yaml"], ("one manifest", "other.yaml")),
    "a manifest and more": (["Arm.JSON", "waves.py:wave"], ("waves.py:wave",)),
    "a manifest without a policy": (["empty.json"], ("empty.json without one",)),
}


@pytest.mark.parametrize("what", NOT_UNDERSTOOD)
def test_what_was_not_used_is_refused(
    what: str, manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.json").write_text("{}")
    arguments, parts = NOT_UNDERSTOOD[what]
    assert main(["serve", *arguments]) == ExitCode.CONFIG
    said = capsys.readouterr().err
    for part in parts:
        assert part in said, said


def test_the_value_of_a_flag_is_no_manifest() -> None:
    arguments = ["--policy", "reach", "--audit-path", "a.json", "--options", "config", "arm.yaml"]
    assert manifest_among(arguments, ServeFlags) == (None, arguments)
    with pytest.raises(ConfigError, match="one manifest"):
        manifest_among(["a.yaml", "b.TOML"], ServeFlags)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--policy", "reach", "--inference-ms", "60"], "--options inference_ms …"),
        (["--policy", "lerobot", "--allowed-sources", "outputs"], "--options allowed_sources …"),
        (["--policy=lerobot", "--allowed-classes=steps"], "--options allowed_classes …"),
    ],
)
def test_a_flag_of_before_is_told_its_new_place(
    arguments: list[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == ExitCode.CONFIG
    assert place in capsys.readouterr().err


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments, "--help"])
    assert not ended.value.code
    return capsys.readouterr().out


def test_help_lists_the_settings_of_the_policy_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(["--policy", "lerobot"], capsys)
    assert "options of --policy lerobot, each as --options NAME VALUE:" in said
    assert "allowed_sources: list of texts" in said
    assert "Least time" not in said
    assert "inference_ms: float (default: 0.0)" in help_of(["--policy=reach"], capsys)
    assert "options of" not in help_of([], capsys)
    manifest = tmp_path / "m.yaml"
    manifest.write_text("policy: lerobot\n")
    assert "options of --policy lerobot" in help_of([str(manifest)], capsys)
    assert "options of --policy reach" in help_of([str(manifest), "--policy", "reach"], capsys)


OWN = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Settings:
    gain: float = 2.0
    \"\"\"Gain of the controller.\"\"\"

class Own:
    options_type = Settings

class Plain:
    pass
"""


def test_help_lists_the_settings_of_a_class_of_your_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own_help.py"
    own.write_text(OWN)
    said = help_of(["--policy", f"{own}:Own"], capsys)
    assert "  gain: float (default: 2.0)\n      Gain of the controller." in said
    assert "options of" not in help_of(["--policy", f"{own}:Plain"], capsys)
    said = help_of(["--policy", f"{own}:Nobody"], capsys)
    assert "usage: vagus serve" in said
    assert "are not known" in said
    assert "'Nobody'" in said


WRONG_OPTIONS = {
    "another name": (["inference_md", "60"], "did you mean inference_ms?"),
    "another type": (["inference_ms", "fast"], "inference_ms: float"),
    "out of range": (["inference_ms", "-1"], "0 to 60000"),
}


@pytest.mark.parametrize("what", WRONG_OPTIONS)
def test_a_wrong_option_is_told_before_anything_is_connected(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options, words = WRONG_OPTIONS[what]
    unreached = ["--connect", "tcp/127.0.0.1:1", "--open-timeout-s", "0.1"]
    assert main(["serve", "--policy", "reach", *unreached, "--options", *options]) == ExitCode.CONFIG
    assert words in capsys.readouterr().err


def test_a_list_is_given_with_commas() -> None:
    config = config_of(["--policy", "lerobot", "--options", "allowed_sources", "outputs/train, lerobot"])
    assert config.options == {"allowed_sources": ("outputs/train", "lerobot")}
    config = config_of(["--policy", "my.py:Mine", "--options", "allowed_sources", "a,b"])
    assert config.options == {"allowed_sources": "a,b"}
