"""The programs of docs/python.md run as they stand, and are killed, interrupted and left without a server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.rig import PATIENCE_S, Rig, kill, rig_in

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"<!-- executed: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
MOST_LINES = 15
NOTING = """
import sys
import my_robot

def noting(name):
    inner = getattr(my_robot.MyArm, name)

    def call(self, *arguments):
        told = [name, *[str(a.tolist()) for a in arguments]]
        sys.stdout.write(" ".join(told) + "\\n")  # whole, among threads
        return inner(self, *arguments)

    return call

for name in ("stop", "close", "command"):
    setattr(my_robot.MyArm, name, noting(name))
"""
"""Says what the robot is asked to do; in front of the program."""


def snippets(document: str) -> dict[str, str]:
    return dict(SNIPPET.findall((ROOT / document).read_text(encoding="utf-8")))


class Program:
    """A program of the documentation, in a process of its own."""

    def __init__(self, rig: Rig, name: str, code: str) -> None:
        path = rig.folder / name
        path.write_text(NOTING + code.replace("tcp/ROUTER:7447", rig.endpoint), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            cwd=rig.folder,
        )
        self.lines: list[str] = []

    def wait_for(self, word: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(word):
                return
        pytest.fail("\n".join(self.lines))

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        out, _ = self._process.communicate(timeout=PATIENCE_S)
        self.lines += out.splitlines()
        return self._process.returncode

    @property
    def commands(self) -> list[str]:
        return [line for line in self.lines if line.startswith("command")]

    def check_stopped(self) -> None:
        """Assert that the robot was stopped, and not commanded afterwards."""
        assert "stop" in self.lines, self.lines
        after = self.lines[self.lines.index("stop") :]
        assert not [line for line in after if line.startswith("command")], after


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    for name, code in snippets("README.md").items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    with rig_in(tmp_path) as running:
        yield running


def serve(rig: Rig) -> None:
    rig.serve("a", policy=f"{rig.folder / 'my_policy.py'}:wave")


def test_each_program_of_the_page_is_short() -> None:
    shown = snippets("docs/python.md")
    assert {"own_loop.py", "own_robot.py"} <= set(shown)
    assert (ROOT / "docs/python.md").read_text(encoding="utf-8").count("```python") == len(shown)
    for name, code in shown.items():
        assert len([line for line in code.splitlines() if line.strip()]) <= MOST_LINES, name


def test_a_loop_of_ones_own_drives_the_robot_and_leaves_it_stopped(rig: Rig) -> None:
    serve(rig)
    program = Program(rig, "own_loop.py", snippets("docs/python.md")["own_loop.py"].replace("1000", "200"))
    assert program.end() == 0, program.lines
    program.check_stopped()
    assert len(program.commands) > 50
    assert program.lines[-1] == "close"


def test_a_robot_of_ones_own_is_driven_by_the_loop_of_the_library(rig: Rig) -> None:
    serve(rig)
    code = snippets("docs/python.md")["own_robot.py"].replace("duration_s=10", "duration_s=2")
    program = Program(rig, "own_robot.py", code)
    assert program.end() == 0, program.lines
    program.check_stopped()
    assert any(line.startswith("finished ") for line in program.lines), program.lines
    assert len(program.commands) > 50


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_robot_of_a_loop_of_ones_own(rig: Rig, number: int) -> None:
    serve(rig)
    program = Program(rig, "own_loop.py", snippets("docs/python.md")["own_loop.py"])
    program.wait_for("command")
    program.signal(number)
    code = program.end()
    assert code in ((-signal.SIGINT, 1, 130) if number == signal.SIGINT else (128 + number,)), program.lines
    program.check_stopped()
    assert program.lines.count("close") == 1


def test_a_server_that_is_killed_ends_a_loop_of_ones_own_with_a_stop_and_a_reason(rig: Rig) -> None:
    server = rig.serve("a", policy=f"{rig.folder / 'my_policy.py'}:wave")
    code = snippets("docs/python.md")["own_loop.py"].replace("1000", "100000")
    code = code.replace("stop=arm.stop", "stop=arm.stop, edge=vagus.EdgeConfig(max_offline_s=1)")
    program = Program(rig, "own_loop.py", code)
    program.wait_for("command")
    kill(server)
    assert program.end() == 1
    program.check_stopped()
    assert "RunEndedError" in "\n".join(program.lines)


@pytest.mark.slow
def test_a_loop_that_hangs_after_a_signal_is_stopped_and_ended(rig: Rig) -> None:
    serve(rig)
    code = snippets("docs/python.md")["own_loop.py"].replace(
        "            time.sleep",
        "            if _ > 100: print('hanging'); time.sleep(600)\n            time.sleep",
    )
    program = Program(rig, "own_loop.py", code)
    program.wait_for("hanging")
    program.wait_for("stop")
    program.signal(signal.SIGTERM)
    assert program.end() == 128 + signal.SIGTERM, program.lines
    program.check_stopped()
