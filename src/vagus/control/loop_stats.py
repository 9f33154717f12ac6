"""Statistics of a control loop: ticks, lateness, plan actions, episodes, and the end."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.types import LinkState, MotionState, Provenance

__all__ = ["EndReason", "LatenessHistogram", "LoopStats", "LoopSummary"]


class EndReason(enum.Enum):
    """Reason for the end of a control loop."""

    FINISHED = "finished"
    """Its time or its episodes were over."""
    INTERRUPTED = "interrupted"
    """Ctrl-C, any other signal but SIGTERM, or `stop()`."""
    TERMINATED = "terminated"
    """SIGTERM: a supervisor's ordinary way to end a program."""
    HUNG = "hung"
    """A call into the robot's driver did not return; the robot was stopped from another thread."""
    DEAD = "dead"
    """The link was lost for good."""
    LIMITED = "limited"
    """An action was limited for too long."""
    ROBOT_ERROR = "robot_error"
    """The robot could not be connected, read or commanded."""
    ERROR = "error"
    """Anything else; a fault in the program."""


@dataclass(frozen=True, slots=True)
class LoopSummary:
    """Summary of a control loop.

    Attributes:
        reason: why it ended.
        error: what went wrong, in words; "" when nothing did.
        duration_s: from the first tick to the last.
        ticks: ticks that ran.
        missed: ticks that were skipped because an earlier one came too late.
        lateness_ms: "p50", "p99", "p999" and "max" of how long after its deadline a tick began.
        link_s: seconds in each link state.
        motion_s: seconds in each motion state.
        starved_s: seconds in which a plan was missing though one had been there (motion FALLBACK).
        longest_gap_s: longest time without a plan action since the first one; pauses do not count.
        plan_actions: commands that came from a plan.
        commands: all commands.
        limited: name of a limit → ticks in which it changed a command.
        camera_errors: requests that failed because a camera gave no frame, or the same one for too long.
        state_errors: ticks without a reading of the state that could be used.
        episodes: episodes that were completed.
        is_stopped: whether `robot.stop()` returned without an error.
    """

    reason: EndReason
    error: str
    duration_s: float
    ticks: int
    missed: int
    lateness_ms: Mapping[str, float]
    link_s: Mapping[LinkState, float]
    motion_s: Mapping[MotionState, float]
    starved_s: float
    longest_gap_s: float
    plan_actions: int
    commands: int
    limited: Mapping[str, int]
    camera_errors: int
    state_errors: int
    episodes: int
    is_stopped: bool = True


class LatenessHistogram:
    """Counts of lateness in bins that grow by 2 %, from a microsecond to a minute."""

    GROWTH = 1.02
    SMALLEST_NS = 1000
    BINS = 907

    def __init__(self) -> None:
        self._counts = np.zeros(self.BINS, dtype=np.int64)
        self._log_growth = math.log(self.GROWTH)
        self.max_ns = 0

    def add(self, lateness_ns: int) -> None:
        """Count one tick."""
        self.max_ns = max(self.max_ns, lateness_ns)
        if lateness_ns <= self.SMALLEST_NS:
            place = 0
        else:
            place = int(math.log(lateness_ns / self.SMALLEST_NS) / self._log_growth) + 1
        self._counts[min(place, self.BINS - 1)] += 1

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the lateness in milliseconds, within 2 %; 0 without a tick."""
        total = int(self._counts.sum())
        if not total:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._counts), math.ceil(share * total)))
        upper_ns = self.SMALLEST_NS * self.GROWTH**place
        return min(upper_ns, float(self.max_ns)) / NS_PER_MS


class LoopStats:
    """Running counts of one loop."""

    def __init__(self) -> None:
        self.lateness = LatenessHistogram()
        self.ticks = 0
        self.missed = 0
        self.plan_actions = 0
        self.commands = 0
        self.episodes = 0
        self.state_errors = 0
        self._link_ns = dict.fromkeys(LinkState, 0)
        self._motion_ns = dict.fromkeys(MotionState, 0)
        self._first_ns: int | None = None
        self._last_ns = 0
        self._plan_ns: int | None = None
        self._longest_gap_ns = 0

    def note_tick(self, now_ns: int, lateness_ns: int, missed: int) -> None:
        """Count a tick that begins, and `missed` ticks that were skipped before it."""
        if self._first_ns is None:
            self._first_ns = self._last_ns = now_ns
        self.ticks += 1
        self.missed += missed
        self.lateness.add(lateness_ns)

    def note_command(self, now_ns: int, provenance: Provenance, *, is_commanded: bool) -> None:
        """Count the command of this tick at `now_ns`; the time since the last tick counts for its states."""
        passed_ns = now_ns - self._last_ns
        self._last_ns = now_ns
        self._link_ns[provenance.link] += passed_ns
        self._motion_ns[provenance.motion] += passed_ns
        self.commands += is_commanded
        is_plan = is_commanded and provenance.step is not None
        if self._plan_ns is not None:
            if provenance.motion is MotionState.PAUSED:
                self._plan_ns += passed_ns
            self._longest_gap_ns = max(self._longest_gap_ns, now_ns - self._plan_ns)
        if is_plan:
            self.plan_actions += 1
            self._plan_ns = now_ns

    def summary(
        self,
        reason: EndReason,
        error: str,
        *,
        limited: Mapping[str, int],
        camera_errors: int,
        is_stopped: bool = True,
    ) -> LoopSummary:
        """Return everything counted so far."""
        first_ns = self._last_ns if self._first_ns is None else self._first_ns
        lateness = {
            name: self.lateness.quantile_ms(share)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
        }
        return LoopSummary(
            reason=reason,
            error=error,
            duration_s=(self._last_ns - first_ns) / NS_PER_S,
            ticks=self.ticks,
            missed=self.missed,
            lateness_ms={**lateness, "max": self.lateness.max_ns / NS_PER_MS},
            link_s={state: ns / NS_PER_S for state, ns in self._link_ns.items()},
            motion_s={state: ns / NS_PER_S for state, ns in self._motion_ns.items()},
            starved_s=self._motion_ns[MotionState.FALLBACK] / NS_PER_S,
            longest_gap_s=self._longest_gap_ns / NS_PER_S,
            plan_actions=self.plan_actions,
            commands=self.commands,
            limited=dict(limited),
            camera_errors=camera_errors,
            state_errors=self.state_errors,
            episodes=self.episodes,
            is_stopped=is_stopped,
        )
