"""PushT as a robot, driven by a served policy: the whole way there and back, but for the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vagus.control.config import LoopConfig
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
from vagus.import_path import Option
from vagus.integrations.gymnasium.robot import GymRobot
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.robots.registry import load_robot
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, FloatArray, Image

RATE_HZ = 50.0
NAMES = ("action.0", "action.1")
STEPS = 25
PX_PER_PIXEL = 512 / 96
BLOCK = (119, 136, 153)
PATIENCE_S = 20.0


class PushTowards:
    """Moves the pusher towards the middle of the block that it sees."""

    serving_mode = ServingMode.SHARED
    model_hash = "towards"
    spec = SpecTable(
        actions=dict.fromkeys(NAMES, "env"),
        state={"agent_pos.0": "env", "agent_pos.1": "env"},
        cameras={"pixels": (96, 96)},
        horizon=10,
        rate_hz=RATE_HZ,
    ).to_spec()

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()
        self.begun = 0

    def open_session(self) -> list[int]:
        return []

    def begin_episode(self, session: list[int]) -> None:
        self.begun += 1

    def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
        return [self._chunk(row) for row in batch]

    def close(self) -> None:
        pass

    def _chunk(self, row: Row[list[int]]) -> ActionChunk:
        image = row.observation.images["pixels"]
        self.shapes.add(image.shape)
        goal = block_middle(image)
        share = (np.arange(10, dtype=np.float32)[:, None] + 1) / 10
        actions = row.observation.state + share * (goal - row.observation.state)
        return ActionChunk(row.step, actions.astype(np.float32), actions.astype(np.float32))


def block_middle(image: Image) -> FloatArray:
    """Return where the block is, (2,), in the environment's coordinates."""
    rows, columns = np.nonzero(np.abs(image.astype(np.int16) - BLOCK).max(-1) < 30)
    middle = [columns.mean(), rows.mean()] if rows.size else [48.0, 48.0]
    return (np.array(middle) * PX_PER_PIXEL).astype(np.float32)


def drive(robot: GymRobot, policy: PushTowards, config: LoopConfig) -> LoopSummary:
    network = MemoryNetwork()
    served: Policy[list[int]] = policy
    edge = EdgeConfig(buffer_time_s=0.1)
    opener = SessionOpener(network.link("robot"), robot.spec, edge, Identity("pusher", "1"))
    with Server(network.link("server"), lambda: served, ServeConfig()) as server:
        assert server.wait_ready(PATIENCE_S)
        with PolicyClient(opener, Engine) as client:
            contract = client.open()
            mapping = OrderMapping(robot.spec, contract.policy)
            motion = Motion(mapping.actions, mapping.state_names, tick_s=1 / robot.spec.rate_hz)
            return ControlLoop(LoopPorts(robot, client.engine, client, motion, mapping), config).run()


def test_a_served_policy_drives_pusht_for_some_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    options: dict[str, Option] = {
        "env_obs_type": "pixels_agent_pos",
        "env_max_episode_steps": STEPS,
        "rate_hz": RATE_HZ,
        "seed": 1,
    }
    robot, policy = load_robot("gym:gym_pusht/PushT-v0", options), PushTowards()
    assert isinstance(robot, GymRobot)
    summary = drive(
        robot, policy, LoopConfig(episodes=3, duration_s=60.0, vouch_unbounded=NAMES, vouch_unmeasured=NAMES)
    )
    said = robot.report()
    assert (summary.reason, summary.error) == (EndReason.FINISHED, "")
    assert (summary.episodes, said.episodes, len(said.returns)) == (3, 3, 3)
    assert said.steps == summary.commands
    assert summary.camera_errors == 0
    assert policy.shapes == {(96, 96, 3)}
    assert policy.begun >= 3
