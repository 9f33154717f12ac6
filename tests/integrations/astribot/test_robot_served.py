"""The robot `astribot` driven by a served policy: pictures, limits, held parts, a stop on every way out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from vagus.control.config import LoopConfig, SensesConfig
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.ports import LoopPorts
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import PolicyError
from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.robot import AstribotRobot
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.robot_spec import astribot_spec
from vagus.integrations.astribot.simulated_body import start_pose
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk

PATIENCE_S = 20.0
HORIZON = 30


class Everywhere:
    """Sends every number far up, as a network that has gone wrong, and remembers the pictures it saw."""

    serving_mode = ServingMode.SHARED
    model_hash = "everywhere"

    def __init__(self, options: AstribotRobotOptions) -> None:
        robot = astribot_spec(options)
        self.spec = SpecTable(
            actions={feature.name: feature.unit for feature in robot.actions},
            kinds={feature.name: feature.kind.value for feature in robot.actions},
            state={feature.name: feature.unit for feature in robot.state},
            cameras={"head": (90, 160), "wrist_left": (90, 160)},
            horizon=HORIZON,
            rate_hz=30.0,
        ).to_spec()
        self.shapes: set[tuple[str, tuple[int, ...]]] = set()

    def open_session(self) -> list[int]:
        return []

    def begin_episode(self, session: list[int]) -> None:
        pass

    def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
        return [self._chunk(row) for row in batch]

    def close(self) -> None:
        pass

    def _chunk(self, row: Row[list[int]]) -> ActionChunk:
        self.shapes |= {(name, image.shape) for name, image in row.observation.images.items()}
        actions = np.full((HORIZON, len(self.spec.actions)), 1.2, np.float32)
        return ActionChunk(row.step, actions, actions)


class WatchedSdk(SimulatedSdk):
    """The simulated SDK, which does something at its 20th waypoint and notes how fast it is commanded."""

    at_20th: object = None
    stops = 0

    def __init__(self) -> None:
        super().__init__(jitter_s=0.0)
        self.sent: list[list[float]] = []

    def set_joints_position(
        self, names: Sequence[str], position: Sequence[Sequence[float]], *, control_way: str, use_wbc: bool
    ) -> None:
        if self.commands == 20 and callable(self.at_20th):
            self.at_20th(self)
        super().set_joints_position(names, position, control_way=control_way, use_wbc=use_wbc)
        self.sent.append([number for part in position for number in part])

    def stop(self) -> None:
        self.stops += 1
        super().stop()


def drive(
    sdk: SimulatedSdk, options: AstribotRobotOptions, config: LoopConfig, *, stuck: threading.Event
) -> tuple[LoopSummary, Everywhere]:
    robot, policy = AstribotRobot(sdk=sdk, options=options), Everywhere(options)
    network = MemoryNetwork()
    served: Policy[list[int]] = policy
    opener = SessionOpener(
        network.link("robot"), robot.spec, EdgeConfig(buffer_time_s=0.1), Identity("s1", "1")
    )
    with Server(network.link("server"), lambda: served, ServeConfig()) as server:
        assert server.wait_ready(PATIENCE_S)
        with PolicyClient(opener, Engine) as client:
            mapping = OrderMapping(robot.spec, client.open().policy)
            motion = Motion(mapping.actions, mapping.state_names, tick_s=1 / robot.spec.rate_hz)
            ports = LoopPorts(robot, client.engine, client, motion, mapping)

            def free(_: LoopSummary) -> None:
                stuck.set()
                sdk.close()  # whoever hangs in a call gets out

            return ControlLoop(ports, config, on_stuck=free).run(), policy


def run(
    options: AstribotRobotOptions, config: LoopConfig, sdk: WatchedSdk | None = None
) -> tuple[LoopSummary, WatchedSdk, Everywhere, bool]:
    sdk, stuck = sdk or WatchedSdk(), threading.Event()
    summary, policy = drive(sdk, options, config, stuck=stuck)
    return summary, sdk, policy, stuck.is_set()


def check_stopped(sdk: WatchedSdk) -> None:
    assert sdk.stops
    assert sdk.refusals == []


def test_a_policy_that_goes_wrong_is_limited_and_parts_that_are_held_never_move() -> None:
    options = AstribotRobotOptions(width=25, head=False, torso=False, max_delta=0.02, average=3)
    summary, sdk, policy, _ = run(options, LoopConfig(duration_s=1.5))
    assert (summary.reason, summary.error) == (EndReason.FINISHED, "")
    assert summary.camera_errors == 0
    assert policy.shapes >= {("head", (720, 1280, 3)), ("wrist_left", (360, 640, 3))}
    moved = sdk.body - start_pose()
    for part in ("head", "torso", "chassis"):
        assert np.abs(moved[PARTS[part]]).max() < 1e-6  # a state is float32
    assert moved[PARTS["arm_left"]][0] > 0.1
    assert len(sdk.sent) > 20
    assert np.abs(np.diff(np.array(sdk.sent)[:, 4:11], axis=0)).max() <= 0.02 + 1e-9  # the left arm
    assert summary.limited["velocity"] > 0
    check_stopped(sdk)


def test_the_ready_pose_of_a_mapping_is_gone_to_before_the_policy_drives(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text('{"ready": {"arm_left_1": 0.35, "torso_4": 0.05}}')
    options = AstribotRobotOptions(width=22, mapping=str(path))
    config = LoopConfig(duration_s=4.0, move_to_ready=True, ready_time_s=1.0)
    summary, sdk, _, _ = run(options, config)
    assert (summary.reason, summary.error) == (EndReason.FINISHED, "")
    sent = np.array(sdk.sent)
    on_the_way = sent[: int(np.argmax(np.abs(sent[:, 4] - 0.35) < 1e-6)) + 1]
    assert len(on_the_way) > 25
    assert on_the_way[-1][3] == pytest.approx(0.05, abs=1e-6)
    resting = [0, 1, 2, *range(5, 22)]  # all but torso_4 and arm_left_1
    assert np.abs(on_the_way[:, resting] - on_the_way[0, resting]).max() < 1e-6
    assert sent[-1][4] > 0.4  # then the policy drives
    check_stopped(sdk)


def test_grippers_outside_their_range_are_clipped_and_counted() -> None:
    summary, sdk, _, _ = run(AstribotRobotOptions(), LoopConfig(duration_s=1.5))
    assert summary.reason is EndReason.FINISHED
    assert summary.limited["position"] > 0  # 1.2 of 1
    assert max(row[11] for row in sdk.sent) == 100.0


def test_a_binary_gripper_is_open_or_closed_and_nothing_between() -> None:
    summary, sdk, _, _ = run(AstribotRobotOptions(gripper="binary"), LoopConfig(duration_s=1.0))
    assert summary.reason is EndReason.FINISHED, summary.error
    assert {row[11] for row in sdk.sent} == {100.0}


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("set_joints_position", "a driver reports an error"),
        ("get_current_joints_position", "a driver reports"),
    ],
)
def test_an_sdk_that_raises_ends_the_run_with_the_robot_stopped(method: str, reason: str) -> None:
    sdk = WatchedSdk()
    sdk.at_20th = partial(WatchedSdk.fail, method=method)
    summary, _, _, _ = run(AstribotRobotOptions(), LoopConfig(duration_s=PATIENCE_S), sdk)
    assert summary.reason is EndReason.ROBOT_ERROR
    assert reason in summary.error
    check_stopped(sdk)


def test_a_lost_connection_ends_the_run_with_a_stop() -> None:
    sdk = WatchedSdk()
    sdk.at_20th = WatchedSdk.lose
    summary, _, _, _ = run(AstribotRobotOptions(), LoopConfig(duration_s=PATIENCE_S), sdk)
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "the connection is lost" in summary.error
    check_stopped(sdk)


@pytest.mark.parametrize("method", ["set_joints_position", "get_current_joints_position"])
def test_an_sdk_that_hangs_is_stopped_from_another_thread(method: str) -> None:
    sdk = WatchedSdk()
    sdk.at_20th = partial(WatchedSdk.hang, method=method)
    config = LoopConfig(duration_s=PATIENCE_S, tick_timeout_s=0.3)
    summary, _, _, is_stuck = run(AstribotRobotOptions(), config, sdk)
    assert summary.reason is EndReason.HUNG, summary.error
    assert is_stuck
    assert sdk.stops


def test_frozen_cameras_starve_the_robot_and_it_holds() -> None:
    sdk = WatchedSdk()
    sdk.at_20th = WatchedSdk.freeze
    config = LoopConfig(duration_s=3.0, senses=SensesConfig(camera_stale_s=0.5))
    summary, _, _, _ = run(AstribotRobotOptions(), config, sdk)
    assert summary.camera_errors > 0
    assert summary.reason is EndReason.FINISHED
    check_stopped(sdk)
