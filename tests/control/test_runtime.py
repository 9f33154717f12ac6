"""The process is left as it was found."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading

import pytest

from vagus.control.runtime import SWITCH_INTERVAL_S, Interrupt, quiet_runtime


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_flag_and_a_second_one_raises(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        signal.raise_signal(number)
        assert interrupt.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        interrupt.closing()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter() -> None:
        with Interrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
