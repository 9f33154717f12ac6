"""Processes find each other: whatever is started first, and by the names that they print."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.rig import HERE, PATIENCE_S, START_S, Rig, call, check_one_line, rig_in
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.timeout(180), pytest.mark.slow]

LOADS_S = 6.0
"""Longer than the robot tries to find a server."""
HASTE = ("--connect-timeout-s", "2")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as running:
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def test_a_robot_waits_for_a_server_that_still_starts_and_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW_LOAD_S", f"{LOADS_S:g}")
    server = rig.start_server(policy=f"{HERE / 'slow_policy.py'}:stay")
    server.wait_for_line("loading", timeout_s=START_S)
    begin_s = time.monotonic()
    robot = rig.start_robot("early", "--duration-s", "1", *HASTE)
    assert "loading" in rig.call("status").stdout
    assert "phase loading" in rig.call("doctor").stdout
    robot.wait_for_line("is loading; waiting for it, at most 300 s", timeout_s=START_S)
    assert robot.wait(timeout_s=START_S) == ExitCode.OK, robot.output
    assert time.monotonic() - begin_s > LOADS_S / 2
    assert robot.output.count("waiting for it") <= 2  # while it loads, and while it warms up


def test_without_any_server_a_robot_gives_up(rig: Rig) -> None:
    line = check_one_line(rig.call("run", "--robot", "sim"), ExitCode.UNREACHABLE, "no vagus server")
    assert "vagus serve" in line


def test_with_wait_robot_and_server_may_be_there_before_the_router(tmp_path: Path) -> None:
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    network = ("--connect", endpoint, "--wait", "--open-timeout-s", "0.5")
    policy = f"{HERE / 'slow_policy.py'}:stay"
    with (
        Child("robot", ["run", "--duration-s", "1", *network]) as robot,
        Child("server", ["serve", "--policy", policy, *network]) as server,
    ):
        for process in (robot, server):
            process.wait_for_line("waiting: no answer", timeout_s=START_S)
        with Child("router", ["router", "--listen", endpoint]):
            server.wait_for_line("server ready", timeout_s=START_S)
            assert robot.wait(timeout_s=START_S) == ExitCode.OK, robot.output
    lines = [line for line in robot.output.splitlines() if line.startswith("waiting:")]
    assert len(lines) == len(set(lines)) <= 4, robot.output


def test_a_server_that_waits_for_a_router_can_be_ended() -> None:
    with Child("server", ["serve", "--policy", "reach", "--connect", "tcp/127.0.0.1:1", "--wait"]) as server:
        server.wait_for_line("waiting: no answer", timeout_s=START_S)
        server.signal(signal.SIGTERM)
        assert server.wait(timeout_s=PATIENCE_S) != ExitCode.OK


def test_with_wait_a_robot_that_does_not_fit_ends_at_once(rig: Rig) -> None:
    rig.serve(policy=f"{HERE / 'slow_policy.py'}:stay")
    done = rig.call("run", "--wait", "--rename", "joint_1", "nobody")
    assert done.returncode in (ExitCode.REFUSED, ExitCode.CONFIG), done.stderr


def test_the_name_that_is_printed_and_the_one_that_was_given_are_both_understood(rig: Rig) -> None:
    place = rig.folder / "my policies" / "slow_policy.py"
    place.parent.mkdir()
    shutil.copy(HERE / "slow_policy.py", place)
    policy = f"{place}:stay"
    network = ["--connect", rig.endpoint]
    named = ["serve", "--policy", policy, "--service-name", "cell 3/left", *network]
    server = rig.child("server", named)
    said = server.wait_for_line("service ", timeout_s=START_S)
    server.wait_for_line("server ready", timeout_s=START_S)
    found = re.search(r"service (\S+), model hash", said)
    assert found
    other = rig.serve("other")
    for name in (found.group(1), f"{policy}/main/cell 3/left"):
        done = rig.call("run", "--service", name, "--duration-s", "0.5")
        assert done.returncode == ExitCode.OK, done.stderr
        assert f"({found.group(1)})" in done.stdout
        for command in ("status", "doctor"):
            done = rig.call(command, "--service", name)
            assert found.group(1) in done.stdout, done.stdout + done.stderr
            assert "wave/main" not in done.stdout
    for command in ("run", "status", "doctor"):
        done = rig.call(command, "--service", "cell 3/left")
        check_one_line(done, ExitCode.UNREACHABLE, "'cell 3/left'", found.group(1), "wave/main/default")
    several = rig.call("run")
    check_one_line(several, ExitCode.CONFIG, found.group(1), "wave/main/default")
    assert other.exit_code is None


def test_status_of_nobody_says_so(rig: Rig) -> None:
    done = call("status", "--connect", rig.endpoint)
    assert done.returncode == ExitCode.UNREACHABLE
    assert "no server on this network" in done.stdout
