"""Pacing of the robots: what each answer says about the next request, and how the robots fare."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from vagus.clock import NS_PER_MS, NS_PER_S, Clock
from vagus.server.rate_control import RateControl, ServedRow, obeyed_ns
from vagus.server.service_level import Level, ServiceLevels
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest

__all__ = ["Pacing", "ServiceTarget"]

logger = logging.getLogger(__name__)

RENEWED_NS = NS_PER_S
"""Time between two computations of the level."""
TOLD_NS = 60 * NS_PER_S
"""Shortest time between two warnings about the level."""


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """Service level that a server should keep.

    Attributes:
        max_starved_share: share of the time that a robot may have no action, 0–1.
        max_age_s: age that an action may have when it is commanded.
        limits_rate: robots are asked for pauses while there is too much to do.
    """

    max_starved_share: float
    max_age_s: float
    limits_rate: bool = True

    def is_met(self, level: Level) -> bool:
        """Return whether robots fare as they should."""
        return level.is_met(max_starved_share=self.max_starved_share, max_age_s=self.max_age_s)


class Pacing:
    """Rate control and service level. The policy thread tells it of answers; any thread may read it."""

    def __init__(self, target: ServiceTarget, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._control = RateControl()
        self._reported = ServiceLevels()
        self._levels: Mapping[str, Level] = {}
        self.level = Level()
        """Service level of all robots: each tenant counts once, so that none can spoil it for all."""
        self._renewed_ns: int | None = None
        self._told_ns: int | None = None
        self._was_limiting = False

    def answered(self, session: Session, ready: ReadyRequest, *, begin_ns: int, batch_ns: int) -> float:
        """Note an answer that is about to leave; return the shortest interval to the next request, in ms.

        The session keeps this interval: the scheduler does not expect its next request before.

        Args:
            session: the session of the robot.
            ready: its request.
            begin_ns: time at which its batch began.
            batch_ns: time of its batch in the policy.
        """
        now_ns, tenant = self._clock.now_ns(), session.tenant
        self._reported.note(tenant.label, session.client, ready.request.fared, now_ns)
        self._renew(now_ns)
        if not self._target.limits_rate:
            return 0.0
        row = ServedRow(
            session.client,
            tenant.name,
            tenant.weight,
            wait_ns=max(begin_ns - ready.ready_ns, 0),
            batch_ns=batch_ns,
            arrived_ns=ready.queued.arrived_ns,
            longest_ns=obeyed_ns(0.0 if session.opening is None else session.opening.asked.max_action_age_s),
            plays_ns=ready.plays_ns,
        )
        self._control.note(row, now_ns)
        self._tell_limiting()
        interval_ms = self._control.interval_ms(session.client)
        session.min_interval_ns = round(interval_ms * NS_PER_MS)
        return interval_ms

    def families(self, core: ModuleType) -> Iterator[object]:
        """Yield the metric families.

        Args:
            core: the module prometheus_client.core.
        """
        yield core.GaugeMetricFamily(
            "vagus_rate_limited",
            "1 while robots are asked for pauses, because there is too much to do.",
            value=float(self._was_limiting),
        )
        starved = core.GaugeMetricFamily(
            "vagus_slo_starved_ratio", "Share of the last minute without an action.", labels=["tenant"]
        )
        age = core.GaugeMetricFamily(
            "vagus_slo_action_age_p99_seconds", "Age of the oldest actions, 99 %.", labels=["tenant"]
        )
        met = core.GaugeMetricFamily(
            "vagus_slo_met", "1 while the robots fare as the settings slo_… want it.", labels=["tenant"]
        )
        for tenant, level in sorted(self._levels.items()):
            starved.add_metric([tenant], level.starved_share)
            age.add_metric([tenant], level.age_p99_s)
            met.add_metric([tenant], float(self._target.is_met(level)))
        yield from (starved, age, met)

    def _renew(self, now_ns: int) -> None:
        if self._renewed_ns is not None and now_ns - self._renewed_ns < RENEWED_NS:
            return
        self._renewed_ns = now_ns
        self._levels = self._reported.levels(now_ns)
        self.level = _mean_of(tuple(self._levels.values()))
        missed = {name: level for name, level in self._levels.items() if not self._target.is_met(level)}
        is_due = self._told_ns is None or now_ns - self._told_ns >= TOLD_NS
        if not missed or not is_due:
            return
        self._told_ns = now_ns
        for tenant, level in sorted(missed.items()):
            logger.warning(
                "robots%s had no action for %.1f %% of the last minute, and the oldest 1 %% of their actions "
                "were %.2f s old or more; wanted: at most %.1f %% and %.2f s",
                f" of {tenant}" if tenant else "",
                100 * level.starved_share,
                level.age_p99_s,
                100 * self._target.max_starved_share,
                self._target.max_age_s,
            )

    def _tell_limiting(self) -> None:
        is_limiting = self._control.is_limiting
        if is_limiting != self._was_limiting:
            self._was_limiting = is_limiting
            logger.warning(
                "too many requests for this device: robots are asked for pauses"
                if is_limiting
                else "requests are served in time again: robots ask as often as they like"
            )


def _mean_of(levels: Sequence[Level]) -> Level:
    if not levels:
        return Level()
    return Level(
        robots=sum(level.robots for level in levels),
        starved_share=sum(level.starved_share for level in levels) / len(levels),
        age_p99_s=sum(level.age_p99_s for level in levels) / len(levels),
    )
