"""Robots of LeRobot's remote inference draft with the original's times, at a router of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from process.foreign_rig import JOINTS, profile_in
from process.rig import PATIENCE_S, START_S, Rig, kill, rig_in, wait_until
from vagus.cli.child import Child

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

PROGRAM = Path(__file__).parents[1] / "draft_robot.py"


class DraftProcess:
    """A robot's process: asks once per line that it gets."""

    def __init__(self, endpoint: str, uuid: str) -> None:
        names = JOINTS.strip("[]").replace(" ", "")
        told = ["--connect", endpoint, "--uuid", uuid, "--names", names, "--model", "wave"]
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self) -> dict[str, str | float]:
        """Return what becomes of one request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("0.1\n")
        self.process.stdin.flush()
        said: dict[str, str | float] = json.loads(self.process.stdout.readline())
        return said

    def await_rows(self) -> None:
        """Ask until there are actions."""
        said: list[dict[str, str | float]] = [{}]

        def has_rows() -> bool:
            said[0] = self.ask()
            return said[0]["answer"] == "rows"

        wait_until(has_rows, lambda: f"it gets actions: {said}", timeout_s=START_S)

    def close(self) -> None:
        """Leave nothing of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Robots:
    """A router for robots of the draft, a gateway at it, and the robots."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        self._rig = rig
        self._stack = stack
        self.router = self._route("tcp/127.0.0.1:0")
        self.gateway = self.start_gateway()

    def start_gateway(self) -> Child:
        """Start the gateway's process."""
        profile = str(profile_in(self._rig.folder, "lerobot_zenoh_draft"))
        told = ["--profile", profile, "--models", "wave/main/*", "wave", "--router", self.endpoint]
        command = ["gateway", "lerobot_zenoh_draft", *told, "--connect", self._rig.endpoint]
        gateway = self._rig.child("gateway", command)
        gateway.wait_for_line("gateway ready", timeout_s=START_S)
        return gateway

    def restart_router(self) -> None:
        """Kill the robots' router, and start it again."""
        kill(self.router)
        self.router = self._route(self.endpoint)

    def robot(self, uuid: str) -> DraftProcess:
        """Start a robot."""
        made = DraftProcess(self.endpoint, uuid)
        self._stack.callback(made.close)
        return made

    def _route(self, endpoint: str) -> Child:
        router = self._rig.child("robots' router", ["router", "--listen", endpoint])
        self.endpoint = router.wait_for_line("router ready on", timeout_s=START_S).split()[-1]
        return router


@contextmanager
def robots_in(folder: Path) -> Iterator[tuple[Rig, Robots]]:
    with rig_in(folder) as rig, ExitStack() as stack:
        yield rig, Robots(rig, stack)


def test_robots_go_on_whatever_is_killed_and_none_gets_the_session_of_another(tmp_path: Path) -> None:
    with robots_in(tmp_path) as (rig, robots):
        server = rig.serve("first")
        one, two = robots.robot("one"), robots.robot("two")
        for robot in (one, two):
            robot.await_rows()
        thief = robots.robot("one")
        refused = thief.ask()
        assert refused["answer"] == "refused", refused
        assert "a robot with the uuid 'one' is here" in str(refused["error"])
        assert one.ask()["answer"] == "rows"
        one.process.kill()
        one.process.wait(PATIENCE_S)
        thief.await_rows()  # nobody has the uuid any more
        rig.serve("second")
        kill(server)
        for robot in (thief, two):
            robot.await_rows()
        robots.restart_router()
        for robot in (thief, two):
            robot.await_rows()
        kill(robots.gateway)
        gateway = robots.start_gateway()
        for robot in (thief, two):
            robot.await_rows()
            assert robot.ask()["foreign"] == 0
        assert "Traceback" not in gateway.output, gateway.output
