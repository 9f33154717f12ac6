"""Files for contributors say what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

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


def targets_of_ci() -> set[str]:
    text = (ROOT / ".ci" / "run").read_text().replace("\\\n", "")
    lines = re.findall(r"^(?:make|beside)( .+)", text, re.MULTILINE)
    words = " ".join(line.replace("|| make", "").partition("#")[0] for line in lines).split()
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
    assert {*suites, "lint", "docs", "test-wheel", "bench-smoke", "fuzz", "demo"} <= called
    for target in [*called, *(f"re{name}" for name in called if name.startswith("test-long"))]:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_halves_of_the_long_tests_are_all_of_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    halves = dict(re.findall(r"^HALF-(\w+) := (.+)", makefile, re.MULTILINE))
    assert halves["others"] == f"tests --ignore {halves['processes']}"
    assert (ROOT / halves["processes"]).is_dir()
