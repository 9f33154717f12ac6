"""Time that a machine sleeps counts."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial

import pytest

from vagus import clock
from vagus.clock import NS_PER_MS, MonotonicClock, monotonic_ns, seconds_to_ns


def test_the_clock_is_the_one_that_goes_on_while_the_machine_sleeps() -> None:
    if sys.platform != "linux":
        pytest.skip("named for each platform; tried on Linux")
    apart_ns = monotonic_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert abs(apart_ns) < 1000 * NS_PER_MS
    assert isinstance(monotonic_ns, partial)
    assert monotonic_ns.args == (time.CLOCK_BOOTTIME,)


def test_a_platform_without_such_a_clock_has_pythons() -> None:
    assert clock._sleepless("elsewhere") is time.monotonic_ns


def test_a_wait_lasts_until_its_deadline_and_no_longer_than_it_is_wanted() -> None:
    timer, stop = MonotonicClock(), threading.Event()
    deadline_ns = timer.now_ns() + seconds_to_ns(0.02)
    timer.wait_until_ns(deadline_ns, stop)
    assert timer.now_ns() >= deadline_ns
    timer.wait_until_ns(deadline_ns, stop)
    stop.set()
    timer.wait_until_ns(timer.now_ns() + seconds_to_ns(3600), stop)
