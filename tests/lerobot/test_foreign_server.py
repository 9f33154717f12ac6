"""LeRobot's own policy server as the brain, and an openpi server behind LeRobot's own rollout."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lerobot_backend import JOINTS, SIZE, act_config, save, served
from process.foreign_rig import Foreign
from process.rig import await_fresh, check_safe, rig_in, stop_robot
from rollout_rig import JOINTS as ARM
from rollout_rig import Stand, Sway, start_lerobot_rollout
from vagus.clock import monotonic_ns
from vagus.errors import ProtocolError
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.search import search
from vagus.integrations.lerobot_grpc.options import LeRobotGrpcOptions
from vagus.integrations.lerobot_grpc.policy import LeRobotGrpcPolicy
from vagus.policies.policy import Row
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import ActionChunk, Observation

PATIENCE_S = 60.0
FAULT_S = 2.5
EDGE = os.environ.get("VAGUS_EDGE_PYTHON", "")


class PolicyServerProcess:
    """LeRobot's policy server, unmodified, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder  # it writes a log where it is started
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    @property
    def address(self) -> str:
        return f"lerobot+grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        module = ["-m", "lerobot.async_inference.policy_server"]
        flags = ["--host=127.0.0.1", f"--port={self.port}"]
        self._process = subprocess.Popen(
            [sys.executable, *module, *flags],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._listens():
            assert time.monotonic() < deadline_s
            assert self._process.poll() is None
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyServerProcess]:
    running = PolicyServerProcess(tmp_path_factory.mktemp("server"))
    yield running
    running.kill()


def profile_in(folder: Path, names: tuple[str, ...], unit: str, *, height: int, width: int) -> str:
    path = folder / "profile.yaml"
    numbers = f"names: [{', '.join(names)}], unit: {unit}"
    path.write_text(
        "protocol: lerobot_grpc\nrobot_type: sim\nrate_hz: 30\nhorizon: 20\ninstruction: task\n"
        f"images:\n  - {{key: observation.images.front, name: front, height: {height}, width: {width}}}\n"
        f"state:\n  - {{key: observation.state, {numbers}}}\n"
        f"actions:\n  - {{key: actions, {numbers}}}\n"
    )
    return str(path)


def row_of(number: float) -> Row[None]:
    frame = np.random.default_rng(round(100 * number)).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    state = np.linspace(-number, number, 6, dtype=np.float32)
    return Row(None, Observation(state, {"front": frame}, "pick", 0), 3, None, 0, 0, 0)


def options_for(folder: Path, checkpoint: Path) -> LeRobotGrpcOptions:
    return LeRobotGrpcOptions(
        profile=profile_in(folder, JOINTS, "lerobot_norm", height=SIZE, width=SIZE),
        timeout_s=20.0,
        policy_type="act",
        checkpoint=str(checkpoint),
        device="cpu",
    )


def test_it_is_recognised_and_none_of_its_calls_is_made(server: PolicyServerProcess) -> None:
    found = search(parse_searched(f"127.0.0.1:{server.port}"), ZenohConfig())
    [one] = found.recognised
    assert (one.protocol, one.version) == ("LeRobot gRPC", "transport (July 2025 and later)")
    assert "Exception deserializing request!" in one.seen  # before the handler


def test_its_chunks_are_those_of_the_same_checkpoint_here(
    server: PolicyServerProcess, tmp_path: Path
) -> None:
    checkpoint = save(act_config(), tmp_path / "act")
    there = LeRobotGrpcPolicy(server.address, options=options_for(tmp_path, checkpoint))
    here = served(checkpoint)
    for number in (0.5, 0.5, 1.0):  # the second one resembles the first: LeRobot would drop it
        there.begin_episode(None)
        row = row_of(number)
        (got,) = there.infer([row])
        (wanted,) = here.infer([Row(here.open_session(), row.observation, row.step, None, 0, 0, 0)])
        assert isinstance(got, ActionChunk), got
        assert isinstance(wanted, ActionChunk)
        assert got.step == 3
        np.testing.assert_allclose(got.robot, wanted.robot, atol=1e-4)
    there.close()


def test_a_checkpoint_that_is_not_there_is_told(server: PolicyServerProcess, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="SendPolicyInstructions: UNKNOWN"):
        LeRobotGrpcPolicy(server.address, options=options_for(tmp_path, tmp_path / "nothing"))


def test_a_robot_is_as_safe_as_with_a_server_of_our_own(server: PolicyServerProcess, tmp_path: Path) -> None:
    checkpoint = save(act_config(), tmp_path / "act")
    names = tuple(f"joint_{at}" for at in range(1, 7))
    profile = profile_in(tmp_path, names, "rad", height=480, width=640)
    options = ("profile", profile, "policy_type", "act", "checkpoint", str(checkpoint), "device", "cpu")
    with rig_in(tmp_path) as rig:
        rig.serve(policy=server.address, options=(*options, "timeout_s", "2.0"))
        robot = rig.run("arm", "--buffer-time-s", "0.3", "--max-limited-s", "120", "--max-offline-s", "60")
        await_fresh(rig.folder, robot, monotonic_ns())
        server.kill()
        time.sleep(FAULT_S)
        server.start()
        await_fresh(rig.folder, robot, monotonic_ns(), timeout_s=PATIENCE_S)
        server.signal(signal.SIGSTOP)
        time.sleep(FAULT_S)
        stopped_ns = monotonic_ns()
        server.signal(signal.SIGCONT)
        await_fresh(rig.folder, robot, monotonic_ns(), timeout_s=PATIENCE_S)
        outcome = stop_robot(robot)
    check_safe(outcome)
    held = [row for row in outcome.rows if row.t_ns < stopped_ns][-10:]
    assert all(row.motion == "fallback" and not row.is_moving for row in held), held


PI05 = """
protocol: openpi
robot_type: vsim
rate_hz: 30
horizon: 60
instruction: prompt
images:
  - {key: observation/images/realsense, name: front, height: 48, width: 64}
state:
  - key: observation/state
    names: [shoulder_pan.pos, shoulder_lift.pos, elbow_flex.pos, wrist_flex.pos, wrist_roll.pos]
    unit: deg
  - {key: observation/state, names: [gripper.pos], unit: lerobot_norm}
actions:
  - key: actions
    names: [shoulder_pan.pos, shoulder_lift.pos, elbow_flex.pos, wrist_flex.pos, wrist_roll.pos]
    unit: deg
  - {key: actions, names: [gripper.pos], unit: lerobot_norm}
"""
OFFSET = 20.0
"""Where the openpi server sends each joint, about: zeros would show."""


@pytest.mark.skipif(not EDGE, reason="VAGUS_EDGE_PYTHON names no Python with vagus and websockets")
def test_lerobots_rollout_with_an_openpi_server_ends_without_zeros_when_that_is_killed(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "pi05.yaml"
    profile.write_text(PI05)
    foreign = Foreign(tmp_path, "openpi", "--offset", str(OFFSET), python=EDGE)
    try:
        with rig_in(tmp_path) as rig:
            options = ("--options", "profile", str(profile), "timeout_s", "1.0")
            serve = ["serve", "--policy", foreign.address, "--connect", rig.endpoint, *options]
            rig.child("server", serve, python=EDGE).wait_for_line("server ready", timeout_s=PATIENCE_S)
            stand = Stand(rig.endpoint, Sway(), None, tmp_path)  # type: ignore[arg-type] # the server is elsewhere
            running = start_lerobot_rollout(stand, "--inference.type=vagus", "--duration=60")
            stand.await_actions(60)
            foreign.kill()
            _, errors = running.communicate(timeout=100)
        sent = stand.sent()
    finally:
        foreign.kill()
    assert foreign.address in errors, errors
    assert len(sent) >= 60
    last = np.array([[action[f"{joint}.pos"] for joint in ARM] for action in sent[-20:]])
    assert (last > OFFSET / 2).all(), last
