"""A gateway of the draft in this process: a policy that tells what it was asked, and robots in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

import vagus
from draft_robot import DraftRobot, Robot
from vagus.clock import Clock, MonotonicClock, seconds_to_ns
from vagus.errors import PolicyError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.lerobot_zenoh.draft.keys import DraftService
from vagus.integrations.lerobot_zenoh.draft_gateway import LeRobotDraftListener
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import RtcSpec
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk

PATIENCE_S = 30.0
"""Longest wait for what must happen; the machine may be busy with others."""
HORIZON = 6
JOINTS = ("pan.pos", "lift.pos", "grip.pos")
MODEL = "org/arm"
SERVICE = DraftService("org-arm", "main", "pick-the-cube")
PROFILE = Profile(
    name="tiny",
    protocol="lerobot_zenoh_draft",
    robot_type="so101_follower",
    rate_hz=30,
    horizon=HORIZON,
    state=(WireSpan(key=("observation.state",), names=JOINTS, unit="deg"),),
    images=(WireImage(key=("observation.images.front",), name="front", height=4, width=6),),
    instruction=("task",),
    actions=(WireSpan(key=("action",), names=JOINTS, unit="deg"),),
)
ROBOT = Robot(JOINTS, ("observation.images.front",))
WAITS, FAILS = 777.0, -777.0
"""First joint of the state: the policy waits for the test, or fails."""


class Echo:
    """Answers with the state, and a step more with every action."""

    serving_mode = ServingMode.SHARED
    model_hash = "echo"
    spec = vagus.PolicySpec(
        "echo",
        actions=tuple(vagus.ActionFeature(name, "deg") for name in JOINTS),
        state=tuple(vagus.StateFeature(name, "deg") for name in JOINTS),
        cameras=(vagus.CameraSpec("front", 4, 6),),
        horizon=HORIZON,
        model_dim=len(JOINTS),
        rate_hz=30,
        rtc=RtcSpec(4),
    )

    def __init__(self) -> None:
        self.rows: list[Row[None]] = []
        self.batches: list[int] = []
        self.episodes = 0
        self.opened = 0
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def open_session(self) -> None:
        self.opened += 1

    def begin_episode(self, session: None) -> None:
        self.episodes += 1

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self.batches.append(len(batch))
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        self.gate.set()

    def _answer(self, row: Row[None]) -> ActionChunk | PolicyError:
        state = row.observation.state
        if state[0] == WAITS:
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if state[0] == FAILS:
            return PolicyError("the policy does not know this place")
        self.rows.append(row)
        actions = state[None] + np.arange(HORIZON, dtype=np.float32)[:, None]
        return ActionChunk(row.step, actions, actions)


class ShiftedClock(MonotonicClock):
    """The machine's clock, and what was skipped."""

    def __init__(self) -> None:
        self.skipped_ns = 0

    def skip(self, seconds: float) -> None:
        self.skipped_ns += seconds_to_ns(seconds)

    def now_ns(self) -> int:
        return super().now_ns() + self.skipped_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        super().wait_until_ns(deadline_ns - self.skipped_ns, stop)


def joints(first: float) -> np.ndarray:
    """Return a state, (3,) float32."""
    return first + np.arange(len(JOINTS), dtype=np.float32)


def expected(first: float, count: int = HORIZON) -> np.ndarray:
    """Return the actions that answer it, (count, 3)."""
    return joints(first)[None] + np.arange(count, dtype=np.float32)[:, None]


@dataclass
class Stand:
    """A policy, its server, and a gateway that listens."""

    policy: Echo
    gateway: Gateway
    listener: LeRobotDraftListener
    network: MemoryNetwork
    """Network of the robots."""
    serving: MemoryNetwork
    """Network of the server."""

    def robot(self, uuid: str, robot: Robot = ROBOT, service: DraftService = SERVICE) -> DraftRobot:
        """Return a robot with a link of its own."""
        return DraftRobot(self.network.link(uuid), service, uuid, robot)

    def connected(self, uuid: str, robot: Robot = ROBOT) -> DraftRobot:
        """Return a robot with a session."""
        made = self.robot(uuid, robot)
        opened = made.connect()
        assert not opened.error, opened.error
        return made


@contextmanager
def serving(network: MemoryNetwork, policy: Echo) -> Iterator[None]:
    """Serve the policy."""
    config = ServeConfig(model=MODEL, warm_up=False)
    with Server(network.link("server"), lambda: policy, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield


@contextmanager
def standing(
    *,
    models: dict[str, str] | None = None,
    is_served: bool = True,
    clock: Clock | None = None,
    profile: Profile = PROFILE,
    **settings: float | str,
) -> Iterator[Stand]:
    """Serve the policy, and let a gateway listen in memory."""
    robots, servers = MemoryNetwork(), MemoryNetwork()
    policy = Echo()
    given = {"protocol": "lerobot_zenoh_draft", "profile": "tiny", "name": "arm", **settings}
    config = GatewayConfig(models=models or {"org-arm/main/*": MODEL}, **given)  # type: ignore[arg-type] # by name
    with serving(servers if is_served else MemoryNetwork(), policy):
        listener = LeRobotDraftListener(
            Gateway(config, profile, servers.link("gateway")), lambda: robots.link("gateway"), clock
        )
        listener.start()
        try:
            yield Stand(policy, listener._gateway, listener, robots, servers)
        finally:
            policy.gate.set()
            listener.close()
