"""Time limits of the calls that the control thread makes, kept by the thread that watches it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["CallTimeout", "Span", "Verdict"]

NOTE_NS = 5_000_000_000
"""Pause between two reports of a call that is allowed to take long."""
GAP_LOOKS = 3
"""A gap between two looks counts as at most so many: the watcher was not running, so nobody else was."""


@dataclass(frozen=True, slots=True)
class Span:
    """One call of the control thread that is under way.

    Attributes:
        serial: another number for every span.
        patience_ns: how long it may take.
        asked_ns: how long it may take once the end of the run was asked for while it lasted.
        signals: signals that had come when it began.
        is_quiet: it is not spoken of while it lasts.
    """

    serial: int
    patience_ns: int
    asked_ns: int
    signals: int
    is_quiet: bool = False


class Verdict(enum.Enum):
    """Verdict on a span."""

    FINE = "fine"
    LONG = "long"
    """It takes its time, and may; say so."""
    OVERDUE = "overdue"
    """It takes longer than it may."""
    ASKED = "asked"
    """It may take its time, but the run is to end, and it keeps it from ending."""


class CallTimeout:
    """Judges how long the present call takes, each time it is asked. One thread.

    Args:
        look_ns: usual time between two looks.
    """

    def __init__(self, look_ns: int) -> None:
        self._gap_ns = GAP_LOOKS * look_ns
        self._looked_ns: int | None = None
        self._serial: int | None = None
        self._noted_ns = 0
        self.lasted_ns = 0
        """How long the span has lasted, by the looks at it: a process that was stopped does not hang."""

    def look(self, now_ns: int, span: Span | None, signals: int) -> Verdict:
        """Return the verdict on `span`.

        Args:
            now_ns: monotonic time.
            span: what is being done; None: nothing that could hang.
            signals: signals to end that have come so far.
        """
        passed_ns = 0 if self._looked_ns is None else min(now_ns - self._looked_ns, self._gap_ns)
        self._looked_ns = now_ns
        if span is None or span.serial != self._serial:
            self._serial = None if span is None else span.serial
            self.lasted_ns = self._noted_ns = 0
            return Verdict.FINE
        self.lasted_ns += passed_ns
        if self.lasted_ns >= span.patience_ns:
            return Verdict.OVERDUE
        if signals > span.signals and self.lasted_ns >= span.asked_ns:
            return Verdict.ASKED
        return self._note(span)

    def _note(self, span: Span) -> Verdict:
        if span.is_quiet or self.lasted_ns - self._noted_ns < NOTE_NS:
            return Verdict.FINE
        self._noted_ns = self.lasted_ns
        return Verdict.LONG
