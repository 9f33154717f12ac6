"""Summary of a demo run: states, faults and safety counts from the robot's own recording (pure)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vagus.cli.exit_code import ExitCode
from vagus.cli.run_report import RunSummary
from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.demo.robot import SimReport

__all__ = [
    "DemoFault",
    "DemoTick",
    "FaultOutcome",
    "Report",
    "build_report",
    "fault_outcomes",
    "longest_gap_s",
]


class DemoTick(msgspec.Struct, frozen=True):
    """Fields of one line of the recording that the report needs."""

    t_ns: int
    link: str
    motion: str
    age_ms: float | None = None
    step: int | None = None
    state: tuple[float, ...] = ()
    action: tuple[float, ...] = ()

    @property
    def is_plan_action(self) -> bool:
        """Whether an action of the plan was commanded."""
        return self.step is not None and bool(self.action)

    @property
    def captured_ns(self) -> int | None:
        """Time of capture of the observation from which the action was computed."""
        return None if self.age_ms is None else self.t_ns - round(self.age_ms * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class DemoFault:
    """Fault of the demo, with its times on the monotonic clock of this machine."""

    name: str
    begin_ns: int
    end_ns: int


class FaultOutcome(msgspec.Struct, frozen=True):
    """Reaction of the robot to one fault.

    `recovery_s`: from the fault's end to the first action of a chunk asked for after it; None: never.
    `starved_s`: time without a plan action between the fault's begin and the next one's.
    """

    name: str
    recovery_s: float | None
    starved_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the demo, as `--json` prints it."""

    targets_reached: int
    states: dict[str, dict[str, float]]
    faults: list[FaultOutcome]
    longest_gap_s: float
    limit_violations: int
    stale_commands: int
    loop_exceptions: int
    lateness_ms: dict[str, float]
    self_test: dict[str, int]
    seconds: float
    exit_code: int
    counters: dict[str, int]

    @property
    def problems(self) -> list[str]:
        """Violations found."""
        checks = {
            f"{self.limit_violations} limit violations": self.limit_violations > 0,
            f"{self.stale_commands} stale commands": self.stale_commands > 0,
            f"{self.loop_exceptions} exceptions in the loop": self.loop_exceptions > 0,
            "the robot's audit counts nothing, so its zeros mean nothing": self.self_test["counted"]
            < self.self_test["injected"],
            "not one target was reached": self.targets_reached == 0,
            f"the robot ended with exit code {self.exit_code}": self.exit_code != ExitCode.INTERRUPTED,
        }
        never = [f"never recovered from: {f.name}" for f in self.faults if f.recovery_s is None]
        return [text for text, is_wrong in checks.items() if is_wrong] + never


def build_report(
    run: RunSummary,
    ticks: Sequence[DemoTick],
    faults: Sequence[DemoFault],
    *,
    max_age_s: float,
    self_test: dict[str, int],
) -> Report:
    """Return the result of a demo.

    Args:
        run: summary of the robot's process; its report holds the audit of the simulated robot.
        ticks: lines of the recording.
        faults: the faults in order of time.
        max_age_s: largest age of an action.
        self_test: number of deliberate violations that the audit counted.
    """
    robot = msgspec.convert(run.robot, SimReport)
    audit = robot.audit
    stale = sum(1 for tick in ticks if tick.is_plan_action and (tick.age_ms or 0.0) > max_age_s * 1000)
    return Report(
        targets_reached=robot.targets_reached,
        states={"link": _rounded(run.link_s), "motion": _rounded(run.motion_s)},
        faults=fault_outcomes(ticks, faults),
        longest_gap_s=round(longest_gap_s(ticks), 3),
        limit_violations=audit.violations,
        stale_commands=stale,
        loop_exceptions=int(bool(run.error)),
        lateness_ms={name: round(run.lateness_ms[name], 3) for name in ("p50", "p99", "p999")},
        self_test=self_test,
        seconds=round(run.duration_s, 3),
        exit_code=run.exit_code,
        counters=run.counters,
    )


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {state: round(spent, 3) for state, spent in seconds.items()}


def longest_gap_s(ticks: Iterable[DemoTick]) -> float:
    """Return the longest time without a plan action, after the first one."""
    times = [tick.t_ns for tick in ticks if tick.is_plan_action]
    return max((b - a for a, b in itertools.pairwise(times)), default=0) / NS_PER_S


def fault_outcomes(ticks: Sequence[DemoTick], faults: Sequence[DemoFault]) -> list[FaultOutcome]:
    """Return the robot's reaction to each fault; faults are in order of time."""
    if not faults:
        return []
    ends = [fault.begin_ns for fault in faults[1:]] + [ticks[-1].t_ns + 1 if ticks else 0]
    return [_outcome(ticks, fault, end_ns) for fault, end_ns in zip(faults, ends, strict=True)]


def _outcome(ticks: Sequence[DemoTick], fault: DemoFault, until_ns: int) -> FaultOutcome:
    window = [tick for tick in ticks if fault.begin_ns <= tick.t_ns < until_ns]
    fresh = (
        tick.t_ns
        for tick in ticks
        if tick.is_plan_action and tick.captured_ns is not None and tick.captured_ns >= fault.end_ns
    )
    first_ns = next(fresh, None)
    starved_ns = sum(
        following.t_ns - tick.t_ns
        for tick, following in itertools.pairwise(window)
        if not tick.is_plan_action
    )
    recovery_s = None if first_ns is None else round((first_ns - fault.end_ns) / NS_PER_S, 3)
    return FaultOutcome(fault.name, recovery_s, round(starved_ns / NS_PER_S, 3))
