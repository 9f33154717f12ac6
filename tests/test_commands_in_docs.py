"""Whatever README and docs tell people to type is understood by the parser that they type it to.

`process/test_documented_runs.py` runs what any machine can run; `lerobot/test_commands_in_docs.py` has the
flags of LeRobot's rollout.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from documents import (
    DOCUMENTS,
    FILE_NAME,
    ROOT,
    Typed,
    files_shown,
    flags_named,
    lines_typed,
    put_files,
    spans,
)
from vagus.cli.exit_code import ExitCode
from vagus.cli.parse import COMMANDS, parse
from vagus.edge.config import EdgeConfig
from vagus.errors import VagusError
from vagus.gateways.profile_file import load_profile
from vagus.integrations.gymnasium.mapping import load_mapping
from vagus.integrations.lerobot.robot.features import load_device_mapping
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest

LINES = [line for document in DOCUMENTS for line in lines_typed(document, "vagus")]
SPANS = [span for document in DOCUMENTS for span in spans(document)]
COMMANDS_IN_TEXT = [span for span in SPANS if re.match(r"vagus [a-z-]", span.text)]
FLAGS_IN_TEXT = [span for span in SPANS if span.text.startswith("--")]
FLAG = re.compile(r"--[a-z][\w.-]*")
OF_LEROBOT = re.compile(r"--((policy|inference|robot|dataset|strategy)\.|[a-z]+_|(task|fps|device)\b)")
"""Flags of its rollout, and of programs in docs/lerobot/migrate.md; ours have no underscore."""
FIRST = {
    "gateway": ["openpi"],
    "serve": ["--policy", "reach"],
    "bench": ["delay"],
    "chaos": ["a:1", "b:2"],
    "replay": ["captures"],
}
"""What a command wants before a single flag of it can be tried."""
SHOWN_IN = {"README.md": "lerobot/serve.md"}
"""Where the files are that a document speaks of and links to."""
TLS = ["--tls.ca", "ca.pem", "--tls.certificate", "gpu.pem", "--tls.private-key", "gpu.key"]
LOADERS = (load_manifest, load_mapping, load_device_mapping, load_profile)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documented")


@pytest.fixture(autouse=True)
def beside_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def put_files_of(typed: Typed, folder: Path) -> None:
    document = typed.place.partition(":")[0]
    put_files(ROOT / "docs" / SHOWN_IN.get(document, "quickstart.md"), folder)
    put_files(ROOT / document, folder)
    (folder / "MANIFEST.yaml").write_text("policy: reach\n")


def trouble_with(arguments: list[str]) -> str:
    """Return what the parser has against the arguments, "" if nothing."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            parse(arguments)
    except SystemExit as ended:
        return "" if ended.code in (0, None) else said.getvalue() or "refused"
    except VagusError as error:
        return str(error)
    return ""


@cache
def flags_of(command: str) -> frozenset[str]:
    """Return the flags that the command's help lists."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("COLUMNS", "400")
        with pytest.raises(SystemExit):
            parse([command, "--help"])
    return frozenset(FLAG.findall(said.getvalue()))


def test_there_are_commands_to_look_at() -> None:
    assert len(LINES) >= 15
    assert {line.words[1] for line in LINES} >= {"router", "serve", "run", "chaos", "lerobot-rollout"}
    assert len(FLAGS_IN_TEXT) >= 30


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_in_a_block_is_understood(line: Typed, folder: Path) -> None:
    put_files_of(line, folder)
    trouble = trouble_with(line.words[1:])
    assert not trouble, f"{line}\n{trouble}"


@pytest.mark.parametrize("span", COMMANDS_IN_TEXT, ids=str)
def test_a_command_in_running_text_is_understood(span: Typed, folder: Path) -> None:
    put_files_of(span, folder)
    command, *rest = span.words[1:]
    if command.startswith("-") or not rest:
        assert command in (*COMMANDS, "--version", "--help"), span
        return
    if FLAG.fullmatch(rest[-1]):  # named, without a value: `vagus run --record`
        assert rest.pop() in flags_of(command), span
    needed = FIRST.get(command, []) if not rest else []
    trouble = trouble_with([command, *needed, *rest])
    assert not trouble, f"{span}\n{trouble}"


@pytest.mark.parametrize("span", FLAGS_IN_TEXT, ids=str)
def test_a_flag_in_running_text_is_one_and_takes_the_value_that_it_is_given(
    span: Typed, folder: Path
) -> None:
    put_files_of(span, folder)
    named = [flag for flag in flags_named(span) if not OF_LEROBOT.match(flag)]
    if not named:
        return
    takers = [name for name in COMMANDS if name != "lerobot-rollout" and flags_of(name) >= set(named)]
    assert takers, f"{span}: no command has {' and '.join(named)}"
    if span.words == named:
        return  # no value is told
    certificates = TLS if "tls/" in span.text else []
    needed = {taker: [*_first(taker, named), *certificates] for taker in takers}
    troubles = [trouble_with([taker, *needed[taker], *span.words]) for taker in takers]
    assert "" in troubles, f"{span}\n{troubles[0]}"


def _first(command: str, named: list[str]) -> list[str]:
    return [] if "--policy" in named else FIRST.get(command, [])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_manifest_or_mapping_that_is_shown_is_read(document: Path, folder: Path) -> None:
    put_files(document, folder)
    for name in files_shown(document):
        if name == "pyproject.toml":
            continue  # of a package, and read in test_installed.py
        if name.endswith(".toml"):
            pytest.importorskip("tomllib")
        if name.endswith((".yaml", ".toml", ".json")):
            assert any(_is_read(load, folder / name) for load in LOADERS), f"{document.name}: {name}"


def _is_read(load: object, path: Path) -> bool:
    assert callable(load)
    try:
        load(path)
    except VagusError:
        return False
    return True


def test_every_block_of_settings_says_which_file_it_is() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        firsts = re.findall(r"^```(?:yaml|toml)\n(.*)$", text, re.MULTILINE)
        assert not [first for first in firsts if not FILE_NAME.match(first)], document.name


def test_the_defaults_that_are_listed_are_the_defaults() -> None:
    table = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8").partition("## Defaults")[2]
    settings = {entry.name: entry.default for kind in (ServeConfig, EdgeConfig) for entry in fields(kind)}
    rows = re.findall(r"^\| (?:server )?((?:`\w+`(?:, )?)+) \| ([\d., ]+) \|", table, re.MULTILINE)
    listed = {
        name: float(value)
        for names, values in rows
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True)
    }
    assert len(listed) >= 9
    assert listed == {name: settings[name] for name in listed}


def test_every_exit_code_is_in_the_table() -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == [
        int(code) for code in ExitCode
    ]
