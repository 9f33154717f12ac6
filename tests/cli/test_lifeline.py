"""Nothing that a command has started outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

START_S = 60.0
PARENT = """
import sys, time
from vagus.cli.child import Child
child = Child("chaos", ["chaos", "127.0.0.1:0", "127.0.0.1:1"])
child.start()
child.wait_for_line("forwarding", timeout_s=60.0)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def child_of(parent: subprocess.Popen[str]) -> int:
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def await_end(*pids: int) -> None:
    deadline_s = time.monotonic() + START_S
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline_s, "a child outlives its parent"
        time.sleep(0.05)


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_child_ends_when_its_parent_is_gone(parent: subprocess.Popen[str], number: signal.Signals) -> None:
    child = child_of(parent)
    assert is_running(child)
    parent.send_signal(number)
    parent.wait(START_S)
    await_end(child)


@needs_proc
def test_so_does_a_child_that_is_stopped_at_that_moment(parent: subprocess.Popen[str]) -> None:
    child = child_of(parent)
    os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait(START_S)
    await_end(child)


@pytest.mark.slow
@needs_proc
@pytest.mark.timeout(180)
def test_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vagus", "demo", "--no-plot"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as demo:
        assert demo.stdout is not None
        assert any("server and robot are up" in line for line in demo.stdout)
        children = children_of(demo.pid)
        assert len(children) == 3
        demo.kill()
    await_end(*children)


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for threads in listed for child in threads.read_text().split()]
