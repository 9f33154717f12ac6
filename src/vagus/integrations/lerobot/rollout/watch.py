"""Alarms in LeRobot's loop: a slow bus, late ticks, lasting limits."""

from __future__ import annotations

from vagus.clock import seconds_to_ns
from vagus.control.alarms import Alarms, TickCosts
from vagus.control.camera_health import CameraHealth
from vagus.control.loop_watch import LoopWatch
from vagus.control.motion import Motion
from vagus.control.narration import Changes

__all__ = ["RolloutWatch"]

INTERRUPTED_TICKS = 10
"""Longest time in ticks that counts as a slow tick: beyond it LeRobot was busy with something else."""
ELSEWHERE = "LeRobot's loop has other things to do, or this computer gives it too little time"


class RolloutWatch:
    """Reports late ticks, as our own loop does. All methods belong to the thread of the loop.

    Args:
        motion: knows what is limited and for how long it may be, and the length of a tick.
        health: knows whether the cameras answer.
        changes: takes what is to be said.
    """

    def __init__(self, motion: Motion, health: CameraHealth, changes: Changes) -> None:
        self._period_ns = seconds_to_ns(motion.tick_s)
        alarms = Alarms(self._period_ns, max_limited_s=motion.max_limited_s, elsewhere=ELSEWHERE)
        self._watch = LoopWatch(alarms, motion, health, None, changes)
        self._before_ns: int | None = None
        self._sent_ns = 0

    def sent(self, took_ns: int) -> None:
        """Add the time that a command to the robot took."""
        self._sent_ns += took_ns

    def interrupted(self) -> None:
        """Note that the next tick does not follow the last one."""
        self._before_ns = None

    def ticked(self, now_ns: int, read_ns: int) -> None:
        """Begin a tick, for which reading the robot took `read_ns`."""
        late_ns, missed = self._passed(now_ns)
        self._watch.note_tick(now_ns, TickCosts(late_ns, missed, read_ns, self._sent_ns))
        self._sent_ns = 0

    def _passed(self, now_ns: int) -> tuple[int, int]:
        """Return how long after its time a tick begins, in ns, and how many were missed before it."""
        before_ns, self._before_ns = self._before_ns, now_ns
        if before_ns is None or now_ns - before_ns > INTERRUPTED_TICKS * self._period_ns:
            return 0, 0
        ticks = max(round((now_ns - before_ns) / self._period_ns), 1)
        return max(now_ns - before_ns - ticks * self._period_ns, 0), ticks - 1
