"""A served policy for the simulated LeRobot arm, and LeRobot's rollout driven by it."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import ActionFeature, ActionKind, CameraSpec, PolicySpec, RtcSpec, StateFeature
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import ActionChunk

PLUGIN = Path(__file__).parent / "lerobot" / "plugins" / "lerobot_robot_vsim"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
BASE = ("x.vel", "theta.vel")
RATE_HZ = 30.0
PATIENCE_S = 30.0
START_S = 60.0
"""Longest wait for the first actions of a LeRobot script; on a busy machine its imports take most of it."""
UNITS = {"gripper.pos": "lerobot_norm", "x.vel": "m/s", "theta.vel": "deg/s"}
"""Where it is not degrees."""
DRIVES_BASES = version("lerobot") != "0.6.0" if find_spec("torch") else False
"""LeRobot 0.6.0's rollout commands positions only."""
DRIVE = 0.2
"""What the policy asks of the base."""

STOCK = [
    "--robot.discover_packages_path=lerobot_robot_vsim",
    "--policy.discover_packages_path=vagus.integrations.lerobot.rollout",
    "--policy.type=vagus",
]


class Sway:
    """Joints sway, each with an amplitude of its own; the order of names is not the robot's."""

    serving_mode = ServingMode.SHARED
    model_hash = "sway"

    def __init__(self, *, has_base: bool = False, inference_s: float = 0.01) -> None:
        self.names = tuple(f"{joint}.pos" for joint in reversed(JOINTS)) + (BASE if has_base else ())
        self._inference_s = inference_s
        self.rows: list[Row[dict[str, object]]] = []
        self.begun = 0
        self.spec = PolicySpec(
            "sway",
            actions=tuple(
                ActionFeature(
                    n,
                    UNITS.get(n, "deg"),
                    kind=ActionKind.VELOCITY if n.endswith(".vel") else ActionKind.POSITION,
                )
                for n in self.names
            ),
            state=tuple(StateFeature(n, UNITS.get(n, "deg")) for n in self.names),
            cameras=(CameraSpec("front", 48, 64),),
            horizon=40,
            model_dim=len(self.names),
            rate_hz=RATE_HZ,
            rtc=RtcSpec(prefix_horizon=10),
        )

    def open_session(self) -> dict[str, object]:
        return {}

    def begin_episode(self, session: dict[str, object]) -> None:
        session.clear()
        self.begun += 1

    def infer(self, batch: Sequence[Row[dict[str, object]]]) -> list[ActionChunk | PolicyError]:
        time.sleep(self._inference_s)
        self.rows.extend(batch)
        return [ActionChunk(row.step, *[self.actions(row.step)] * 2) for row in batch]

    def actions(self, step: int) -> np.ndarray:
        steps = step + np.arange(self.spec.horizon)
        wave = (1.0 - np.cos(steps / 20.0))[:, None] * (1.0 + np.arange(len(self.names)))
        wave[:, len(JOINTS) :] = DRIVE
        return wave.astype(np.float32)

    def close(self) -> None:
        pass


@dataclass
class Stand:
    """A router and a server in this process."""

    endpoint: str
    policy: Sway
    server: Server[dict[str, object]]
    folder: Path
    journal: Path = field(init=False)

    def __post_init__(self) -> None:
        self.journal = self.folder / "robot.jsonl"

    def arguments(self, strategy: str = "base", *extra: str, has_base: bool = False) -> list[str]:
        """Return LeRobot's flags for a rollout of the simulated arm."""
        return [
            "--robot.type=vsim",
            "--robot.id=arm",
            f"--robot.calibration_dir={self.folder / 'calibration'}",
            f"--robot.journal={self.journal}",
            f"--robot.has_base={str(has_base).lower()}",
            f"--strategy.type={strategy}",
            f"--policy.endpoint={self.endpoint}",
            "--policy.name=arm",
            "--policy.edge.trust_units=true",
            "--return_to_initial_position=false",
            "--play_sounds=false",
            "--task=sway",
            *(['--inference.vouch_unbounded=["x.vel", "theta.vel"]'] if has_base else []),
            *extra,
        ]

    def dataset(self, name: str = "rollout_test") -> list[str]:
        """Return the flags for a dataset without videos."""
        return [
            f"--dataset.repo_id=vagus/{name}",
            f"--dataset.root={self.folder / name}",
            "--dataset.push_to_hub=false",
            "--dataset.video=false",
            "--dataset.single_task=sway",
        ]

    def events(self) -> list[dict[str, object]]:
        """Return what the arm wrote down: connect, actions, disconnect."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def await_actions(self, count: int) -> None:
        """Return once the arm was sent `count` actions."""
        deadline_s = time.monotonic() + START_S
        while not self.journal.exists() or self.journal.read_text().count("\n") <= count:
            assert time.monotonic() < deadline_s, "the arm was not commanded"
            time.sleep(0.02)

    @contextmanager
    def losing_its_server(self, count: int) -> Iterator[None]:
        """Close the server once the arm was sent so many more actions."""
        before = len(self.sent()) if self.journal.exists() else 0

        def close() -> None:
            self.await_actions(before + count)
            self.server.close()

        closer = threading.Thread(target=close)
        closer.start()
        yield
        closer.join()

    def longest_coast_s(self) -> float:
        """Return the longest time for which the base was left with a velocity that was not zero."""
        orders = [event for event in self.events() if event["event"] == "action"]
        return max(
            float(later["at_s"]) - float(order["at_s"])  # type: ignore[arg-type]
            for order, later in itertools.pairwise(orders)
            if any(order["action"][name] for name in BASE)  # type: ignore[index]
        )

    def sent(self) -> list[dict[str, float]]:
        """Return the actions that reached the arm."""
        return [event["action"] for event in self.events() if event["event"] == "action"]  # type: ignore[misc]


@contextmanager
def serving(
    endpoint: str,
    policy: Sway,
    config: ServeConfig | None = None,
    *,
    name: str = "one",
    max_sessions: int = 64,
) -> Iterator[Server[dict[str, object]]]:
    """Yield a server that is ready."""
    served: Policy[dict[str, object]] = policy
    config = config or ServeConfig(
        model="sway", server_name=name, max_sessions=max_sessions, max_batch=2, warm_up_runs=1
    )  # warm after a few inferences
    with ZenohLink(ZenohConfig(connect=(endpoint,))) as link, Server(link, lambda: served, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


@contextmanager
def stand_in(folder: Path, policy: Sway | None = None, config: ServeConfig | None = None) -> Iterator[Stand]:
    """Yield a network with a server that is ready."""
    served = policy or Sway()
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        endpoint = router.endpoints[0]
        with serving(endpoint, served, config) as server:
            yield Stand(endpoint, served, server, folder)


def add_plugin() -> None:
    """Have the simulated arm's package importable, as if it was installed."""
    if str(PLUGIN) not in sys.path:
        sys.path.insert(0, str(PLUGIN))
    importlib.import_module("lerobot_robot_vsim")  # registers the arm


def add_leader() -> None:
    """Register a leader arm that a human holds still, away from where the policy goes."""
    importlib.import_module("rollout_leader")


def keys(monkeypatch: pytest.MonkeyPatch, strategy: object) -> list[Callable[[str], None]]:
    """Return where the key handler of a strategy's module will be; there is no keyboard here."""
    handlers: list[Callable[[str], None]] = []

    def listen(dispatch: Callable[[str], None], **_: object) -> None:
        handlers.append(dispatch)

    monkeypatch.setattr(strategy, "create_key_listener", listen)
    return handlers


@contextmanager
def pressing(
    stand: Stand, handlers: list[Callable[[str], None]], presses: Sequence[tuple[float, str]]
) -> Iterator[None]:
    """Press keys, each so many seconds after the one before, the first after the arm began to move."""

    def press() -> None:
        stand.await_actions(5)
        for wait_s, key in presses:
            time.sleep(wait_s)
            for handler in handlers:
                handler(key)

    hand = threading.Thread(target=press)
    hand.start()
    yield
    hand.join()


def start_lerobot_rollout(stand: Stand, *arguments: str) -> subprocess.Popen[str]:
    """Start LeRobot's own rollout script with our policy type."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH")))),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(stand.folder),
    }
    flags = [flag for flag in stand.arguments("base", *STOCK, *arguments) if "fps" not in flag]
    program = [sys.executable, "-m", "lerobot.scripts.lerobot_rollout", *flags]
    return subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def table(sent: Sequence[dict[str, float]], names: Sequence[str]) -> np.ndarray:
    """Return actions as an array, (n, len(names))."""
    return np.array([[action[name] for name in names] for action in sent])
