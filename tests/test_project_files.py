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


def test_ci_calls_every_suite() -> None:
    called = re.findall(r"^make ([\w-]+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert {
        "test",
        "test-long",
        "test-lerobot",
        "test-openpi",
        "docs",
        "test-pythons",
        "test-wheel",
        "demo",
    } <= set(called)
    for target in called:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
