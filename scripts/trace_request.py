"""Trace of one request: prints the modules that it passes, until a tick plays its answer.

Engine, client, server and a policy of a few lines run in this process, over a link in memory. The request
carries a state and a camera frame. What is counted are the modules of vagus in which a function is called, on
any thread that has to do with the request.

    python scripts/trace_request.py
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from vagus.clock import MonotonicClock
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, RobotSpec, RtcSpec, StateFeature
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, MotionState, Snapshot

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "vagus"
PATIENCE_S = 60.0
TICK_S = 0.01
OTHER_WORK = ("vagus-sweep", "vagus-replicas")
"""Threads that look now and then for clients that are gone, and for other servers."""

ACTIONS = (ActionFeature("joint", "rad", feedback="joint"),)
STATE = (StateFeature("joint", "rad"),)
CAMERAS = (CameraSpec("front", 48, 64),)
ROBOT = RobotSpec("joint", ACTIONS, STATE, CAMERAS, 1 / TICK_S)


class StandStill:
    """Policy that repeats the measured state for sixteen steps."""

    spec = PolicySpec("still", ACTIONS, STATE, CAMERAS, 16, 1, 30.0, RtcSpec(prefix_horizon=4))
    serving_mode = ServingMode.SHARED
    model_hash = "still"

    def open_session(self) -> None:
        """Keep nothing."""

    def begin_episode(self, session: None) -> None:
        """Forget nothing."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk]:
        """Repeat the state of each row."""
        poses = [np.repeat(row.observation.state[None], self.spec.horizon, axis=0) for row in batch]
        return [ActionChunk(row.step, pose, pose) for row, pose in zip(batch, poses, strict=True)]

    def close(self) -> None:
        """Free nothing."""


class Trace:
    """Recorder of the module of each called function, in order of the first call."""

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take one event of the interpreter."""
        del argument
        file = frame.f_code.co_filename
        is_ours = event == "call" and file.startswith(str(PACKAGE))
        if is_ours and threading.current_thread().name not in OTHER_WORK:
            self.modules[str(Path(file).relative_to(PACKAGE))] = None

    @contextmanager
    def on(self) -> Iterator[None]:
        """Trace the threads that run already, and this one."""
        _profile_all_threads(self)
        try:
            yield
        finally:
            _profile_all_threads(None)


def _profile_all_threads(trace: Trace | None) -> None:
    if sys.version_info < (3, 12):
        sys.exit("wanted Python 3.12 or newer, which can trace all threads")
    threading.setprofile_all_threads(trace)


def trace() -> list[str]:
    """Return the modules of one request."""
    network, traced = MemoryNetwork(), Trace()
    opener = SessionOpener(network.link("robot"), ROBOT, EdgeConfig(), Identity("joint", "1"))
    with (
        Server(network.link("server"), StandStill, ServeConfig()) as server,
        PolicyClient(opener, Engine, instruction="stand still") as client,
    ):
        if not server.wait_ready(PATIENCE_S):
            raise TimeoutError("the server was not ready")
        client.open()
        with traced.on():
            _until_it_plays(client)
    return list(traced.modules)


def _until_it_plays(client: PolicyClient[Engine]) -> None:
    clock, never = MonotonicClock(), threading.Event()
    state = np.zeros(len(STATE), dtype=np.float32)
    frames = {camera.name: np.zeros((camera.height, camera.width, 3), dtype=np.uint8) for camera in CAMERAS}
    while client.engine.advance(clock.now_ns(), state).motion is not MotionState.PLAYING:
        draft = client.engine.take_draft()
        if draft is not None:
            client.offer(Snapshot(draft, frames))
        never.wait(TICK_S)


if __name__ == "__main__":
    passed = trace()
    sys.stdout.write("".join(f"{number:3d}  {module}\n" for number, module in enumerate(passed, start=1)))
