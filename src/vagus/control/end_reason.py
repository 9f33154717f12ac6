"""Reasons for the end of a run."""

from __future__ import annotations

import signal

from vagus.control.loop_stats import EndReason
from vagus.control.signal_flag import SignalFlag
from vagus.control.watchdog import Hang
from vagus.errors import RobotError

__all__ = ["interrupted_by", "reason_of", "reason_of_hang"]


def interrupted_by(signals: SignalFlag) -> EndReason:
    """Return the end reason of a run that a signal or a caller asked to end."""
    is_terminated = signals.number == signal.SIGTERM
    return EndReason.TERMINATED if is_terminated else EndReason.INTERRUPTED


def reason_of(error: BaseException) -> EndReason:
    """Return the end reason of a run that this error ended."""
    if isinstance(error, KeyboardInterrupt):  # of a library's own handler
        return EndReason.INTERRUPTED
    return EndReason.ROBOT_ERROR if isinstance(error, RobotError) else EndReason.ERROR


def reason_of_hang(hang: Hang, reason: EndReason, signals: SignalFlag) -> EndReason:
    """Return the end reason of a run whose driver did not return while it ended for `reason`."""
    if not hang.was_asked:
        return EndReason.HUNG
    return interrupted_by(signals) if reason is EndReason.HUNG else reason
