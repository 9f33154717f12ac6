"""LeRobot's own robot clients at a gateway: each gets its own actions, whatever becomes of the others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from vsim_rig import NAMES, UNITS, events

HERE = Path(__file__).parent
MODEL = "user/asker"
PATIENCE_S = 90.0
"""Longest wait for what must happen: LeRobot takes its time to load, more so on a busy machine."""
SERVE = """
import sys
from vagus.cli.main import main
try:
    main(sys.argv[1:])
finally:
    loaded = [name for name in ("torch", "lerobot", "google.protobuf") if name in sys.modules]
    print("loaded of LeRobot:", loaded, flush=True)
"""
MANY = 30
"""Actions: a second of them."""


class Process:
    """A process and the file that it writes its output to; it and its children end with the test."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self._file = folder / f"{name}.txt"
        paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        with self._file.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    "PYTHONUNBUFFERED": "1",
                },
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._file.read_text(errors="replace")

    def lines_with(self, marker: str) -> list[str]:
        return [line for line in self.output.splitlines() if marker in line]

    def await_lines(self, marker: str, count: int = 1) -> list[str]:
        wait_until(lambda: len(self.lines_with(marker)) >= count, lambda: f"{marker}: {self.output}")
        return self.lines_with(marker)

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def end(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(PATIENCE_S)
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextmanager
def started(name: str, command: Sequence[str], folder: Path) -> Iterator[Process]:
    process = Process(name, command, folder)
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)


def wait_until(happened: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, what()
        time.sleep(0.05)


def profile() -> dict[str, object]:
    """Return the profile of the simulated arm."""
    return {
        "protocol": "lerobot_grpc", "robot_type": "vsim", "rate_hz": 30, "horizon": 15, "instruction": "task",
        "images": [{"key": "observation.images.front", "name": "front", "height": 48, "width": 64}],
        "state": [{"key": "observation.state", "names": [name], "unit": UNITS[name]} for name in NAMES],
        "actions": [{"key": "actions", "names": [name], "unit": UNITS[name]} for name in NAMES],
    }  # fmt: skip


class Arms:
    """Robot clients by number, and what each of their arms was told to do."""

    def __init__(self, clients: Process, address: str, folder: Path) -> None:
        self._clients = clients
        self._address = address
        self._folder = folder
        self._started = 0

    def start(self, number: int, model: str = MODEL) -> int:
        """Start the client of an arm; return its process id."""
        self._clients.say(f"{self._address} {number} {model} {self.journal(number)}")
        self._started += 1
        return int(self._clients.await_lines("started ", self._started)[-1].split()[1])

    def journal(self, number: int) -> Path:
        return self._folder / f"{number}.jsonl"

    def actions(self, number: int) -> list[dict[str, float]]:
        journal = self.journal(number)
        told = [event["action"] for event in events(journal)] if journal.exists() else []
        return [action for action in told if isinstance(action, dict)]

    def await_more(self, *numbers: int) -> None:
        """Wait until each of these arms has been told a second's worth of actions more."""
        wanted = {number: len(self.actions(number)) + MANY for number in numbers}
        wait_until(
            lambda: all(len(self.actions(number)) >= count for number, count in wanted.items()),
            lambda: f"{wanted}, got { {n: len(self.actions(n)) for n in numbers} }: {self._clients.output}",
        )


@pytest.mark.process
def test_each_of_lerobots_clients_gets_its_own_actions_and_a_killed_one_frees_its_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "arm.json").write_text(json.dumps(profile()))
    gateway = {
        "protocol": "lerobot_grpc", "profile": str(tmp_path / "arm.json"), "listen": "127.0.0.1:0",
        "max_peers": 3, "name": "cell",
    }  # fmt: skip
    manifest = {"policy": f"{HERE / 'asker_policy.py'}:Asker", "model": MODEL, "gateways": [gateway]}
    (tmp_path / "serve.json").write_text(json.dumps(manifest))
    serve = ["serve", str(tmp_path / "serve.json"), "--mode", "peer", "--listen", "tcp/127.0.0.1:0"]
    with (
        started("clients", [sys.executable, str(HERE / "robot_clients.py")], tmp_path) as clients,
        started("server", [sys.executable, "-c", SERVE, *serve], tmp_path) as server,
    ):
        said = server.await_lines("gateway lerobot_grpc on ")[0]
        clients.await_lines("loaded")
        arms = Arms(clients, said.split(" on ")[1].split(",")[0], tmp_path)
        arms.start(4, model="user/other")
        clients.await_lines("ended 4: refused")
        assert clients.lines_with("wanted user/asker")

        pids = {number: arms.start(number) for number in (1, 2, 3)}
        arms.await_more(1, 2, 3)
        arms.start(5)
        clients.await_lines("ended 5: refused")
        assert clients.lines_with("this gateway has 3 robots")
        arms.await_more(1, 2, 3)

        os.kill(pids[2], signal.SIGKILL)
        server.await_lines("robot cell-2 has left")
        arms.start(6)
        arms.await_more(1, 3, 6)
        server.end(signal.SIGINT)
        assert server.lines_with("loaded of LeRobot:") == ["loaded of LeRobot: []"], server.output
    for number in (1, 2, 3, 6):
        told = arms.actions(number)
        assert [action["shoulder_pan.pos"] for action in told] == pytest.approx([number] * len(told))
        lifts = [action["shoulder_lift.pos"] for action in told]
        assert lifts[0] < 1 < lifts[-1], "its own state comes back, and moves on"
    assert arms.actions(4) == arms.actions(5) == []
