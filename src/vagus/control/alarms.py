"""Alarms while a robot is driven: said at once, then now and then, and when they are over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus.clock import NS_PER_MS, NS_PER_S

__all__ = ["COMPUTER", "Alarm", "Alarms", "TickCosts"]

REPEAT_NS = 10 * NS_PER_S
"""Pause before a fault that lasts is reported again."""
WINDOW_NS = 2 * NS_PER_S
"""Length of the window over which the tick rate is judged."""
KEPT_SHARE = 0.9
"""Share of the ticks that must run, and be in time, for a rate to be kept."""
LATE_SHARE = 0.5
"""Share of a period after which a tick is late."""
COMPUTER = "this computer gives the control thread too little time"
LIMITED_SHARE = 0.2
"""Share of `max_limited_s` after which a feature that is kept off its target is named."""


class Alarm:
    """One kind of fault: it is reported when it begins, every `REPEAT_NS`, and when it is over."""

    def __init__(self) -> None:
        self._said_ns: int | None = None

    def wrong(self, text: str, now_ns: int) -> str:
        """Note that the fault is there; return the text to report now, or ""."""
        if self._said_ns is not None and now_ns - self._said_ns < REPEAT_NS:
            return ""
        self._said_ns = now_ns
        return text

    def well(self, text: str) -> str:
        """Note that the fault is gone; return the text to report now, or ""."""
        if self._said_ns is None:
            return ""
        self._said_ns = None
        return text

    def is_due(self, now_ns: int) -> bool:
        """Whether `wrong` would report now; otherwise the caller need not make the text."""
        return self._said_ns is None or now_ns - self._said_ns >= REPEAT_NS


@dataclass(frozen=True, slots=True)
class TickCosts:
    """Time that the parts of a tick took.

    Attributes:
        lateness_ns: how long after its deadline it began.
        missed: ticks before it that were skipped.
        read_ns: time in `read_state`.
        command_ns: time in `command`.
    """

    lateness_ns: int
    missed: int
    read_ns: int
    command_ns: int


@dataclass(slots=True)
class _Sums:
    """Sums over the ticks of one window."""

    ticks: int = 0
    missed: int = 0
    late_ticks: int = 0
    latest_ns: int = 0
    read_ns: int = 0
    command_ns: int = 0
    slowest_ns: int = 0

    def add(self, costs: TickCosts, *, is_late: bool) -> None:
        self.ticks += 1
        self.missed += costs.missed
        self.late_ticks += is_late
        self.latest_ns = max(self.latest_ns, costs.lateness_ns)
        self.read_ns += costs.read_ns
        self.command_ns += costs.command_ns
        self.slowest_ns = max(self.slowest_ns, costs.read_ns, costs.command_ns)


class Alarms:
    """Alarms of one loop: rate, lasting limits, dropped records. All methods belong to the control thread.

    Args:
        period_ns: length of a tick.
        max_limited_s: a feature that is limited for this long ends the run.
        elsewhere: where the time goes if it does not go into the driver, in words.
    """

    def __init__(self, period_ns: int, *, max_limited_s: float, elsewhere: str = COMPUTER) -> None:
        self._period_ns = period_ns
        self._elsewhere = elsewhere
        self._max_limited_s = max_limited_s
        self._rate = Alarm()
        self._late = Alarm()
        self._limited = Alarm()
        self._dropped = Alarm()
        self._dropped_before = 0
        self._began_ns: int | None = None
        self._sums = _Sums()

    def note_tick(self, now_ns: int, costs: TickCosts) -> list[str]:
        """Add one tick; return what to report about the rate, once per `WINDOW_NS`."""
        if self._began_ns is None:
            self._began_ns = now_ns
            return []
        self._sums.add(costs, is_late=costs.lateness_ns > LATE_SHARE * self._period_ns)
        if now_ns - self._began_ns < WINDOW_NS:
            return []
        said = [self._judge_rate(now_ns), self._judge_lateness(now_ns)]
        self._began_ns, self._sums = now_ns, _Sums()
        return [text for text in said if text]

    def note_limited(self, now_ns: int, name: str, limit: str, since_s: float) -> str:
        """Note the feature that was limited for longest; return the text to report, or "".

        Args:
            now_ns: time of the tick.
            name: the feature.
            limit: what limits it, such as "velocity".
            since_s: for how long; 0: nothing is.
        """
        if not since_s:
            return self._limited.well("no action is limited for long any more")
        if since_s < LIMITED_SHARE * self._max_limited_s or not self._limited.is_due(now_ns):
            return ""
        left_s = max(self._max_limited_s - since_s, 0.0)
        return self._limited.wrong(
            f"{name} has been kept off its target by its {limit} limit for {since_s:.1f} s; "
            f"the robot is stopped in {left_s:.1f} s",
            now_ns,
        )

    def note_dropped(self, now_ns: int, counters: Mapping[str, int]) -> str:
        """Note the counters of the recorder, once per `WINDOW_NS`; return the text to report, or ""."""
        dropped = sum(count for name, count in counters.items() if "dropped" in name)
        new, self._dropped_before = dropped - self._dropped_before, dropped
        if not new:
            return self._dropped.well("the recorder keeps up again")
        return self._dropped.wrong(f"the recorder does not keep up: {dropped} dropped so far", now_ns)

    def _judge_rate(self, now_ns: int) -> str:
        wanted_hz = NS_PER_S / self._period_ns
        share = self._sums.ticks / (self._sums.ticks + self._sums.missed)
        if share >= KEPT_SHARE:
            return self._rate.well(f"the robot keeps its rate of {wanted_hz:.4g} Hz again")
        return self._rate.wrong(
            f"the robot keeps a rate of {share * wanted_hz:.3g} instead of {wanted_hz:.4g} Hz, and moves "
            f"slower: "
            f"{self._cause()}",
            now_ns,
        )

    def _cause(self) -> str:
        """Return the part that takes the time, in words, as far as it is known."""
        read_ms = self._sums.read_ns / self._sums.ticks / NS_PER_MS
        command_ms = self._sums.command_ns / self._sums.ticks / NS_PER_MS
        name, mean_ms = ("read_state", read_ms) if read_ms >= command_ms else ("command", command_ms)
        if (read_ms + command_ms) * NS_PER_MS > KEPT_SHARE * self._period_ns:
            return f"{name} takes {mean_ms:.3g} ms"
        slowest_ms = self._sums.slowest_ns / NS_PER_MS
        if self._sums.slowest_ns > self._period_ns:
            return f"a call into the driver took up to {slowest_ms:.3g} ms"
        return self._elsewhere

    def _judge_lateness(self, now_ns: int) -> str:
        if self._sums.late_ticks <= (1.0 - KEPT_SHARE) * self._sums.ticks:
            return self._late.well("ticks begin in time again")
        if self._sums.missed:
            return ""  # of which the rate tells
        return self._late.wrong(
            f"{self._sums.late_ticks / self._sums.ticks:.0%} of the ticks begin late, up to "
            f"{self._sums.latest_ns / NS_PER_MS:.3g} ms: {self._elsewhere}",
            now_ns,
        )
