"""The programs of docs/python.md that serve and ask, and those of `examples/`, run as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vagus
from process.rig import PATIENCE_S, Rig, rig_in

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"<!-- executed: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
PAGE = dict(SNIPPET.findall((ROOT / "docs/python.md").read_text(encoding="utf-8")))
OBSERVATION = {"state": [0.5] * 6, "images": {}}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("page")) as running:
        for name in ("evaluate.py", "settle.py", "together.py"):
            code = PAGE[name].replace("tcp/ROUTER:7447", running.endpoint)
            (running.folder / name).write_text(code, encoding="utf-8")
        yield running


def started(rig: Rig, path: str | Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=rig.folder,
    )


def output(program: subprocess.Popen[str]) -> str:
    """Return what a program said until it ended, in order."""
    said, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, said
    return said


def test_a_script_serves_and_another_one_asks(rig: Rig) -> None:
    server = started(rig, "settle.py")
    try:
        first, second = output(started(rig, "evaluate.py")), output(started(rig, "evaluate.py"))
        assert first.count("ends at") == 2
        assert first == second, "it repeats"
        with vagus.RemotePolicy(rig.endpoint) as policy:
            plan = policy.infer(OBSERVATION)
            later = policy.infer({"state": [0.0] * 6}, prefix=plan, inference_delay=3)
        assert later.robot[:4, 0].tolist() == [0.5, 0.5, 0.5, 0.0]
        server.send_signal(signal.SIGINT)
        output(server)
    finally:
        server.kill()
        server.communicate()


def test_a_script_serves_and_asks_in_one_process(rig: Rig) -> None:
    assert output(started(rig, "together.py")) == "(30, 6)\n"
