"""Several real robots in one process, each with a network session, client, engine and loop of its own.

`ENDPOINT FIRST COUNT SETTINGS`: the settings are those of the edge, in JSON. Every line asks what the robots
did since the line before.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from benchmarks.programs.driver import announce
from benchmarks.programs.table_policy import table_spec
from vagus.api.parts import RunSettings, make_client, make_motion
from vagus.clock import NS_PER_MS
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.ports import LoopPorts
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import Settled
from vagus.specs import Limits, RobotSpec
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import ActionArray, Command, DepthImage, FloatArray, Image, RequestDraft

RATE_HZ = 30.0
LIMITS = Limits(lower=-1.0, upper=1.0, velocity=2.0, acceleration=10.0, jerk=200.0)


class Arm:
    """A robot that is at once where it is commanded."""

    def __init__(self) -> None:
        wanted = table_spec(horizon=1, rate_hz=RATE_HZ)
        actions = tuple(replace(f, feedback=f.name, limits=LIMITS) for f in wanted.actions)
        self.spec = RobotSpec("table_arm", actions, wanted.state, (), RATE_HZ)
        self._place: FloatArray = np.zeros(len(actions), np.float32)

    def connect(self) -> None:
        """Do nothing."""

    def read_state(self) -> FloatArray:
        """Return where it is."""
        return np.array(self._place)

    def read_images(self) -> Mapping[str, Image]:
        """Return no frames."""
        return {}

    def command(self, action: ActionArray) -> None:
        """Go there."""
        self._place = np.asarray(action, np.float32)

    def stop(self) -> None:
        """Stay."""

    def close(self) -> None:
        """Do nothing."""


class TickCount:
    """In the recorder's place: counts from the first action of a plan on, until it is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_begun = False
        self._plan_ns = 0
        self._clear()

    @property
    def counters(self) -> Mapping[str, int]:
        """Nothing is recorded."""
        return {}

    def _clear(self) -> None:
        self._ticks = self._starved = self._oldest_ns = self._gap_ns = 0

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Count one command."""
        del state
        is_plan = command.provenance.step is not None
        with self._lock:
            if not self._has_begun and not is_plan:
                return
            self._ticks += 1
            self._starved += not is_plan
            self._oldest_ns = max(self._oldest_ns, command.provenance.age_ns or 0)
            if self._has_begun:
                self._gap_ns = max(self._gap_ns, now_ns - self._plan_ns)
            if is_plan:
                self._has_begun, self._plan_ns = True, now_ns

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Do nothing."""

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Do nothing."""

    def close(self, summary: LoopSummary) -> None:
        """Do nothing."""

    def take(self) -> dict[str, object]:
        """Return what was counted since the last call."""
        with self._lock:
            told: dict[str, object] = {
                "ticks": self._ticks,
                "starved": self._starved,
                "oldest_ms": self._oldest_ns / NS_PER_MS,
                "longest_gap_ms": self._gap_ns / NS_PER_MS,
            }
            self._clear()
        return told


class FleetRobot:
    """One robot that runs from the beginning to the end of the process."""

    def __init__(self, stack: ExitStack, name: str, endpoint: str, edge: EdgeConfig) -> None:
        self.name = name
        arm, settings = Arm(), RunSettings(name=name, edge=edge)
        link = stack.enter_context(ZenohLink(ZenohConfig(connect=(endpoint,), shared_memory=False)))
        self._client = stack.enter_context(make_client(link, arm.spec, settings))
        contract = self._client.open()
        self._count = TickCount()
        mapping = OrderMapping(arm.spec, contract.policy)
        motion = make_motion(mapping, arm.spec, settings)
        ports = LoopPorts(arm, self._client.engine, self._client, motion, mapping, self._count)
        self._loop = ControlLoop(ports, settings.loop)
        self._summary: LoopSummary | None = None
        self._thread = threading.Thread(target=self._run, name=f"loop-{name}")
        self._thread.start()
        stack.callback(self._thread.join)
        stack.callback(self._loop.stop)

    def _run(self) -> None:
        self._summary = self._loop.run()

    def report(self) -> dict[str, object]:
        """Return what it did since the last report, whom it is with, and why it ended, if it did."""
        status, counters = self._client.status(), self._client.counters()
        return {
            "name": self.name,
            "server": status.server,
            "sessions": counters.get("sessions_opened", 0) + counters.get("moves", 0),
            "timeouts": counters.get("timeouts", 0),
            "worker_errors": counters.get("worker_errors", 0),
            "round_trip_ms": status.latency_ms or 0.0,
            "ended": "" if self._summary is None else f"{self._summary.reason.value}: {self._summary.error}",
            **self._count.take(),
        }


def main(endpoint: str, first: int, count: int, settings: Mapping[str, object]) -> None:
    edge = EdgeConfig(**settings)  # type: ignore[arg-type] # the class checks its own settings
    with ExitStack() as stack:
        robots = [
            FleetRobot(stack, f"arm-{number}", endpoint, edge) for number in range(first, first + count)
        ]
        announce(ready=True)
        for _ in sys.stdin:
            announce(robots=[robot.report() for robot in robots])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
