"""Whatever ends a run, the robot is stopped first, and nothing is commanded afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from process.rig import HERE, PATIENCE_S, Rig, await_fresh, kill, rig_in, wait_until
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(180), pytest.mark.slow]

NOTING = f"{HERE / 'noting_robot.py'}:Noting"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("faults")) as running:
        running.serve("a", "--client-grace-s", "1", options=("cameras", "True"))
        yield running


def start(rig: Rig, log: Path, name: str, *options: str) -> Child:
    told = ["--options", "log", str(log), "cameras", "True", *options]
    return rig.start_robot(name, *told, robot=NOTING)


def calls_in(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").split() if log.exists() else []


def check_stopped_first(calls: list[str]) -> None:
    stop = calls.index("stop")
    assert "command" not in calls[stop:], calls[stop:]
    assert calls.index("close") > stop
    assert calls[-1] == "close"


VAGUS = (sys.executable, "-m", "vagus")
SIGNALS = [
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGABRT),
    *(signal.SIGALRM, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2),
]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_robot_before_anything_else(
    rig: Rig, tmp_path: Path, number: signal.Signals
) -> None:
    robot = start(rig, tmp_path / "log", f"arm-{number.name}")
    await_fresh(rig.folder, robot, monotonic_ns())
    robot.signal(number)
    code = ExitCode.OK if number == signal.SIGTERM else ExitCode.INTERRUPTED
    assert robot.wait(timeout_s=PATIENCE_S) == code
    assert "Traceback" not in robot.output, robot.output
    check_stopped_first(calls_in(tmp_path / "log"))


def test_signals_without_end_do_not_keep_the_robot_from_being_stopped(rig: Rig, tmp_path: Path) -> None:
    robot = start(rig, tmp_path / "log", "impatient")
    await_fresh(rig.folder, robot, monotonic_ns())
    for _ in range(5):
        robot.signal(signal.SIGINT)
        time.sleep(0.02)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
    check_stopped_first(calls_in(tmp_path / "log"))


@pytest.mark.parametrize(("method", "tried"), [("read_state", 52), ("command", 51)])
def test_a_driver_that_raises_ends_the_run_with_the_robot_stopped(
    rig: Rig, tmp_path: Path, method: str, tried: int
) -> None:
    robot = start(rig, tmp_path / "log", f"bus-{method}", "fails_in", method)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.ROBOT, robot.output
    assert "Traceback" not in robot.output, robot.output
    assert f"the bus does not answer in {method}" in robot.output
    calls = calls_in(tmp_path / "log")
    assert calls.count(method) == tried
    check_stopped_first(calls)


def test_a_robot_that_cannot_be_connected_is_never_commanded(rig: Rig, tmp_path: Path) -> None:
    robot = start(rig, tmp_path / "log", "absent", "fails_in", "connect", "after", "0")
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.ROBOT, robot.output
    assert "the bus does not answer in connect" in robot.output
    assert "Traceback" not in robot.output, robot.output
    assert calls_in(tmp_path / "log") == ["connect", "stop", "close"]


def test_cameras_that_fail_starve_the_robot_but_end_nothing(rig: Rig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    robot = start(rig, log, "blind", "fails_in", "read_images", "after", "3")
    robot.wait_for_line("no images for this request", timeout_s=PATIENCE_S)
    wait_until(lambda: calls_in(log).count("read_images") > 8, lambda: robot.output)
    assert robot.exit_code is None, robot.output
    robot.signal(signal.SIGINT)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
    assert "Traceback" not in robot.output, robot.output
    check_stopped_first(calls_in(log))


def test_a_stop_that_fails_is_tried_again_and_told(rig: Rig, tmp_path: Path) -> None:
    robot = start(rig, tmp_path / "log", "stuck", "fails_in", "stop", "after", "0")
    await_fresh(rig.folder, robot, monotonic_ns())
    robot.signal(signal.SIGINT)
    robot.wait(timeout_s=PATIENCE_S)
    assert "robot.stop() failed" in robot.output
    assert calls_in(tmp_path / "log").count("stop") >= 2


@pytest.mark.parametrize("method", ["read_state", "command"])
def test_a_driver_that_hangs_is_noticed_and_ended_with_the_robot_stopped(
    rig: Rig, tmp_path: Path, method: str
) -> None:
    log = tmp_path / "log"
    robot = start(rig, log, f"hung-{method}", "fails_in", method, "hangs", "True")
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.HUNG, robot.output
    assert f"robot.{method}() hangs: it has not returned for" in robot.output
    assert '"reason":"hung"' in robot.output
    assert calls_in(log)[-1] == "stop"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_signal_ends_a_run_whose_driver_hangs_in_connect(
    rig: Rig, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    robot = start(rig, log, f"stuck-{number.name}", "fails_in", "connect", "after", "0", "hangs", "True")
    robot.wait_for_line("robot.connect() hangs", timeout_s=PATIENCE_S)
    robot.signal(number)
    code = ExitCode.OK if number == signal.SIGTERM else ExitCode.INTERRUPTED
    assert robot.wait(timeout_s=PATIENCE_S) == code, robot.output
    assert calls_in(log) == ["connect", "stop"]


def test_a_stop_that_hangs_is_tried_again_and_ends_loudly(rig: Rig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    robot = start(rig, log, "unstoppable", "fails_in", "stop", "after", "0", "hangs", "True")
    await_fresh(rig.folder, robot, monotonic_ns())
    robot.signal(signal.SIGINT)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.NOT_STOPPED, robot.output
    assert "THE ROBOT COULD NOT BE STOPPED" in robot.output
    assert calls_in(log).count("stop") >= 2


@pytest.mark.parametrize("is_read", [True, False])
def test_a_terminal_that_is_gone_or_not_read_keeps_no_robot_from_being_stopped(
    rig: Rig, tmp_path: Path, is_read: bool
) -> None:
    log, name = tmp_path / "log", f"tty-{is_read}"
    ours, theirs = pty.openpty()
    options = ["--options", "log", str(log), "cameras", "True"]
    robot = subprocess.Popen(
        [*VAGUS, "run", "--robot", NOTING, "--name", name, "--connect", rig.endpoint, *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - it becomes its terminal
    )
    os.close(theirs)
    os.set_blocking(ours, False)

    def is_driving() -> bool:
        if is_read:
            with suppress(BlockingIOError):
                os.read(ours, 1 << 16)
        return calls_in(log).count("command") > 100

    wait_until(is_driving, lambda: name)
    if is_read:
        os.close(ours)  # as sshd does when the connection is lost
    else:
        termios.tcflow(ours, termios.TCIOFF)  # Ctrl-S: from now on it takes nothing
        time.sleep(1.0)
        robot.send_signal(signal.SIGTERM)
    assert robot.wait(PATIENCE_S) == (ExitCode.INTERRUPTED if is_read else ExitCode.OK)
    check_stopped_first(calls_in(log))
    if not is_read:
        os.close(ours)


def test_a_robot_that_was_killed_leaves_its_place_at_the_server(rig: Rig, tmp_path: Path) -> None:
    robot = start(rig, tmp_path / "log", "killed")
    await_fresh(rig.folder, robot, monotonic_ns())
    assert sessions(rig) == 1
    kill(robot)
    wait_until(lambda: sessions(rig) == 0, lambda: "the session of a killed robot is closed")


def sessions(rig: Rig) -> int:
    said = rig.call("status", "--json").stdout
    found = re.search(r'"sessions": *(\d+)', said)
    assert found, said
    return int(found.group(1))
