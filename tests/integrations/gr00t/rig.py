"""A GR00T gateway in this process, in front of a policy that tells who asked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import vagus
from server.raw_client import wait_until
from vagus.errors import PolicyError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.batch_listener import BatchListener
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.gr00t.gateway import Gr00tListener
from vagus.integrations.gr00t.so100 import SO100_ACTIONS
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.link import Link
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import ActionChunk

PATIENCE_S = 30.0
"""Longest wait for what must happen; the machine may be busy with others."""
HORIZON = 4
UNITS = {name: "lerobot_norm" if name == "gripper.pos" else "deg" for name in SO100_ACTIONS}
ORDER = SO100_ACTIONS[::-1]
"""The policy has the motors the other way round, so that a mixed-up order shows."""
PROFILE = Profile(
    name="so100",
    protocol="gr00t",
    robot_type="so100_follower",
    rate_hz=30,
    horizon=HORIZON,
    state=(
        WireSpan(key=("state", "single_arm"), names=SO100_ACTIONS[:5], unit="deg"),
        WireSpan(key=("state", "gripper"), names=SO100_ACTIONS[5:], unit="lerobot_norm"),
    ),
    actions=(
        WireSpan(key=("action", "single_arm"), names=SO100_ACTIONS[:5], unit="deg"),
        WireSpan(key=("action", "gripper"), names=SO100_ACTIONS[5:], unit="lerobot_norm"),
    ),
    images=(WireImage(key=("video", "front"), name="front", height=2, width=2),),
    instruction=("language", "annotation.human.task_description"),
)
"""As the shipped profile, with the pictures of the captured requests."""
NUMBERS = itertools.count()
FAILS, WAITS = -99.0, 777.0
"""First joint of the state: the policy fails, or waits for the test."""


class TellingPolicy:
    """Answers with the state of who asked, and as gripper with the number of its requests in the episode."""

    serving_mode = ServingMode.SHARED
    model_hash = "telling"
    spec = vagus.PolicySpec(
        "telling",
        actions=tuple(vagus.ActionFeature(name, UNITS[name]) for name in ORDER),
        state=tuple(vagus.StateFeature(name, UNITS[name]) for name in ORDER),
        cameras=(vagus.CameraSpec("front", 2, 2),),
        horizon=HORIZON,
        model_dim=6,
        rate_hz=30,
    )

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.frames: list[np.ndarray] = []
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def open_session(self) -> list[int]:
        return []

    def begin_episode(self, session: list[int]) -> None:
        session.clear()

    def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        self.gate.set()

    def _answer(self, row: Row[list[int]]) -> ActionChunk | PolicyError:
        state = row.observation.state
        if state[5] == WAITS:
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if state[5] == FAILS:
            return PolicyError("the arm cannot do this")
        row.session.append(row.step)
        self.tasks.append(row.observation.instruction)
        self.frames.append(row.observation.images["front"])
        chunk = state[None] + np.arange(HORIZON, dtype=np.float32)[:, None] * np.float32(0.25)
        chunk[:, 0] = len(row.session)
        return ActionChunk(row.step, chunk, chunk)


def arm(who: float) -> np.ndarray:
    """Return a state (6,) in which each number differs and says who."""
    return np.array([who, who + 1, who + 2, who + 3, who + 4, 50], np.float32)


def expected(who: float, calls: int = 1) -> np.ndarray:
    """Return the chunk (HORIZON, 6) that answers `arm(who)`, in the order of the wire."""
    chunk = arm(who)[None] + np.arange(HORIZON, dtype=np.float32)[:, None] / 4
    chunk[:, 5] = calls
    return chunk


class Stand:
    """A policy, its server, and a link to it."""

    def __init__(self, policy: TellingPolicy, server: Server[list[int]], link: MemoryLink) -> None:
        self.policy = policy
        self.server = server
        self.link = link

    @property
    def sessions(self) -> int:
        return self.server.load().sessions

    def wait_for_sessions(self, count: int) -> None:
        wait_until(lambda: self.sessions == count)


def wait_for_peers(listener: BatchListener, count: int) -> None:
    """Return when the gateway has this many robots."""
    wait_until(lambda: listener._gateway.metrics.peers == count)


@contextmanager
def served() -> Iterator[Stand]:
    """Serve the policy on a network in memory."""
    network, policy = MemoryNetwork(), TellingPolicy()
    with Server(network.link("server"), lambda: policy, ServeConfig(warm_up=False)) as server:
        assert server.wait_ready(PATIENCE_S)
        try:
            yield Stand(policy, server, network.link("gateway"))
        finally:
            policy.gate.set()


def config(**settings: object) -> GatewayConfig:
    """Return the settings of a gateway on a free port."""
    given: dict[str, object] = {
        "listen": "127.0.0.1:0", "name": f"gr00t{next(NUMBERS)}", "answer_timeout_s": PATIENCE_S, **settings,
    }  # fmt: skip
    return GatewayConfig(protocol="gr00t", profile="so100", **given)  # type: ignore[arg-type] # by name


@contextmanager
def listening(link: Link, *, token: Path | None = None, **settings: float | str) -> Iterator[Gr00tListener]:
    """Let a gateway listen on a free port."""
    listener = Gr00tListener(Gateway(config(token_path=token, **settings), PROFILE, link))
    try:
        listener.start()
        yield listener
    finally:
        listener.close()
