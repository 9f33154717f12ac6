"""The policy, the engine, the limiter and the arm in a closed loop on a clock that the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from demo.rig import TICK_NS, Stand
from vagus.clock import NS_PER_MS
from vagus.control.motion import Motion
from vagus.demo.reach import ReachPolicy
from vagus.demo.robot import SimReport
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.policies.policy import Row
from vagus.types import ActionChunk, LinkState, Observation, RequestDraft

POLICY = ReachPolicy()
DELAY_MS = 150
SECONDS = 60
TICK_S = TICK_NS * 1e-9


@dataclass
class Closed:
    """One robot, one policy and the time that lies between request and answer."""

    delay_ms: int
    rtc: bool
    seed: int = 0
    is_jittering: bool = False
    seconds: int = SECONDS
    waiting: tuple[int, Proposal] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        spec = POLICY.spec
        assert spec.rtc is not None
        self.stand = Stand(self.seed)
        robot = self.stand.robot.spec
        self.engine = Engine(
            EdgeConfig(rtc=self.rtc),
            EngineContract(spec.rate_hz, robot.rate_hz, self.rtc, spec.rtc.prefix_horizon),
        )
        self.motion = Motion(robot.actions, [feature.name for feature in robot.state], tick_s=TICK_S)
        self.session = POLICY.open_session()
        self.random = np.random.default_rng(self.seed)
        self.asked = 0
        self._look_at(1)

    def run(self) -> SimReport:
        begin = self.stand.clock.now
        for tick in range(self.seconds * 100):
            late = int(self.random.uniform(0, 0.6) * TICK_NS) if self.is_jittering else 0
            self.stand.clock.now = begin + tick * TICK_NS + late
            self.tick()
        return self.stand.robot.report()

    def tick(self) -> None:
        now_ns, robot = self.stand.clock.now, self.stand.robot
        if self.waiting is not None and now_ns >= self.waiting[0]:
            self.engine.propose(self.waiting[1])
            self.waiting = None
            self._look_at(self.engine.link_view.ticket + 1)
        state = robot.read_state()
        directive = self.engine.advance(now_ns, state)
        draft = self.engine.take_draft()
        if draft is not None:
            self.waiting = now_ns + self.delay_ms * NS_PER_MS, self._answer(draft)
        command = self.motion.advance(directive, state)
        if command.action is not None:
            robot.command(command.action)
        if command.is_moving:
            self.engine.fallback_moved(now_ns)

    def _answer(self, draft: RequestDraft) -> Proposal:
        self.asked += 1
        seen = Observation(draft.state, self.stand.robot.draw(), "", draft.captured_ns)
        seed = self.seed * 100_003 + self.asked
        (chunk,) = POLICY.infer(
            [
                Row(
                    self.session,
                    seen,
                    draft.step,
                    draft.prefix,
                    draft.inference_delay,
                    draft.prefix_horizon,
                    seed,
                )
            ]
        )
        assert isinstance(chunk, ActionChunk)
        return Proposal(chunk, Source(1, self.asked, draft.captured_ns), draft)

    def _look_at(self, ticket: int) -> None:
        self.engine.link_view = LinkView(LinkState.STREAMING, 1, ticket, self.delay_ms * NS_PER_MS)


@cache
def ran(*, rtc: bool) -> tuple[SimReport, int]:
    """Return the report of a run, and how often a limit acted in it."""
    closed = Closed(DELAY_MS, rtc=rtc)
    return closed.run(), sum(closed.motion.limited_counts.values())


def assert_reaches(report: SimReport) -> None:
    times = [*report.reach_times_s, report.target_age_s]
    assert np.mean([seconds <= 6.0 for seconds in times]) >= 0.95
    assert report.targets_reached >= 15 * SECONDS / 60
    assert (report.audit.violations, report.audit.examples) == (0, ())


@pytest.mark.parametrize(
    "delay_ms", [*(pytest.param(ms, marks=pytest.mark.slow) for ms in (0, 50, 300)), DELAY_MS]
)
def test_targets_are_reached_without_a_violation_whatever_the_delay(delay_ms: int) -> None:
    first = ran(rtc=True)[0] if delay_ms == DELAY_MS else Closed(delay_ms, rtc=True).run()
    for report in (first, Closed(delay_ms, rtc=True, seed=1).run()):
        assert_reaches(report)


def test_targets_are_reached_without_real_time_chunking_too() -> None:
    assert_reaches(ran(rtc=False)[0])


def test_a_loop_that_jitters_commits_no_violation() -> None:
    assert_reaches(Closed(DELAY_MS, rtc=True, seed=3, is_jittering=True).run())


def test_real_time_chunking_leaves_the_limiter_less_to_do() -> None:
    assert ran(rtc=True)[1] < 0.8 * ran(rtc=False)[1]


def test_the_same_seed_gives_the_same_run() -> None:
    first, again = (Closed(DELAY_MS, rtc=True, seed=4, seconds=10).run() for _ in range(2))
    assert first == again
    assert first.targets_reached > 0
