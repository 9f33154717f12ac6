"""Prints the modules that one request passes through, from the robot's state to its next command.

Robot, engine, client, server and policy run in this process, over a link in memory. What is counted are the
modules of vagus in which a function is called, on any thread, between the tick that asks and the tick that
plays the answer.

    python scripts/trace_request.py
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from vagus.clock import MonotonicClock
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.demo.reach import ReachPolicy
from vagus.demo.robot import SimRobot
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import MotionState, Snapshot

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "vagus"
PATIENCE_S = 60.0
TICK_S = 0.01


class Trace:
    """Notes the module of each function that is called, in the order of their first calls."""

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take one event of the interpreter."""
        del argument
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(str(PACKAGE)):
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
    """Return the modules of one round trip."""
    network, clock, traced = MemoryNetwork(), MonotonicClock(), Trace()
    robot = SimRobot()
    opener = SessionOpener(network.link("robot"), robot.spec, EdgeConfig(), Identity("arm", "1"))
    with (
        Server(network.link("server"), ReachPolicy, ServeConfig()) as server,
        PolicyClient(opener, Engine, instruction="reach the target") as client,
    ):
        if not server.wait_ready(PATIENCE_S):
            raise TimeoutError("the server was not ready")
        mapping = OrderMapping(robot.spec, client.open().policy)
        motion = Motion(mapping.actions, mapping.state_names, tick_s=TICK_S)
        robot.connect()
        try:
            with traced.on():
                _until_it_moves(robot, client, mapping, motion, clock)
        finally:
            robot.stop()
            robot.close()
    return list(traced.modules)


def _until_it_moves(
    robot: SimRobot,
    client: PolicyClient[Engine],
    mapping: OrderMapping,
    motion: Motion,
    clock: MonotonicClock,
) -> None:
    never = threading.Event()
    while True:
        state = np.asarray(robot.read_state())
        directive = client.engine.advance(clock.now_ns(), mapping.state_to_policy(state))
        draft = client.engine.take_draft()
        if draft is not None:
            client.offer(Snapshot(draft, dict(mapping.images_to_policy(robot.read_images()))))
        command = motion.advance(directive, state)
        if command.action is not None:
            robot.command(mapping.action_to_robot(command.action))
        if directive.motion is MotionState.PLAYING:
            return
        never.wait(TICK_S)


if __name__ == "__main__":
    passed = trace()
    sys.stdout.write("".join(f"{number:3d}  {module}\n" for number, module in enumerate(passed, start=1)))
