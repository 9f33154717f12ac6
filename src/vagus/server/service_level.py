"""Service level of a server, by what its robots report: how long they starve, how old their actions are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from vagus.clock import NS_PER_S
from vagus.types import Fared

__all__ = ["Level", "ServiceLevels"]

WINDOW_NS = 60 * NS_PER_S
"""Time over which the level is measured."""
MAX_REPORTS = 2048
"""Largest number of reports of one tenant that are kept; the oldest go first."""
MAX_STEPS = 10_000
"""Largest number of steps in a report that is believed."""
MAX_AGE_NS = 60 * NS_PER_S
"""Largest age in a report that is believed."""
PERCENTILE = 0.99


@dataclass(frozen=True, slots=True)
class Level:
    """Service level of some robots in the last minute.

    Attributes:
        robots: robots that reported.
        starved_share: share of its steps in which a robot had no action, the mean of the robots, 0–1.
        age_p99_s: the oldest action of a report, the 99th percentile of all reports.
    """

    robots: int = 0
    starved_share: float = 0.0
    age_p99_s: float = 0.0

    def is_met(self, *, max_starved_share: float, max_age_s: float) -> bool:
        """Return whether the robots fare as they should."""
        return self.starved_share <= max_starved_share and self.age_p99_s <= max_age_s


@dataclass(frozen=True, slots=True)
class _Report:
    at_ns: int
    client: str
    fared: Fared


class ServiceLevels:
    """Reports of the last minute, by tenant. Pure and not thread-safe.

    What a robot says is bounded, and counts in the numbers of its tenant only.
    """

    def __init__(self) -> None:
        self._reports: dict[str, deque[_Report]] = {}

    def note(self, tenant: str, client: str, fared: Fared, now_ns: int) -> None:
        """Note what a robot reports; a robot that did nothing reports nothing."""
        fared = _believed(fared)
        if fared.played_steps or fared.starved_steps:
            reports = self._reports.setdefault(tenant, deque(maxlen=MAX_REPORTS))
            reports.append(_Report(now_ns, client, fared))

    def levels(self, now_ns: int) -> dict[str, Level]:
        """Return the level of each tenant whose robots reported."""
        for tenant, reports in tuple(self._reports.items()):
            while reports and now_ns - reports[0].at_ns > WINDOW_NS:
                reports.popleft()
            if not reports:
                del self._reports[tenant]
        return {tenant: _level(reports) for tenant, reports in self._reports.items()}


def _believed(fared: Fared) -> Fared:
    return Fared(
        played_steps=min(max(fared.played_steps, 0), MAX_STEPS),
        starved_steps=min(max(fared.starved_steps, 0), MAX_STEPS),
        oldest_age_ns=min(max(fared.oldest_age_ns, 0), MAX_AGE_NS),
    )


def _level(reports: Iterable[_Report]) -> Level:
    steps: dict[str, tuple[int, int]] = {}
    ages: list[int] = []
    for report in reports:
        played, starved = steps.get(report.client, (0, 0))
        fared = report.fared
        steps[report.client] = played + fared.played_steps, starved + fared.starved_steps
        if fared.played_steps:
            ages.append(fared.oldest_age_ns)
    shares = [starved / (played + starved) for played, starved in steps.values()]
    ages.sort()
    oldest_ns = ages[min(int(PERCENTILE * len(ages)), len(ages) - 1)] if ages else 0
    return Level(len(steps), sum(shares) / len(shares), oldest_ns / NS_PER_S)
