"""Reasons for the end of a run, and the curve of the way back to the start."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from vagus.control.loop_stats import EndReason
from vagus.control.signal_flag import SignalFlag
from vagus.control.watchdog import Hang
from vagus.errors import RobotError

__all__ = ["interrupted_by", "reason_of", "reason_of_hang", "smooth_shares"]


def interrupted_by(signals: SignalFlag) -> EndReason:
    """Return why a run ends that was asked to."""
    is_terminated = signals.number == signal.SIGTERM
    return EndReason.TERMINATED if is_terminated else EndReason.INTERRUPTED


def reason_of(error: BaseException) -> EndReason:
    """Return why a run ends in which this was raised."""
    if isinstance(error, KeyboardInterrupt):  # of a library's own handler
        return EndReason.INTERRUPTED
    return EndReason.ROBOT_ERROR if isinstance(error, RobotError) else EndReason.ERROR


def reason_of_hang(hang: Hang, reason: EndReason, signals: SignalFlag) -> EndReason:
    """Return why a run ends whose driver did not return; it was to end for `reason`."""
    if not hang.was_asked:
        return EndReason.HUNG
    return interrupted_by(signals) if reason is EndReason.HUNG else reason


def smooth_shares(ticks: int) -> Iterator[float]:
    """Yield the share of a way that lies behind after each tick, slowly at both ends."""
    for tick in range(1, ticks + 1):
        share = tick / ticks
        yield share**3 * (10.0 - 15.0 * share + 6.0 * share * share)
