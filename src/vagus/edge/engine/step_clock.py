"""Position of a tick within its policy step, as an exact fraction."""

from __future__ import annotations

from fractions import Fraction

from vagus.clock import NS_PER_S
from vagus.errors import ConfigError

__all__ = ["StepClock", "TickPhase"]

MAX_DENOMINATOR = 1_000_000
"""Rates are floats; below a millionth of a step their ratio is noise."""


class TickPhase:
    """Divides steps into ticks of equal length; one across a boundary belongs to the step that it ends in."""

    def __init__(self, *, step_rate_hz: float, tick_rate_hz: float) -> None:
        """Prepare for `tick_rate_hz` ticks and `step_rate_hz` policy steps per second.

        Raises:
            ConfigError: the robot ticks slower than the policy steps.
        """
        ratio = (Fraction(step_rate_hz) / Fraction(tick_rate_hz)).limit_denominator(MAX_DENOMINATOR)
        if ratio > 1:
            raise ConfigError(
                "rate_hz",
                wanted=f"a robot that ticks at least as fast as the policy steps ({step_rate_hz:g} Hz)",
                got=f"{tick_rate_hz:g} Hz",
                fix="raise the robot's rate or lower rate_hz",
            )
        self._advance, self._whole = ratio.numerator, ratio.denominator
        self._position = 0

    def restart(self) -> None:
        """The next tick begins a step."""
        self._position = 0

    def tick(self) -> tuple[float, float, bool]:
        """Advance by one tick; return the phase at its begin and end, and whether the step is done.

        The begin is negative where the tick began in the step before. A step is done where the next tick
        would end in the following one.
        """
        begin = self._position / self._whole
        self._position += self._advance
        end = self._position / self._whole
        is_done = self._position + self._advance > self._whole
        if is_done:
            self._position -= self._whole
        return begin, end, is_done


class StepClock:
    """Which step is due by the local clock (plan clock `time`)."""

    def __init__(self, *, step_rate_hz: float, tick_rate_hz: float) -> None:
        self._rate = Fraction(step_rate_hz).limit_denominator(MAX_DENOMINATOR)
        self._half_tick_ns = round(NS_PER_S / tick_rate_hz / 2)
        self._anchor: tuple[int, int] | None = None  # a step, and when it was due

    def restart(self) -> None:
        """Forget the anchor; the next `anchor` sets it."""
        self._anchor = None

    def anchor(self, step: int, now_ns: int) -> None:
        """Let `step` fall due at `now_ns`, unless an anchor stands already."""
        if self._anchor is None:
            self._anchor = step, now_ns

    def due_step(self, now_ns: int) -> int | None:
        """Return the step that is due at the tick nearest `now_ns`, or None before an anchor stands."""
        if self._anchor is None:
            return None
        step, due_ns = self._anchor
        elapsed_ns = now_ns + self._half_tick_ns - due_ns  # half a tick: jitter must not skip a step
        return step + int(elapsed_ns * self._rate / NS_PER_S)
