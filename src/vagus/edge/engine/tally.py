"""Counts how a robot fared between two requests: what it played, how long it starved, how old it was."""

from __future__ import annotations

from vagus.types import Fared

__all__ = ["Tally"]

ROUNDING_STEPS = 1e-9
"""Part of a step that is noise of floating point."""


class Tally:
    """Counts since the last report. What was reported and not sent is given back: nothing is lost.

    Args:
        steps_per_tick: policy steps that pass in one tick, at most 1.
    """

    def __init__(self, *, steps_per_tick: float) -> None:
        self._steps_per_tick = steps_per_tick
        self._played = 0
        self._starved = 0.0
        self._oldest_ns = 0

    def play(self, age_ns: int) -> None:
        """Note that an action was commanded whose observation is of this age."""
        self._played += 1
        self._oldest_ns = max(self._oldest_ns, age_ns)

    def starve(self) -> None:
        """Note a tick without an action."""
        self._starved += self._steps_per_tick

    def report(self) -> Fared:
        """Return what was counted since the last report, in whole steps; the rest is for the next one."""
        whole = int(self._starved + ROUNDING_STEPS)
        fared = Fared(self._played, whole, self._oldest_ns)
        self._played, self._starved, self._oldest_ns = 0, self._starved - whole, 0
        return fared

    def give_back(self, fared: Fared) -> None:
        """Count again what was reported, but not sent."""
        self._played += fared.played_steps
        self._starved += fared.starved_steps
        self._oldest_ns = max(self._oldest_ns, fared.oldest_age_ns)
