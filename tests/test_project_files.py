"""Files for contributors say what is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_what_runs_before_a_commit_is_what_the_gates_run() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    wanted = {
        line.split("/", 1)[1].replace(" --check", "").removesuffix(" .") for line in lint.splitlines()[1:]
    }
    assert {hook["entry"].removeprefix(".venv/bin/") for hook in hooks} == wanted


def test_contributors_are_told_of_targets_and_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "SECURITY.md").read_text()
    targets = re.findall(r"make ([\w-]+)", text)
    assert targets
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    links = re.findall(r"\]\(([\w./-]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_file_holds_the_marks_of_a_merge_that_was_not_finished() -> None:
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    texts = {
        name: (ROOT / name).read_text(errors="replace")
        for name in listed.stdout.decode().split("\0")
        if name and (ROOT / name).is_file()
    }
    assert len(texts) > 1000
    lines = ((name, line) for name, text in texts.items() for line in text.splitlines())
    assert [found for found in lines if found[1].startswith(marks)] == []


def targets_of_ci() -> set[str]:
    text = (ROOT / ".ci" / "run").read_text().replace("\\\n", "")
    lines = re.findall(r"^(?:make|two_at_a_time)( [^|#\n]+)", text, re.MULTILINE)
    words = " ".join(lines).split()
    return {word for word in words if not word.startswith("--") and "=" not in word}


def test_ci_calls_every_suite() -> None:
    called = targets_of_ci()
    suites = {
        "test",
        "test-long-processes",
        "test-long-others",
        "test-lerobot",
        "test-openpi",
        "test-pythons",
    }
    environments = {"install", "environment-lerobot", "environment-openpi"}
    assert {*suites, *environments, "lint", "docs", "test-wheel", "bench-smoke", "fuzz", "demo"} == called
    repeats = [f"re{name}" for name in suites]
    subprocess.run(["make", "-n", *called, *repeats], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


PARTS = ("network", "edge", "others")
"""Of the unit tests."""


@pytest.mark.parametrize(
    ("parts", "rest", "marker"),
    [
        (("unit-network", "unit-edge"), "unit-others", "not slow"),
        (("long-processes",), "long-others", "slow"),
    ],
)
def test_the_parts_are_all_of_the_tests(parts: tuple[str, ...], rest: str, marker: str) -> None:
    lines = [shlex.split(pytest_line(name)) for name in (*parts, rest)]
    assert all(line[1:4] == ["-m", marker, "-o"] for line in lines)
    assert len({line[4] for line in lines}) == len(lines)  # each keeps to itself what failed in it
    assert all(line[5:] for line in lines)
    folders = [folder for line in lines[:-1] for folder in line[5:]]
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert lines[-1][5:] == ["tests", *(f"--ignore={folder}" for folder in folders)]


def pytest_line(name: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", f"test-{name}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if "/pytest " in line)
    return line


CI = """
make() {{ echo "$1" >>called; case $1 in {failing}) return 1 ;; esac; }}
export -f make
"""


@pytest.mark.parametrize(
    ("failing", "repeated", "is_passed"),
    [
        ("none", [], True),
        ("test-b", ["retest-b"], True),
        ("test-a|test-c", ["retest-a", "retest-c"], True),
        ("test-b|retest-b", ["retest-b"], False),
    ],
)
def test_ci_repeats_the_suites_that_failed_and_none_may_fail_twice(
    tmp_path: Path, failing: str, repeated: list[str], is_passed: bool
) -> None:
    text = (ROOT / ".ci" / "run").read_text()
    head = (
        text.partition("\nmake --jobs=2")[0]
        .rpartition("\n")[0]
        .replace('cd "$(dirname "$0")/.."', CI.format(failing=failing))
    )
    script = f"{head}\ntwo_at_a_time test-a test-b test-c\n"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=False, capture_output=True, text=True)
    called = (tmp_path / "called").read_text().split()
    assert sorted(called[:3]) == ["test-a", "test-b", "test-c"]
    assert sorted(called[3:]) == repeated
    assert (done.returncode == 0) == is_passed


@pytest.mark.parametrize(
    ("broken", "repeated", "is_passed"),
    [
        (["network"], ["network"], True),
        (["network", "others"], ["network", "others"], True),
        (["edge"], ["edge"], True),
        ([], [], False),
    ],
)
def test_the_part_of_make_test_that_failed_is_repeated_whatever_it_failed_by(
    tmp_path: Path, broken: list[str], repeated: list[str], *, is_passed: bool
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".pytest_cache").mkdir()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("ruff", "mypy", "lint-imports", "pytest"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> called\n{FAILING}')
        (programs / name).chmod(0o700)
    (tmp_path / ".venv" / ".installed").touch()

    def make(target: str, broken: list[str]) -> tuple[bool, str]:
        env = {**os.environ, "BROKEN": " ".join(broken)}
        (tmp_path / "called").unlink(missing_ok=True)
        done = subprocess.run(["make", target], cwd=tmp_path, check=False, capture_output=True, env=env)
        return done.returncode == 0, (tmp_path / "called").read_text()

    is_green, called = make("test", broken)
    assert is_green == (not broken)
    assert all(f"/test-unit-{part} " in called for part in PARTS)
    is_green, called = make("retest", [])
    assert [part for part in PARTS if f"/test-unit-{part} " in called] == repeated
    assert "mypy" in called
    assert is_green == is_passed
    assert not make("retest", broken)[0]


FAILING = """
for part in $BROKEN; do case "$*" in */test-unit-$part*) exit 139 ;; esac; done
"""
"""A crash in a part, by which no test has failed."""
