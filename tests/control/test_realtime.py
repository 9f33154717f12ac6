"""The process is left as it was found."""

from __future__ import annotations

import gc
import os
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.control.realtime import LATEST, MARGIN, SWITCH_INTERVAL_S, Sweep, quiet_runtime


def test_garbage_collection_and_switch_interval_are_put_back() -> None:
    before = sys.getswitchinterval()
    with quiet_runtime(None):
        assert not gc.isenabled()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == pytest.approx(before)


def test_garbage_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with quiet_runtime(None):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_refused_priority_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_runtime(1):
        policy = os.sched_getscheduler(0)
    assert policy == os.SCHED_FIFO or "was refused" in caplog.text
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_cycles_are_freed_where_there_is_time_between_ticks() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    with quiet_runtime(None) as sweeper:
        gone = weakref.ref(Node())
        assert gone() is not None
        sweeper.sweep(NS_PER_S, NS_PER_S)  # the oldest generation first
        assert gone() is None


def test_nothing_is_swept_where_it_was_off() -> None:
    gc.disable()
    try:
        with quiet_runtime(None) as sweeper:
            assert not sweeper.is_wanted
    finally:
        gc.enable()


@given(st.lists(st.integers(0, 20_000_000), min_size=1, max_size=200), st.integers(0, 30_000_000))
def test_a_sweep_never_waits_for_ever_and_is_never_begun_without_its_margin_before_that(
    slacks_ns: list[int], cost_ns: int
) -> None:
    sweep = Sweep(0, NS_PER_S // 4, 0, 1_000_000)
    now_ns = 0
    for slack_ns in slacks_ns:
        now_ns += 10_000_000
        if sweep.is_due(now_ns, slack_ns):
            assert slack_ns > MARGIN * sweep.cost_ns or now_ns - sweep.swept_ns > LATEST * sweep.every_ns
            sweep = sweep.done(now_ns, cost_ns)
        assert now_ns - sweep.swept_ns <= (LATEST + 1) * sweep.every_ns
