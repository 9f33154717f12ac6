"""More than one server: hand-over while the buffer plays, and servers that must not take over."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from process.rig import (
    PATIENCE_S,
    Outcome,
    Rig,
    await_fresh,
    check_safe,
    kill,
    outcome_of,
    rig_in,
    stop_robot,
)
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(180), pytest.mark.slow]

LONG_BUFFER = ("--buffer-time-s", "1.2")
SETTLED_S = 2.0
"""Nothing that a robot lost shows later than this."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("replicas")) as running:
        yield running


def settle(rig: Rig, robot: Child) -> None:
    await_fresh(rig.folder, robot, monotonic_ns())
    time.sleep(SETTLED_S)


def servers_used(outcome: Outcome) -> int:
    return len({row.epoch for row in outcome.plan_rows})


def check_never_starved(outcome: Outcome) -> None:
    assert [row for row in outcome.rows if row.motion == "fallback"] == []
    assert outcome.run.starved_s == 0.0


def test_a_drain_and_then_a_kill_starve_no_tick_while_a_replica_is_there(rig: Rig) -> None:
    service = ("--service-name", "pair")
    rig_servers = [rig.serve("first", *service)]
    robot = rig.run("pair-arm", *LONG_BUFFER, "--service", "wave/main/pair")
    rig_servers.append(rig.serve("second", *service))
    settle(rig, robot)
    rig_servers[0].signal(signal.SIGTERM)
    assert rig_servers[0].wait(timeout_s=PATIENCE_S) == ExitCode.OK
    assert "draining" in rig_servers[0].output
    settle(rig, robot)
    third = rig.serve("third", *service)
    settle(rig, robot)
    kill(rig_servers[1])
    settle(rig, robot)
    outcome = stop_robot(robot)
    third.end()
    check_safe(outcome)
    check_never_starved(outcome)
    assert servers_used(outcome) == 3


def test_a_policy_that_breaks_for_good_costs_a_buffered_robot_nothing_and_everybody_is_told(rig: Rig) -> None:
    service, broken = ("--service-name", "breaks"), rig.folder / "broken"
    port = free_port()
    probed = ("--health-port", str(port), *service)
    first = rig.serve("breaks", *probed, options=("broken_by", str(broken)))
    robot = rig.run("lucky-arm", *LONG_BUFFER, "--service", "wave/main/breaks")
    second = rig.serve("spare", *service)
    settle(rig, robot)
    broken.touch()
    settle(rig, robot)
    failure = "RuntimeError: CUDA error: device-side assert triggered"
    assert readiness(port) == (503, f"the policy fails for everybody: {failure}\n")
    second.end()
    alone = rig.start_robot("late-arm", "--connect-timeout-s", "2", "--service", "wave/main/breaks")
    assert alone.wait(timeout_s=PATIENCE_S) == ExitCode.REFUSED
    outcome = stop_robot(robot)
    first.end()
    check_safe(outcome)
    fallback = [row.t_ns for row in outcome.rows if row.motion == "fallback"]
    assert servers_used(outcome) == 2
    assert not fallback or min(fallback) > max(row.t_ns for row in outcome.plan_rows), "it starved"
    for told in (first.output, robot.output, alone.output):
        assert failure in told
    assert "in infer" in first.output, "the server's console has the traceback"
    assert first.output.count("Traceback") == 1
    assert outcome.run.refusals[0].startswith("policy_error ×")


def readiness(port: int) -> tuple[int, str]:
    """Return the status of the readiness probe and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/readyz")
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


NET = """
import numpy as np
from pathlib import Path
from vagus.policies.policy import ServingMode
from vagus.demo.arm import ACTIONS, HOME, STATE
from vagus.specs import ActionFeature, PolicySpec
from vagus.types import ActionChunk

class Net:
    serving_mode = ServingMode.SHARED

    def __init__(self):
        self.offset = np.load(Path(__file__).with_name("net.npy"))
        actions = tuple(ActionFeature(f.name, "rad") for f in ACTIONS)
        self.spec = PolicySpec("net", actions, STATE[:6], (), 60, 6, 30.0)

    def infer(self, batch):
        rows = np.tile((HOME + self.offset).astype(np.float32), (60, 1))
        return [ActionChunk(row.step, rows, rows) for row in batch]
"""


def test_a_weights_file_replaced_before_a_restart_is_another_model(rig: Rig) -> None:
    (rig.folder / "net.py").write_text(NET, encoding="utf-8")
    np.save(rig.folder / "net.npy", np.full(6, 0.1))
    net = {"policy": f"{rig.folder / 'net.py'}:Net"}
    first = rig.serve("trained", "--service-name", "net", **net)
    robot = rig.run("net-arm", "--service", "wave/main/net", "--max-offline-s", "10")
    settle(rig, robot)
    kill(first)
    np.save(rig.folder / "net.npy", np.full(6, -0.4))
    killed_ns = time.monotonic_ns()
    second = rig.serve("retrained", "--service-name", "net", **net)
    outcome = outcome_of(robot)
    second.end()
    assert outcome.run.exit_code == ExitCode.DEAD
    said = ("model_hash of the replica", "a running robot does not change models")  # who finds it first
    assert any(part in outcome.run.error for part in said)
    assert not [row for row in outcome.plan_rows if row.captured_ns > killed_ns]


CONTRADICTIONS = {
    "other weights": ("weights", "b"),
    "another order of actions": ("reverse", "True"),
    "no real-time chunking": ("rtc", "False"),
}


@pytest.fixture(scope="module")
def contradicted(rig: Rig) -> dict[str, tuple[Outcome, float]]:
    """One robot and one server per contradiction; each server comes back as something else."""
    robots: dict[str, Child] = {}
    servers: dict[str, Child] = {}
    for number, what in enumerate(CONTRADICTIONS):
        servers[what] = rig.start_server(f"true{number}", "--service-name", f"s{number}")
    for number, (what, server) in enumerate(servers.items()):
        server.wait_for_line("server ready", timeout_s=PATIENCE_S)
        robots[what] = rig.start_robot(f"arm{number}", "--service", f"wave/main/s{number}")
    for robot in robots.values():
        robot.wait_for_line("robot running", timeout_s=PATIENCE_S)
        await_fresh(rig.folder, robot, monotonic_ns())
    for server in servers.values():
        kill(server)
    changed = [
        rig.start_server(f"other{number}", "--service-name", f"s{number}", options=options)
        for number, options in enumerate(CONTRADICTIONS.values())
    ]
    for server in changed:
        server.wait_for_line("server ready", timeout_s=PATIENCE_S)
    ready_s = time.monotonic()
    ended = {what: (outcome_of(robot), time.monotonic() - ready_s) for what, robot in robots.items()}
    for server in changed:
        server.end()
    return ended


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_server_that_returns_with(what: str, contradicted: dict[str, tuple[Outcome, float]]) -> None:
    outcome, after_s = contradicted[what]
    check_safe(outcome)
    assert outcome.run.reason == "dead", outcome.output
    assert outcome.run.exit_code == ExitCode.DEAD
    assert servers_used(outcome) == 1, "it was commanded by the server that had changed"
    assert after_s < PATIENCE_S / 2
    assert "contradicts" in outcome.run.error, outcome.run.error


def test_a_changed_replica_is_passed_over_for_one_that_is_the_same(rig: Rig) -> None:
    service = ("--service-name", "three")
    first = rig.serve("one", *service)
    robot = rig.run("chooser", *LONG_BUFFER, "--service", "wave/main/three")
    other = rig.serve("two", *service, options=("weights", "b"))
    same = rig.serve("zero", *service)
    settle(rig, robot)
    kill(first)
    settle(rig, robot)
    outcome = stop_robot(robot)
    for server in (other, same):
        server.end()
    check_safe(outcome)
    assert servers_used(outcome) == 2


def test_the_run_is_dead_when_nobody_comes_back_in_time(rig: Rig, tmp_path: Path) -> None:
    server = rig.serve("gone", "--service-name", "gone")
    robot = rig.run("lonely", "--service", "wave/main/gone", "--max-offline-s", "3")
    await_fresh(rig.folder, robot, monotonic_ns())
    kill(server)
    outcome = outcome_of(robot)
    check_safe(outcome)
    assert outcome.run.exit_code == ExitCode.DEAD
    assert "3 s" in outcome.run.error
