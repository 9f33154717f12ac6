"""What docs/operations tells an operator to do works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from server.raw_client import serving
from vagus.server.config import ServeConfig
from vagus.server.health import COUNTERS, HISTOGRAMS
from vagus.server.manifest import parse_manifest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "operations").glob("*.md"))
TEXT = "".join(page.read_text(encoding="utf-8") for page in PAGES)


def block(language: str, marker: str) -> str:
    """Return the code block of `language` that contains `marker`, without its indentation."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)
    indent, code = next((indent, code) for indent, code in blocks if marker in code)
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))


def test_the_manifest_is_one(tmp_path: Path) -> None:
    for name in ("ca.pem", "gpu.pem", "gpu.key"):
        (tmp_path / name).touch()
    text = block("yaml", "policy:")
    for name in ("ca.pem", "gpu.pem", "gpu.key"):
        text = text.replace(name, str(tmp_path / name))
    config = parse_manifest(text.encode(), ".yaml")
    assert (config.max_sessions, config.zenoh.connect) == (16, ("tls/router.lab:7447",))


def test_every_metric_is_in_the_table() -> None:
    names = [name + "_total" for name, _, _ in COUNTERS.values()] + [name for name, _ in HISTOGRAMS.values()]
    assert [name for name in names if f"`{name}" not in TEXT] == []


def test_robot_and_server_are_joined_by_session_and_request(tmp_path: Path) -> None:
    audit, steps, script = tmp_path / "audit.jsonl", tmp_path / "steps.jsonl", tmp_path / "join.py"
    with serving(ServeConfig(warm_up=False, audit_path=audit)) as stand:
        client = stand.opened("robot-17")
        for state in (1.0, 2.0, float("nan")):
            client.ask(state)
        epoch = client.epoch
    lines: list[dict[str, float | None]] = [
        {"epoch": epoch, "seq": 1, "index": 2, "age_ms": age} for age in (80.0, 110.0)
    ]
    lines.append({"epoch": None, "seq": None, "index": None, "age_ms": None})
    steps.write_text("\n".join(json.dumps(line) for line in lines))
    script.write_text(block("python", "def join"))
    run = subprocess.run(
        [sys.executable, str(script), str(audit), str(steps)], capture_output=True, text=True, check=True
    )
    first, second, third = run.stdout.splitlines()
    assert "seq 1 chunk" in first
    assert "2 ticks from index 2, oldest 110 ms" in first
    assert "seq 2 chunk" in second
    assert "never commanded" in second
    assert "seq 3 invalid_input" in third
