"""The real control loop at 100 Hz: `FRAMES none|near|far [ENDPOINT [FORMAT FOLDER]]`, recorded or not.

The robot costs nothing: its state is at hand, and its cameras hold finished frames, as a driver's buffers do.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from benchmarks.programs.driver import CAMERAS, STATE_DIM, announce
from benchmarks.programs.policies import echo_spec
from vagus.clock import MonotonicClock
from vagus.control.camera import ClientPort
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.controller import EnginePort
from vagus.control.loop import ControlLoop
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.ports import LoopPorts
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.edge.engine.engine import Engine
from vagus.edge.engine.playback import Gap, plain_gap
from vagus.edge.handoff import Settled
from vagus.recording.registry import Recording, Run, open_recording
from vagus.specs import Limits, PolicySpec, RobotSpec
from vagus.transport.host import host_id
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import (
    ActionArray,
    Directive,
    FloatArray,
    Image,
    LinkState,
    MotionState,
    Provenance,
    RequestDraft,
    Snapshot,
)

RATE_HZ = 100.0
CAMERA_COUNT = 2
EXECUTE_HORIZON = 3
"""Steps at 30 Hz between two requests: ten requests a second."""
LIMITS = Limits(lower=-3.0, upper=3.0, velocity=2.0, acceleration=10.0, jerk=200.0)
FORMATS: Mapping[str, Literal["folder", "mcap", "lerobot"]] = {
    "": "folder",
    "folder": "folder",
    "mcap": "mcap",
    "lerobot": "lerobot",
}
"""Word of the command line → format; without a folder, nothing is recorded."""
PROVENANCE = Provenance(None, None, 0, None, None, None, LinkState.STREAMING, MotionState.PLAYING)


class FreeRobot:
    """A robot that costs nothing."""

    def __init__(self, policy: PolicySpec, moments: list[dict[str, Image]]) -> None:
        actions = tuple(replace(f, feedback=f.name, limits=LIMITS) for f in policy.actions)
        self.spec = RobotSpec("free", actions, policy.state, policy.cameras, RATE_HZ)
        self._moments = moments
        self._state: FloatArray = np.zeros(STATE_DIM, np.float32)
        self.frames_read = 0

    def connect(self) -> None:
        """Do nothing."""

    def read_state(self) -> FloatArray:
        """Return zeros."""
        return np.array(self._state)

    def read_images(self) -> Mapping[str, Image]:
        """Return finished frames."""
        self.frames_read += 1
        return self._moments[self.frames_read % len(self._moments)]

    def command(self, action: ActionArray) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class NoEngine:
    """In the engine's place: the same plan action for ever, and no request."""

    stop_reason = ""
    link = LinkState.STREAMING
    motion = MotionState.PLAYING
    episode = 0
    step = 0
    playback_left_ns = 0

    def __init__(self) -> None:
        self._directive = Directive(
            MotionState.PLAYING, PROVENANCE, knot=np.zeros(STATE_DIM), step_s=1.0 / 30.0
        )

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        """Return what it always returns."""
        del now_ns, state
        return self._directive

    def take_draft(self) -> RequestDraft | None:
        """Return None."""

    def take_settled(self) -> tuple[Settled, ...]:
        """Return nothing."""
        return ()

    def fallback_moved(self, now_ns: int) -> None:
        """Do nothing."""

    def pause(self, now_ns: int) -> None:
        """Do nothing."""

    def resume(
        self,
        now_ns: int,
        *,
        measured: ActionArray | None = None,
        keep_plan_within: float | None = None,
        gap: Gap = plain_gap,
    ) -> bool:
        """Do nothing."""
        del now_ns, measured, keep_plan_within, gap
        return False

    def reset(self, *, was_moved: bool = False) -> None:
        """Do nothing."""

    def stop(self, reason: str) -> None:
        """Do nothing."""


class NoClient:
    """In the client's place; never called, because `NoEngine` asks for nothing."""

    def offer(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    def draft_failed(self, ticket: int) -> None:
        """Do nothing."""


class WatchedClock(MonotonicClock):
    """Notes how long after its deadline the loop woke up."""

    def __init__(self) -> None:
        self.lateness_us: list[float] = []

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        """Wait, and note how late it became."""
        super().wait_until_ns(deadline_ns, stop)
        self.lateness_us.append(max(self.now_ns() - deadline_ns, 0) / 1000)


def drive(
    robot: FreeRobot,
    policy: PolicySpec,
    engine: EnginePort,
    client: ClientPort,
    open_recorder: Callable[[OrderMapping], Recording] = lambda _: Recording(),
) -> None:
    """Run the loop for as long as the next line says, and tell how late its ticks were."""
    mapping = OrderMapping(robot.spec, policy)
    for line in sys.stdin:
        seconds = float(json.loads(line)["seconds"])
        motion = Motion(mapping.actions, mapping.state_names, tick_s=1.0 / RATE_HZ)
        clock = WatchedClock()
        recording = open_recorder(mapping)
        recorder = recording.recorder
        parts = LoopPorts(robot, engine, client, motion, mapping, recorder, recording.read_images)
        read_before, cpu_before_s = robot.frames_read, time.process_time()
        summary = ControlLoop(parts, LoopConfig(duration_s=seconds), clock).run()
        announce(
            lateness_us=clock.lateness_us,
            requests=robot.frames_read - read_before,
            cpu_s=time.process_time() - cpu_before_s,
            counters={} if recorder is None else dict(recorder.counters),
            plan_actions=summary.plan_actions,
            reason=summary.reason.value,
            error=summary.error,
        )
        return  # a loop runs once; the next block starts a process of its own


def main(frames_path: str, place: str, endpoint: str = "", recorded: str = "", folder: str = "") -> None:
    policy = echo_spec(cameras=CAMERA_COUNT)
    frames = np.load(frames_path)
    moments = [dict(zip(CAMERAS[:CAMERA_COUNT], m[:CAMERA_COUNT], strict=True)) for m in frames]
    robot = FreeRobot(policy, moments)
    if place == "none":
        announce(ready=True)
        drive(robot, policy, NoEngine(), NoClient())
        return
    is_near = place == "near"
    identity = Identity(f"robot-{place}", "1", host_id=host_id() if is_near else "another-host")
    config = EdgeConfig(
        execute_horizon=EXECUTE_HORIZON, image_codec=ImageCodec.AUTO if is_near else ImageCodec.JPEG
    )
    with ZenohLink(ZenohConfig(connect=(endpoint,), shared_memory=is_near)) as link:
        opener = SessionOpener(link, robot.spec, config, identity)
        with PolicyClient(opener, Engine, instruction="hold") as client:
            contract = client.open()
            record = RecorderConfig(directory=folder, format=FORMATS[recorded])
            run = Run("free", "robot", "hold", {})
            announce(ready=True)
            drive(
                robot,
                policy,
                client.engine,
                client,
                lambda mapping: open_recording(record, run, robot, mapping, contract),
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
