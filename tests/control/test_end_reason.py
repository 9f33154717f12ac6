"""Why a run ends, and the way back to the start: a minimum-jerk curve."""

from __future__ import annotations

import signal

import pytest

from vagus.control.end_reason import reason_of_hang
from vagus.control.loop_stats import EndReason
from vagus.control.signal_flag import SignalFlag
from vagus.control.watchdog import Hang


def interrupt_of(number: int) -> SignalFlag:
    made = SignalFlag()
    made._on_signal(number, None)
    return made


@pytest.mark.parametrize(
    ("was_asked", "reason", "ends"),
    [
        (False, EndReason.HUNG, EndReason.HUNG),
        (False, EndReason.ERROR, EndReason.HUNG),
        (True, EndReason.HUNG, EndReason.TERMINATED),
        (True, EndReason.FINISHED, EndReason.FINISHED),
    ],
)
def test_a_driver_that_hangs_is_the_reason_unless_the_run_was_to_end_anyway(
    was_asked: bool, reason: EndReason, ends: EndReason
) -> None:
    hang = Hang("robot.command()", 1.0, was_asked=was_asked)
    assert reason_of_hang(hang, reason, interrupt_of(signal.SIGTERM)) is ends
