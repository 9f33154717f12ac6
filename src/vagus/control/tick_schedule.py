"""Schedule of the ticks: absolute deadlines; missed ones are skipped, never caught up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Tick", "TickSchedule"]

CLOSEST_SHARE = 4
"""A tick is skipped if its deadline is nearer to the last command than the period divided by this."""
WINDOW_TICKS = 10
"""Window in ticks in which a robot gets at most this number of commands, and one."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that begins.

    Attributes:
        lateness_ns: how long after its deadline.
        missed: deadlines before it that were skipped.
    """

    lateness_ns: int
    missed: int


class TickSchedule:
    """Absolute deadlines of the ticks, at whole periods since the beginning. One thread.

    The robot gets a command somewhere between two moments: when its driver is called, and when that returns.
    The calling thread may be held up in between. Two commands follow each other by the earlier of these
    moments, so that a slow driver costs no tick; a window of many by the later one of its first command, so
    that no robot sees a burst.
    """

    def __init__(self, period_ns: int) -> None:
        self.period_ns = period_ns
        self._deadline_ns = 0
        self._called_ns: int | None = None
        self._returned_ns: deque[int] = deque(maxlen=WINDOW_TICKS + 1)

    def begin(self, now_ns: int) -> None:
        """Begin: the first tick is due now."""
        self._deadline_ns = now_ns

    def next_ns(self) -> tuple[int, int]:
        """Return the deadline of the next tick, and how many are skipped for it."""
        earliest_ns = self._deadline_ns
        if self._called_ns is not None:
            earliest_ns = max(earliest_ns, self._called_ns + self.period_ns // CLOSEST_SHARE)
        if len(self._returned_ns) == self._returned_ns.maxlen:
            earliest_ns = max(earliest_ns, self._returned_ns[0] + WINDOW_TICKS * self.period_ns)
        skipped = -(-(earliest_ns - self._deadline_ns) // self.period_ns)
        self._deadline_ns += skipped * self.period_ns
        return self._deadline_ns, skipped

    def wake(self, now_ns: int) -> Tick:
        """Begin the tick; deadlines that have passed meanwhile are skipped."""
        lateness_ns = max(now_ns - self._deadline_ns, 0)
        missed = lateness_ns // self.period_ns
        self._deadline_ns += (missed + 1) * self.period_ns
        return Tick(lateness_ns, missed)

    def commanded(self, called_ns: int, returned_ns: int) -> None:
        """Note a command: when the driver was called, and when it returned."""
        self._called_ns = called_ns
        self._returned_ns.append(returned_ns)
