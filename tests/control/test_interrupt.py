"""Signals are a flag, whichever they are and whatever a library does; nothing is raised."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from vagus.control.interrupt import INSISTED, UNHEEDED, Interrupt, ending_signals

ENDING = sorted(ending_signals())
UNCATCHABLE = ("SIGKILL", "SIGSTOP")


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_a_flag_and_so_is_the_next(number: int) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.is_set
        for _ in range(3):
            signal.raise_signal(number)
        assert interrupt.is_set
        assert interrupt.number == number
        assert interrupt.count == 3
    assert signal.getsignal(number) is before


def test_every_signal_that_would_end_or_suspend_a_process_is_taken_or_ignored() -> None:
    """Asks the system itself: each signal is sent to a process that has not heard of it."""
    taken = ending_signals() | {getattr(signal, name) for name in UNHEEDED}
    for number in sorted(set(signal.valid_signals()) - taken):
        name = signal.Signals(number).name
        if name in UNCATCHABLE:
            continue
        told = f"import os, signal; signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})"
        ended = subprocess.run([sys.executable, "-c", told], check=False, timeout=60.0).returncode
        is_crash = name in {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"}
        assert (ended == -number) == is_crash, name


def test_a_library_that_takes_the_handlers_of_people_and_supervisors_loses_them_again() -> None:
    with Interrupt() as interrupt:
        for number in INSISTED:
            signal.signal(number, signal.SIG_DFL)
        interrupt.ensure(10**18)
        for number in INSISTED:
            signal.raise_signal(number)
        assert interrupt.count == len(INSISTED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python knows no handler
def test_so_does_one_in_which_the_main_thread_is_stuck() -> None:
    with Interrupt() as interrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        other = threading.Thread(target=interrupt.rearm)
        other.start()
        other.join()
        os.kill(os.getpid(), signal.SIGTERM)  # or the test has ended here
        interrupt.wait(10.0)
        assert interrupt.is_set
        assert interrupt.number == signal.SIGTERM


def test_a_driver_may_use_a_signal_of_its_own() -> None:
    heard = []
    with Interrupt() as interrupt:
        signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
        interrupt.ensure(10**18)
        signal.raise_signal(signal.SIGALRM)
        interrupt.wait(0.0)
        assert heard == [signal.SIGALRM]
        assert not interrupt.is_set
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        interrupt.ensure(2 * 10**18)
        signal.raise_signal(signal.SIGALRM)
        assert interrupt.is_set


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.is_set
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_terminal_suspends_the_process() -> None:
    with Interrupt() as interrupt:
        for name in UNHEEDED:
            signal.raise_signal(getattr(signal, name))
        assert not interrupt.is_set


def test_a_signal_is_seen_beside_the_main_thread() -> None:
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        waiter = threading.Thread(target=interrupt.wait, args=(10.0,))
        waiter.start()
        waiter.join()
        assert interrupt.is_set
        assert interrupt.count == 1


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter() -> None:
        with Interrupt() as interrupt:
            interrupt.ensure(10**18)
            interrupt.wait(0.0)
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def fork(run: Callable[[], int | None]) -> int:
    """Return the exit code of a process that is forked from here, does this, and ends."""
    pid = os.fork()
    if pid == 0:
        os._exit(run() or 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_process_that_a_driver_forks_has_its_own_signals_and_sends_us_none(number: int) -> None:
    """`terminate()` of a camera's process must end it, and not the run."""
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with Interrupt() as interrupt:
            assert fork(partial(signal.raise_signal, number)) == -number
            interrupt.wait(0.05)
            assert not interrupt.is_set
            signal.raise_signal(number)
            assert interrupt.count == 1
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_knows_that_it_is_a_copy_and_may_leave_like_the_original() -> None:
    with Interrupt() as interrupt:

        def leave() -> int:
            interrupt.ensure(10**18)
            interrupt.__exit__()
            return 7 if interrupt.is_copy else 0

        assert fork(leave) == 7
        assert not interrupt.is_copy
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.is_set


def test_who_still_waits_at_the_end_never_reads_a_file_opened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a descriptor that was closed is the next file's."""
    content = bytes(range(1, 251)) * 4
    opened = tmp_path / "opened"
    opened.write_bytes(content)
    is_ready, may_read = threading.Event(), threading.Event()

    class Poll:
        """Holds whoever was told that there is something to read."""

        def __init__(self) -> None:
            self._real = select_poll()

        def register(self, descriptor: int, events: int) -> None:
            self._real.register(descriptor, events)

        def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
            found = self._real.poll(timeout_ms)
            is_ready.set()
            may_read.wait(60.0)
            return found

    select_poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    with Interrupt() as interrupt:
        watcher = threading.Thread(target=interrupt.wait, args=(60.0,))
        watcher.start()
        signal.raise_signal(signal.SIGINT)
        assert is_ready.wait(60.0)
        threading.Timer(0.3, may_read.set).start()
    files = [opened.open("rb", buffering=0) for _ in range(8)]  # whichever numbers were free
    may_read.set()
    watcher.join(60.0)
    assert not watcher.is_alive()
    for file in files:
        with file:
            assert file.read() == content


def test_the_end_wakes_who_waits() -> None:
    with Interrupt() as interrupt:
        watcher = threading.Thread(target=interrupt.wait, args=(3600.0,))
        watcher.start()
        while not interrupt._reading.locked():
            assert watcher.is_alive()
    watcher.join(60.0)
    assert not watcher.is_alive()
    assert interrupt.count == 0


def test_a_process_with_many_files_sees_its_signals_too() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1200 if hard == resource.RLIM_INFINITY else min(1200, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
            interrupt.wait(60.0)
            assert interrupt.number == signal.SIGTERM
            assert interrupt._woken == 1
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
