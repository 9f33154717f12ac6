"""What one tick of the controller costs on the control thread, as a share of a tick: engine, motion and gate.

CPU time of the thread: what other processes take from it is their cost, and in control_isolation.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns
from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.control.controller import Controller
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.specs import ActionFeature, Limits, PolicySpec, RobotSpec, StateFeature
from vagus.types import ActionChunk, Directive, FloatArray, LinkState, MotionState, RequestDraft

__all__ = ["run"]

TICK_HZ, STEP_HZ = 250.0, 30.0
TICK_NS = round(NS_PER_S / TICK_HZ)
HORIZON, PREFIX_HORIZON = 50, 20
HORIZONS = (100, 1000, 100_000)
"""What merging a chunk costs does not depend on its length; the last is near the longest that travels."""
LATENCY_TICKS = 25
"""100 ms from a request to its chunk."""
EPOCH = 1
LIMITS = Limits(lower=-3.0, upper=3.0, velocity=2.5, acceleration=15.0, jerk=400.0)
BLOCK, ROUNDS, QUICK_ROUNDS = 2500, 12, 2
SETTLING_TICKS = 250


class TimedEngine(Engine):
    """The engine, which adds up the CPU time that is spent in it."""

    spent_ns = 0

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        """Decide one tick, and time it."""
        begin_ns = time.thread_time_ns()
        directive = super().advance(now_ns, state)
        self.spent_ns += time.thread_time_ns() - begin_ns
        return directive

    def take_draft(self) -> RequestDraft | None:
        """Return the request that became due, and time it."""
        begin_ns = time.thread_time_ns()
        draft = super().take_draft()
        self.spent_ns += time.thread_time_ns() - begin_ns
        return draft


@dataclass(slots=True)
class Arm:
    """A control thread without a loop: time is counted, not waited for; chunks come when they are due.

    Attributes:
        joints: positions with feedback, velocity, acceleration and jerk limits.
        uses_rtc: requests carry a prefix of the plan.
        horizon: actions in a chunk.
        engine_us: what each `Engine.advance` took, with `take_draft`.
        motion_us: what the rest of `Controller.advance` took: mapping, motion, gate.
        merge_us: those of `engine_us` that merged a chunk.
    """

    joints: int
    uses_rtc: bool
    horizon: int = HORIZON
    engine_us: list[float] = field(default_factory=list)
    motion_us: list[float] = field(default_factory=list)
    merge_us: list[float] = field(default_factory=list)
    plan_ticks: int = 0
    _ticks: int = 0
    _engine: TimedEngine = field(init=False)
    _controller: Controller = field(init=False)
    _due: list[tuple[int, Proposal]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [f"joint_{number}" for number in range(self.joints)]
        actions = tuple(ActionFeature(name, "rad", feedback=name, limits=LIMITS) for name in names)
        state = tuple(StateFeature(name, "rad") for name in names)
        robot = RobotSpec("arm", actions, state, (), TICK_HZ)
        mapping = OrderMapping(
            robot, PolicySpec("arm", actions, state, (), self.horizon, self.joints, STEP_HZ)
        )
        contract = EngineContract(STEP_HZ, TICK_HZ, self.uses_rtc, PREFIX_HORIZON)
        self._engine = TimedEngine(EdgeConfig(), contract)
        motion = Motion(mapping.actions, mapping.state_names, tick_s=1.0 / TICK_HZ)
        self._controller = Controller(robot, self._engine, mapping, motion)
        self._ask(ticket=1)
        self.take_turn(SETTLING_TICKS)
        self.engine_us.clear()
        self.motion_us.clear()
        self.merge_us.clear()
        self.plan_ticks = 0

    @property
    def name(self) -> str:
        """For the table."""
        rtc = "with" if self.uses_rtc else "without"
        return f"{self.joints} joints, {rtc} RTC prefix, chunks of {self.horizon}"

    def take_turn(self, ticks: int) -> None:
        """Run and time this many ticks."""
        state = np.zeros(self.joints, np.float32)
        for _ in range(ticks):
            self._ticks += 1
            is_merging = self._deliver()
            self._engine.spent_ns = 0
            begin_ns = time.thread_time_ns()
            tick = self._controller.advance(self._ticks * TICK_NS, Reading(state, state, is_trusted=True))
            whole_ns = time.thread_time_ns() - begin_ns
            self.engine_us.append(self._engine.spent_ns / 1000)
            self.motion_us.append((whole_ns - self._engine.spent_ns) / 1000)
            if is_merging:
                self.merge_us.append(self.engine_us[-1])
            self.plan_ticks += self._engine.motion is MotionState.PLAYING
            if tick.draft is not None:
                self._due.append((self._ticks + LATENCY_TICKS, self._answer(tick.draft)))
            if tick.action is not None:
                state = tick.action.astype(np.float32)

    def _answer(self, draft: RequestDraft) -> Proposal:
        steps = np.arange(draft.step, draft.step + self.horizon, dtype=np.float32)[:, None]
        actions: FloatArray = np.repeat(np.sin(steps / 12.0), self.joints, axis=1)
        source = Source(EPOCH, draft.ticket, draft.captured_ns)
        return Proposal(ActionChunk(draft.step, actions, actions), source, draft)

    def _deliver(self) -> bool:
        if not (self._due and self._due[0][0] <= self._ticks):
            return False
        _, proposal = self._due.pop(0)
        self._engine.propose(proposal)
        self._ask(ticket=proposal.draft.ticket + 1)
        return True

    def _ask(self, *, ticket: int) -> None:
        self._engine.link_view = LinkView(LinkState.STREAMING, EPOCH, ticket, 100 * NS_PER_MS)


def run(*, quick: bool) -> Report:
    """Time arms of 6 and 14 joints, with and without a prefix, and what the longest chunks cost."""
    arms = [Arm(joints, uses_rtc) for joints in (6, 14) for uses_rtc in (False, True)]
    arms += [Arm(6, uses_rtc=False, horizon=horizon) for horizon in HORIZONS]
    gc.collect()
    gc.disable()  # as the loop does
    try:
        for arm in turns(arms, QUICK_ROUNDS if quick else ROUNDS):
            arm.take_turn(BLOCK)
    finally:
        gc.enable()
    return _report(arms)


def _report(arms: list[Arm]) -> Report:
    tick_us = TICK_NS / 1000
    rows = []
    for arm in arms:
        both = [engine + motion for engine, motion in zip(arm.engine_us, arm.motion_us, strict=True)]
        rows.append(
            (
                arm.name,
                f"{percentile(both, 50) / tick_us:.2%}",
                f"{percentile(both, 99) / tick_us:.2%}",
                number(percentile(arm.engine_us, 50)),
                number(percentile(arm.engine_us, 99)),
                number(percentile(arm.merge_us, 50)),
                number(percentile(arm.motion_us, 50)),
                number(percentile(arm.motion_us, 99)),
                f"{arm.plan_ticks / len(both):.0%}",
            )
        )
    columns = (
        "",
        "p50 share",
        "p99 share",
        "engine p50 µs",
        "engine p99 µs",
        "merge p50 µs",
        "motion p50 µs",
        "motion p99 µs",
        "with a plan",
    )
    report = Report("Cost of a tick: engine, interpolation, limits, gate")
    count = len(arms[0].engine_us)
    caption = f"CPU time, {count} ticks each; share of a tick at {TICK_HZ:.0f} Hz ({tick_us:.0f} µs)"
    report.tables.append(Table(caption, columns, rows))
    return report
