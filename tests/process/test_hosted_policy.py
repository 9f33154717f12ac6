"""`vagus run --policy ADDRESS`: the process beside the robot's, and everything that can happen to it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from process.foreign_rig import OPTIONS, Foreign, profile_in
from process.rig import (
    PATIENCE_S,
    START_S,
    await_fresh,
    call,
    check_safe,
    outcome_of,
    stop_robot,
    wait_until,
)
from remote_server import DEPLOYMENT
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns
from vagus.gateways.foreign_address import parse_address
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_zenoh.client import LeRobotZenohClient
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(180),
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

NAME = "hosted"


@contextmanager
def foreign_in(folder: Path, protocol: str = "gr00t") -> Iterator[Foreign]:
    """Run a foreign server."""
    foreign = Foreign(folder, protocol)
    try:
        yield foreign
    finally:
        foreign.kill()


def robot_of(foreign: Foreign, folder: Path, *arguments: str) -> Child:
    """Return a robot whose brain is the foreign server; it is not started yet."""
    named = ("profile", str(profile_in(folder, foreign.protocol)), *OPTIONS.get(foreign.protocol, ()))
    profile = ("--policy-options", *named, "timeout_s", "1.0")
    record = ("--record", str(folder / "runs"), "--record.no-images", "--name", NAME, "--json")
    return Child(f"robot {NAME}", ["run", "--policy", foreign.address, *profile, *record, *arguments])


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for threads in listed for child in threads.read_text().split()]


def local_ports_of(pid: int) -> list[str]:
    """Return the local ports of TCP on which a process listens."""
    listening = {
        fields[9]: fields[1]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    held = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}
    return [port for inode, port in listening.items() if f"socket:[{inode}]" in held]


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_robot_is_driven_from_beside_goes_on_when_the_server_returns_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    with foreign_in(tmp_path) as foreign, robot_of(foreign, tmp_path) as robot:
        robot.wait_for_line("robot running", timeout_s=START_S)
        (beside,) = children_of(robot.pid)
        assert not local_ports_of(beside)  # another user of the machine cannot reach it, and so the robot
        loaded = Path(f"/proc/{robot.pid}/maps").read_text()
        assert "zmq" not in loaded  # the process with the control loop has not even loaded it
        assert "zmq" in Path(f"/proc/{beside}/maps").read_text()
        await_fresh(tmp_path, robot, monotonic_ns())
        foreign.kill()
        time.sleep(1.0)
        foreign.start()
        await_fresh(tmp_path, robot, monotonic_ns())
        outcome = stop_robot(robot)
        assert not is_running(beside)
    check_safe(outcome)
    assert outcome.run.exit_code == ExitCode.INTERRUPTED


def test_without_the_process_beside_the_robot_holds_and_is_stopped(tmp_path: Path) -> None:
    with foreign_in(tmp_path) as foreign, robot_of(foreign, tmp_path, "--max-offline-s", "4") as robot:
        robot.wait_for_line("robot running", timeout_s=START_S)
        await_fresh(tmp_path, robot, monotonic_ns())
        (beside,) = children_of(robot.pid)
        os.kill(beside, signal.SIGKILL)
        outcome = outcome_of(robot)
    check_safe(outcome)
    assert outcome.run.exit_code == ExitCode.DEAD
    assert outcome.rows[-1].motion == "fallback"
    assert not any(row.is_moving for row in outcome.rows[-20:])
    assert outcome.output.count("has ended: no more plans") == 1


def test_the_process_beside_dies_with_the_robots_and_closes_its_session(tmp_path: Path) -> None:
    with foreign_in(tmp_path, "lerobot_zenoh") as foreign:
        with robot_of(foreign, tmp_path) as robot:
            robot.wait_for_line("robot running", timeout_s=START_S)
            await_fresh(tmp_path, robot, monotonic_ns())
            (beside,) = children_of(robot.pid)
            robot.signal(signal.SIGKILL)
            robot.wait(timeout_s=PATIENCE_S)
            wait_until(lambda: not is_running(beside), lambda: "the process beside outlives the robot's")
        profile = load_profile(str(profile_in(tmp_path, foreign.protocol)), foreign.protocol)
        options = LeRobotZenohOptions(deployment=DEPLOYMENT, start_timeout_s=1.0)
        client = LeRobotZenohClient(parse_address(foreign.address), options, profile)
        client.open(1.0)  # a server keeps the session of a client that has only vanished for 10 s
        client.close()


def test_ctrl_c_while_it_starts_ends_both(tmp_path: Path) -> None:
    with foreign_in(tmp_path) as foreign:
        foreign.stop()
        with robot_of(foreign, tmp_path) as robot:
            wait_until(lambda: bool(children_of(robot.pid)), lambda: robot.output)
            (beside,) = children_of(robot.pid)
            robot.signal(signal.SIGINT)
            assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
            wait_until(lambda: not is_running(beside), lambda: "the process beside outlives the robot's")


def test_what_ended_the_process_beside_is_told_in_its_own_words(tmp_path: Path) -> None:
    with foreign_in(tmp_path) as foreign:
        ended = call("run", "--policy", foreign.address, "--policy-options", "profile", "so100")
        assert ended.returncode == ExitCode.POLICY, ended
        assert f"vagus: warm-up with 1 rows failed: {foreign.address} says: " in ended.stderr
        foreign.kill()
        profile = ("--policy-options", "profile", str(profile_in(tmp_path, "gr00t")))
        ended = call("run", "--policy", foreign.address, *profile)
        assert ended.returncode == ExitCode.UNREACHABLE
        assert ended.stderr.splitlines()[-1].startswith(f"vagus: {foreign.address}: wanted a GR00T server")
        assert "nothing listens" in ended.stderr
