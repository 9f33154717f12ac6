"""Whatever ends a run, the robot is stopped first, and nothing is commanded afterwards."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from process.rig import HERE, PATIENCE_S, Rig, await_fresh, kill, rig_in, wait_until
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_robot_before_anything_else(
    rig: Rig, tmp_path: Path, number: signal.Signals
) -> None:
    robot = start(rig, tmp_path / "log", f"arm-{number.name}")
    await_fresh(rig.folder, robot, monotonic_ns())
    robot.signal(number)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
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


@pytest.mark.parametrize("method", ["read_state", "command"])
def test_a_driver_that_raises_ends_the_run_with_the_robot_stopped(
    rig: Rig, tmp_path: Path, method: str
) -> None:
    robot = start(rig, tmp_path / "log", f"bus-{method}", "fails_in", method)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.ROBOT, robot.output
    assert "Traceback" not in robot.output, robot.output
    assert f"the bus does not answer in {method}" in robot.output
    calls = calls_in(tmp_path / "log")
    assert calls.count(method) == 51
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
