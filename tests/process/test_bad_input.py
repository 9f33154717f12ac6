"""What people get wrong: one clear line, the documented exit code, never a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from process.rig import (
    HERE,
    PATIENCE_S,
    WAVE,
    Rig,
    await_fresh,
    call,
    check_one_line,
    check_safe,
    outcome_of,
    rig_in,
    stop_robot,
)
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(240), pytest.mark.slow]

NOTING = f"{HERE / 'noting_robot.py'}:Noting"
HASTE = ("--connect-timeout-s", "2", "--open-timeout-s", "2")
"""Nobody will come, so do not wait."""


@dataclass(frozen=True)
class Wrong:
    """A command that must fail."""

    arguments: tuple[str, ...]
    code: int
    parts: tuple[str, ...]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A network with many services, each refusing something."""
    with rig_in(tmp_path_factory.mktemp("bad")) as running:
        starting = [
            running.start_server("plain", "--service-name", "plain"),
            running.start_server("views", "--service-name", "views", options=("cameras", "True")),
            running.start_server("units", "--service-name", "units", options=("unit", "deg")),
            running.start_server("pinned", "--service-name", "pinned", "--pin-task"),
            running.start_server("strict", "--service-name", "strict", "--strict-rate"),
            running.start_server("slow", "--service-name", "slow", options=("inference_ms", "200.0")),
        ]
        for server in starting:
            server.wait_for_line("server ready", timeout_s=PATIENCE_S)
        yield running


def cases(rig: Rig, folder: Path) -> Mapping[str, Wrong]:
    nowhere = ("--connect", f"tcp/127.0.0.1:{free_port()}")
    here = ("--connect", rig.endpoint)
    views = ("--options", "log", str(folder / "log"), "cameras", "True")

    def write(name: str, text: str) -> str:
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    def run(service: str, *more: str) -> tuple[str, ...]:
        return ("run", *here, *HASTE, "--service", f"wave/main/{service}", "--duration-s", "1", *more)

    refused, config, away = ExitCode.REFUSED, ExitCode.CONFIG, ExitCode.UNREACHABLE
    return {
        "run without a router": Wrong(("run", *HASTE, *nowhere), away, ("127.0.0.1",)),
        "serve without a router": Wrong(
            ("serve", "--policy", WAVE, "--open-timeout-s", "2", *nowhere), away, ("127.0.0.1",)
        ),
        "status without a router": Wrong(("status", "--open-timeout-s", "2", *nowhere), away, ("127.0.0.1",)),
        "doctor without a router": Wrong(("doctor", "--open-timeout-s", "2", *nowhere), away, ("127.0.0.1",)),
        "a service without a server": Wrong(
            run("nobody"), away, ("nobody", "on this network are", "wave/main/plain")
        ),
        "several services and none named": Wrong(
            ("run", *here, *HASTE), config, ("wave/main/plain", "wave/main/pinned", "--service")
        ),
        "a service name that is none": Wrong(("run", *here, "--service", "//"), config, ("model/revision",)),
        "a camera under another name": Wrong(
            run("views", "--robot", NOTING, *views, "camera", "front_cam"),
            refused,
            ("front", "front_cam", "rename"),
        ),
        "no cameras at all": Wrong(
            run("views", "--robot", NOTING, *views[:3]), refused, ("cameras", "front", "top")
        ),
        "actions in another unit": Wrong(run("units"), refused, ("unit", "rad", "deg")),
        "another instruction than the pinned one": Wrong(
            run("pinned", "--instruction", "dance"), refused, ("wave", "dance")
        ),
        "another rate than the trained one": Wrong(
            run("strict", "--rate-hz", "20"), refused, ("30", "20", "strict")
        ),
        "a policy slower than actions may be old": Wrong(
            run("slow", "--max-action-age-s", "0.2", "--buffer-time-s", "0.1"),
            refused,
            ("s per chunk", "max_action_age_s 0.2", "--max-action-age-s"),
        ),
        "a robot slower than the policy": Wrong(
            run("plain", "--options", "rate_hz", "10"), config, ("10 Hz", "30 Hz")
        ),
        "a recording where none can be": Wrong(
            run("plain", "--record", "/proc/nowhere"), config, ("/proc/nowhere",)
        ),
        "a policy that nobody knows": Wrong(
            ("serve", *here, "--policy", "reech"), config, ("reech", "reach")
        ),
        "a policy file that cannot be imported": Wrong(
            ("serve", *here, "--policy", write("raises.py", "1 / 0\n") + ":act"),
            config,
            ("ZeroDivisionError",),
        ),
        "a policy that says nothing about itself": Wrong(
            ("serve", *here, "--policy", write("silent.py", "def act(o): return o\n") + ":act"),
            config,
            ("@policy",),
        ),
        "a policy whose inference raises": Wrong(
            (
                "serve",
                *here,
                "--policy",
                write(
                    "fails.py",
                    "from vagus.policies.declare import policy\n"
                    "@policy(actions={'x': 'm'}, state={'x': 'm'}, horizon=2, rate_hz=10)\n"
                    "def act(observation):\n    raise RuntimeError('no weights')\n",
                )
                + ":act",
            ),
            ExitCode.POLICY,
            ("no weights",),
        ),
        "a port that is taken": Wrong(("router", "--listen", rig.endpoint), away, (rig.endpoint,)),
    }


@pytest.fixture(scope="module")
def done(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Wrong, Ended]]:
    """Everything at once: most of the time is spent waiting."""
    wrong = cases(rig, tmp_path_factory.mktemp("files"))
    with ThreadPoolExecutor(4) as pool:
        ended = pool.map(lambda case: call(*case.arguments), wrong.values())
        return {name: (wrong[name], end) for name, end in zip(wrong, ended, strict=True)}


Ended = subprocess.CompletedProcess[str]
NAMES = (
    "run without a router",
    "serve without a router",
    "status without a router",
    "doctor without a router",
    "a service without a server",
    "several services and none named",
    "a service name that is none",
    "a camera under another name",
    "no cameras at all",
    "actions in another unit",
    "another instruction than the pinned one",
    "another rate than the trained one",
    "a policy slower than actions may be old",
    "a robot slower than the policy",
    "a recording where none can be",
    "a policy that nobody knows",
    "a policy file that cannot be imported",
    "a policy that says nothing about itself",
    "a policy whose inference raises",
    "a port that is taken",
)


@pytest.mark.parametrize("name", NAMES)
def test_one_line_says_what_is_wrong_with(name: str, done: dict[str, tuple[Wrong, Ended]]) -> None:
    wrong, ended = done[name]
    check_one_line(ended, wrong.code, *wrong.parts)


def test_every_case_is_looked_at(done: dict[str, tuple[Wrong, Ended]]) -> None:
    assert set(done) == set(NAMES)


def test_a_flag_that_does_not_exist_is_named(rig: Rig) -> None:
    ended = call("run", "--bufer-time-s", "1")
    assert ended.returncode == ExitCode.CONFIG
    assert "--bufer-time-s" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_rename_that_was_suggested_works(rig: Rig, tmp_path: Path) -> None:
    robot = rig.start_robot(
        "renamed",
        *("--service", "wave/main/views", "--rename", "front_cam", "front", "--duration-s", "1"),
        *("--options", "log", str(tmp_path / "log"), "cameras", "True", "camera", "front_cam"),
        robot=NOTING,
    )
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.OK, robot.output
    assert '"plan_actions":0' not in robot.output


def test_units_that_are_vouched_for_are_no_mismatch_hidden(rig: Rig) -> None:
    ended = rig.call("run", *HASTE, "--service", "wave/main/units", "--trust-units")
    check_one_line(ended, ExitCode.REFUSED, "rad", "deg")


def test_results_that_must_not_be_commanded_end_one_robot_and_disturb_no_other(rig: Rig) -> None:
    service = ("--service", "wave/main/plain")
    good = rig.run("good", *service)
    wishes = ("nan", "shape", "short", "raise")
    bad = [
        rig.start_robot(f"bad-{wish}", *service, "--instruction", wish, "--max-offline-s", "3")
        for wish in wishes
    ]
    for robot in bad:
        assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.DEAD, robot.output
        assert '"commands":0' in robot.output, "a robot without a single good chunk was commanded"
        assert "Traceback" not in robot.output, robot.output
    await_fresh(rig.folder, good, monotonic_ns())
    outcome = stop_robot(good)
    check_safe(outcome)
    assert outcome.run.starved_s == 0.0
    assert outcome.run.counters.get("sessions_lost", 0) == 0


def test_a_second_robot_of_the_same_name_is_refused_and_the_first_runs_on(rig: Rig) -> None:
    service = ("--service", "wave/main/plain")
    first = rig.run("twin", *service)
    await_fresh(rig.folder, first, monotonic_ns())
    second = rig.call("run", *HASTE, *service, "--name", "twin")
    check_one_line(second, ExitCode.REFUSED, "client_in_use")
    outcome = stop_robot(first)
    check_safe(outcome)
    assert outcome.run.starved_s == 0.0
    assert outcome.run.counters["sessions_opened"] == 1


def test_a_full_server_refuses_one_more_with_its_load(rig: Rig) -> None:
    rig.serve("small", "--service-name", "small", "--max-sessions", "1")
    service = ("--service", "wave/main/small")
    first = rig.run("seated", *service)
    check_one_line(rig.call("run", *HASTE, *service, "--name", "late"), ExitCode.REFUSED, "1")
    check_safe(stop_robot(first))


def test_a_full_disk_costs_the_recording_not_the_robot(rig: Rig, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and the right to mount a small tmpfs")
    try:
        robot = rig.start_robot(
            "scribe",
            *("--service", "wave/main/plain", "--duration-s", "4"),
            *("--record", str(disk), "--record.flush-s", "0.2"),
        )
        outcome = outcome_of(robot)
        check_safe(outcome)
        assert outcome.run.exit_code == ExitCode.OK
        assert "drops what it cannot write" in outcome.output
        assert outcome.run.starved_s == 0.0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
