"""Success against delay: targets per minute of the embedded policy, with and without real-time chunking.

Time is simulated, so that the numbers do not depend on the machine: engine, interpolation, limits, robot and
policy are the real ones, the network is a number of milliseconds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import Report, Table, number
from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.control.controller import Controller
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.demo.robot import SimRobot
from vagus.edge.client.inflight import LatencyWindow
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row
from vagus.policies.registry import load_policy
from vagus.types import ActionArray, LinkState, MotionState, Observation, RequestDraft

__all__ = ["run"]

RATE_HZ = 100.0
TICK_NS = seconds_to_ns(1.0 / RATE_HZ)
INFERENCE_MS = 80.0
"""What the policy is said to take, as a mid-sized network on a GPU does."""
DELAYS_MS = (0.0, 50.0, 150.0, 300.0)
"""Extra delay, one way."""
EXECUTE_HORIZON = 10
EPOCH = 1
SECONDS, QUICK_SECONDS = 60.0, 4.0
SEEDS = (1, 2, 3)


class CountedClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._now_ns = NS_PER_S

    def now_ns(self) -> int:
        """Return the simulated time."""
        return self._now_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        """Let time pass at once."""
        del stop
        self._now_ns = max(self._now_ns, deadline_ns)


@dataclass(slots=True)
class Outcome:
    """What came of the episodes of one setting."""

    seconds: float = 0.0
    targets: int = 0
    starved_ticks: int = 0
    ticks: int = 0
    violations: int = 0
    acceleration: list[float] = field(default_factory=list)

    @property
    def per_minute(self) -> float:
        """Targets per minute."""
        return self.targets / self.seconds * 60.0


class Episode:
    """One robot, one policy and a network of a fixed delay."""

    def __init__(self, policy: Policy[object], *, delay_ms: float, uses_rtc: bool, seed: int) -> None:
        self._policy = policy
        self._session = policy.open_session()
        self._delay_ns = round((2 * delay_ms + INFERENCE_MS) * NS_PER_MS)
        self._latency = LatencyWindow(initial_ns=self._delay_ns)
        self._clock = CountedClock()
        self._robot = SimRobot(rate_hz=RATE_HZ, seed=seed, clock=self._clock)
        spec, rtc = policy.spec, policy.spec.rtc
        self._mapping = OrderMapping(self._robot.spec, spec)
        horizon = rtc.prefix_horizon if rtc is not None and uses_rtc else 0
        config = EdgeConfig(execute_horizon=EXECUTE_HORIZON, rtc=uses_rtc)
        self._engine = Engine(
            config, EngineContract(spec.rate_hz, RATE_HZ, uses_rtc and rtc is not None, horizon)
        )
        motion = Motion(self._mapping.actions, self._mapping.state_names, tick_s=1.0 / RATE_HZ)
        self._controller = Controller(self._robot.spec, self._engine, self._mapping, motion)
        self._due: list[tuple[int, Proposal]] = []
        self._seed = seed << 32
        self._commands: list[ActionArray] = []

    def run(self, seconds: float, outcome: Outcome) -> None:
        """Drive the robot for so long and add what came of it to `outcome`."""
        self._robot.connect()
        self._ask(ticket=1)
        for _ in range(round(seconds * RATE_HZ)):
            outcome.ticks += 1
            outcome.starved_ticks += self._tick() is MotionState.FALLBACK
            self._clock.wait_until_ns(self._clock.now_ns() + TICK_NS, threading.Event())
        report = self._robot.report()
        self._robot.close()
        outcome.seconds += seconds
        outcome.targets += report.targets_reached
        outcome.violations += report.audit.violations
        change = np.diff(np.array(self._commands), n=2, axis=0) * RATE_HZ**2
        outcome.acceleration.append(float(np.sqrt(np.mean(change**2))))

    def _tick(self) -> MotionState:
        now_ns = self._clock.now_ns()
        self._deliver(now_ns)
        state = self._robot.read_state()
        tick = self._controller.advance(now_ns, Reading(state, state, is_trusted=True))
        if tick.action is not None:
            self._robot.command(tick.action)
            self._commands.append(np.array(tick.action))
        if tick.draft is not None:
            self._due.append((now_ns + self._delay_ns, self._answer(tick.draft)))
        return self._engine.motion

    def _answer(self, draft: RequestDraft) -> Proposal:
        images = self._mapping.images_to_policy(self._robot.draw())
        row = Row(
            session=self._session,
            observation=Observation(draft.state, images, "", draft.captured_ns),
            step=draft.step,
            prefix=draft.prefix,
            inference_delay=draft.inference_delay,
            prefix_horizon=draft.prefix_horizon,
            seed=self._seed + draft.ticket,
        )
        (chunk,) = self._policy.infer([row])
        if isinstance(chunk, PolicyError):
            raise chunk
        return Proposal(chunk, Source(EPOCH, draft.ticket, draft.captured_ns), draft)

    def _deliver(self, now_ns: int) -> None:
        if self._due and self._due[0][0] <= now_ns:
            _, proposal = self._due.pop(0)
            self._latency.add(now_ns - proposal.draft.captured_ns)
            self._engine.propose(proposal)
            self._ask(ticket=proposal.draft.ticket + 1)

    def _ask(self, *, ticket: int) -> None:
        self._engine.link_view = LinkView(LinkState.STREAMING, EPOCH, ticket, self._latency.windowed_ns)


def run(*, quick: bool) -> Report:
    """Run every delay with and without real-time chunking, over the same targets."""
    policy = load_policy("reach")
    seconds, seeds = (QUICK_SECONDS, SEEDS[:1]) if quick else (SECONDS, SEEDS)
    outcomes: dict[tuple[float, bool], Outcome] = {}
    for delay_ms in DELAYS_MS:
        for uses_rtc in (False, True):
            outcome = outcomes[delay_ms, uses_rtc] = Outcome()
            for seed in seeds:
                Episode(policy, delay_ms=delay_ms, uses_rtc=uses_rtc, seed=seed).run(seconds, outcome)
    base = outcomes[0.0, False]
    rows = [_row(delay_ms, outcomes, base) for delay_ms in DELAYS_MS]
    columns = (
        "extra delay one way",
        "targets/min without RTC",
        "with",
        "ratio without",
        "with",
        "starved without",
        "with",
        "command acceleration rms without",
        "with, rad/s²",
    )
    report = Report("Success against delay: the embedded policy on simulated time")
    caption = (
        f"{len(seeds)} × {seconds:.0f} s each, inference {INFERENCE_MS:.0f} ms, execute horizon "
        f"{EXECUTE_HORIZON}; ratio to no extra delay without RTC"
    )
    report.tables.append(Table(caption, columns, rows))
    violations = sum(outcome.violations for outcome in outcomes.values())
    report.notes.append(f"commands outside the robot's limits, by its own count: {violations}")
    return report


def _row(delay_ms: float, outcomes: dict[tuple[float, bool], Outcome], base: Outcome) -> tuple[str, ...]:
    pair = [outcomes[delay_ms, uses_rtc] for uses_rtc in (False, True)]
    return (
        f"{delay_ms:.0f} ms",
        *(number(o.per_minute) for o in pair),
        *(number(o.per_minute / max(base.per_minute, 1e-9)) for o in pair),
        *(f"{o.starved_ticks / o.ticks:.1%}" for o in pair),
        *(number(float(np.mean(o.acceleration))) for o in pair),
    )
