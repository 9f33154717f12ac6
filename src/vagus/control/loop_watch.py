"""Looks after one loop while it runs: its rate, its limits, its cameras, its recorder."""

from __future__ import annotations

from vagus.control.alarms import WINDOW_NS, Alarm, Alarms, TickCosts
from vagus.control.camera_health import CameraHealth
from vagus.control.motion import Motion
from vagus.control.narration import Changes
from vagus.control.ports import RecorderPort

__all__ = ["LoopWatch"]


class LoopWatch:
    """Reports faults of one loop while they last. All methods belong to the control thread.

    Args:
        alarms: decide what is to be said, and when.
        motion: knows what is limited.
        health: knows whether the cameras answer.
        recorder: counts what it drops; None: nothing is recorded.
        changes: takes what is to be said.
    """

    def __init__(
        self,
        alarms: Alarms,
        motion: Motion,
        health: CameraHealth,
        recorder: RecorderPort | None,
        changes: Changes,
    ) -> None:
        self._alarms = alarms
        self._motion = motion
        self._health = health
        self._recorder = recorder
        self._changes = changes
        self._cameras = Alarm()
        self._looked_ns: int | None = None

    def note_tick(self, now_ns: int, costs: TickCosts) -> None:
        """Add one tick."""
        for text in self._alarms.note_tick(now_ns, costs):
            self._changes.warn(text)
        longest = self._motion.limited_longest
        if longest is None:
            self._changes.warn(self._alarms.note_limited(now_ns, "", "", 0.0))
        else:
            since_s = longest.ticks * self._motion.tick_s
            self._changes.warn(self._alarms.note_limited(now_ns, longest.name, longest.limit, since_s))
        if self._looked_ns is None or now_ns - self._looked_ns >= WINDOW_NS:
            self._looked_ns = now_ns
            self._look(now_ns)

    def _look(self, now_ns: int) -> None:
        """Check what need not be checked in every tick: cameras and recorder."""
        if self._health.hangs(now_ns):
            self._changes.warn(self._cameras.wrong(self._health.trouble(now_ns), now_ns))
        else:
            self._changes.warn(self._cameras.well("the cameras answer again"))
        if self._recorder is not None:
            self._changes.warn(self._alarms.note_dropped(now_ns, dict(self._recorder.counters)))
