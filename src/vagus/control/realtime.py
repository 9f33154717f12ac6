"""The process around a control loop: garbage collection, thread switching, priority."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

__all__ = ["Sweep", "Sweeper", "quiet_runtime"]

logger = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""Longest time that another thread may keep the interpreter while the control thread is due."""
EVERY_NS = ((2, 30_000_000_000), (1, 2_000_000_000), (0, 250_000_000))
"""Generation of the garbage collector → pause between two collections."""
FIRST_COST_NS = 1_000_000
MARGIN = 3
"""A collection begins if this many times its usual cost is left until the next tick."""
LATEST = 4
"""A collection begins in any case after this many times its usual pause."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Schedule and recent cost of collecting one generation of garbage."""

    generation: int
    every_ns: int
    swept_ns: int
    cost_ns: int

    def is_due(self, now_ns: int, slack_ns: int) -> bool:
        """Say whether to collect now, with `slack_ns` until the next tick."""
        waited_ns = now_ns - self.swept_ns
        if waited_ns < self.every_ns:
            return False
        return slack_ns > MARGIN * self.cost_ns or waited_ns > LATEST * self.every_ns

    def done(self, now_ns: int, cost_ns: int) -> Sweep:
        """Return the schedule after a collection: the cost falls slowly and rises at once."""
        return replace(self, swept_ns=now_ns, cost_ns=max(cost_ns, self.cost_ns * 7 // 8))


class Sweeper:
    """Collects garbage between ticks, where there is time: memory stays flat, and no tick waits.

    What was there before the run is frozen, so a sweep looks at little. Where ticks leave no time at all, it
    is swept all the same, later.
    """

    def __init__(self, *, is_wanted: bool = True) -> None:
        self.is_wanted = is_wanted
        self._sweeps: list[Sweep] = []
        if is_wanted:
            self._sweeps = [
                Sweep(generation, every_ns, 0, FIRST_COST_NS) for generation, every_ns in EVERY_NS
            ]

    def sweep(self, now_ns: int, slack_ns: int) -> None:
        """Collect what is due if it fits into `slack_ns`; the oldest generation includes the younger ones."""
        for place, sweep in enumerate(self._sweeps):
            if not sweep.is_due(now_ns, slack_ns):
                continue
            began_ns = time.perf_counter_ns()
            gc.collect(sweep.generation)
            cost_ns = time.perf_counter_ns() - began_ns
            self._sweeps[place] = sweep.done(now_ns, cost_ns)
            return


@contextmanager
def quiet_runtime(realtime_priority: int | None) -> Iterator[Sweeper]:
    """Keep pauses away from the calling thread: garbage collection, switch interval, priority.

    Yields what collects in place of Python, when the thread says so. A collector that was off stays off.
    """
    was_enabled, interval_s = gc.isenabled(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    was_raised = realtime_priority is not None and _raise_priority(realtime_priority)
    try:
        yield Sweeper(is_wanted=was_enabled)
    finally:
        if was_raised:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        sys.setswitchinterval(interval_s)
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _raise_priority(priority: int) -> bool:
    if not hasattr(os, "sched_setscheduler"):
        logger.warning("this system has no real-time priorities; running without")
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        logger.warning("real-time priority %d was refused (%s); running without", priority, error)
        return False
    return True
