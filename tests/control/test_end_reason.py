"""Why a run ends, and the way back to the start: a minimum-jerk curve."""

from __future__ import annotations

import signal
from itertools import pairwise

import pytest

from vagus.control.end_reason import reason_of_hang, smooth_shares
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


def test_the_way_back_is_as_long_as_asked_symmetric_and_slow_at_both_ends() -> None:
    assert list(smooth_shares(4)) == pytest.approx([0.103515625, 0.5, 0.896484375, 1.0])
    shares = list(smooth_shares(50))
    assert len(shares) == 50
    assert shares[-1] == 1.0
    assert shares[:-1] == pytest.approx([1.0 - share for share in reversed(shares[:-1])])
    steps = [later - sooner for sooner, later in pairwise([0.0, *shares])]
    assert min(steps) > 0.0
    assert steps[:25] == sorted(steps[:25])
    assert list(smooth_shares(1)) == [1.0]
