"""A policy for the simulated LeRobot arm, and the way from it to the arm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.ports import LoopPorts
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.recording.registry import Run, open_recording
from vagus.robots.robot import Robot
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, Image

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
NAMES = tuple(f"{joint}.pos" for joint in JOINTS)
UNITS = {name: "lerobot_norm" if name == "gripper.pos" else "deg" for name in NAMES}
GOAL = 20.0
STRIDE = 0.5
HORIZON = 15
RATE_HZ = 30.0
PATIENCE_S = 20.0


class Towards:
    """Moves every joint a stride per step, towards the goal."""

    serving_mode = ServingMode.SHARED
    model_hash = "towards"

    def __init__(
        self, units: Mapping[str, str] | None = None, kinds: Mapping[str, str] | None = None
    ) -> None:
        self.spec = SpecTable(
            actions=dict(units or UNITS),
            kinds=dict(kinds or {}),
            state=dict(units or UNITS),
            cameras={"front": (48, 64)},
            horizon=HORIZON,
            rate_hz=RATE_HZ,
        ).to_spec()
        self.images: list[Image] = []

    def open_session(self) -> None:
        return None

    def begin_episode(self, session: None) -> None:
        pass

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        return [self._chunk(row) for row in batch]

    def close(self) -> None:
        pass

    def _chunk(self, row: Row[None]) -> ActionChunk:
        self.images.append(row.observation.images["front"])
        steps = np.arange(1, HORIZON + 1, dtype=np.float32)[:, None]
        actions = np.minimum(row.observation.state + steps * STRIDE, GOAL).astype(np.float32)
        return ActionChunk(row.step, actions, actions)


@contextmanager
def served(policy: Policy[None]) -> Iterator[MemoryNetwork]:
    """A network with a server of this policy."""
    network = MemoryNetwork()
    with Server(network.link("server"), lambda: policy, ServeConfig()) as server:
        assert server.wait_ready(PATIENCE_S)
        yield network


def drive(
    robot: Robot, policy: Policy[None], config: LoopConfig, record: RecorderConfig | None = None
) -> LoopSummary:
    """Run the robot from the policy until it ends, recorded or not."""
    with served(policy) as network:
        opener = SessionOpener(
            network.link("robot"), robot.spec, EdgeConfig(buffer_time_s=0.2), Identity("arm", "1")
        )
        with PolicyClient(opener, Engine) as client:
            contract = client.open()
            mapping = OrderMapping(robot.spec, contract.policy)
            motion = Motion(mapping.actions, mapping.state_names, tick_s=1 / robot.spec.rate_hz)
            run = Run("lerobot:vsim", "arm", "reach", {})
            recording = open_recording(record or RecorderConfig(), run, robot, mapping, contract)
            ports = LoopPorts(
                robot, client.engine, client, motion, mapping, recording.recorder, recording.read_images
            )
            return ControlLoop(ports, config).run()


def events(journal: Path) -> list[dict[str, object]]:
    """Return what the arm's driver was told, in order."""
    return [json.loads(line) for line in journal.read_text().splitlines()]
