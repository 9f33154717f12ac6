"""Signals are a flag, whichever they are and whatever a library does; nothing is raised."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from vagus.control.signal_flag import INSISTED, UNHEEDED, SignalFlag, _action, _handler_of, ending_signals

ENDING = sorted(ending_signals())
UNCATCHABLE = ("SIGKILL", "SIGSTOP")


@pytest.fixture(autouse=True)
def not_under_nohup() -> Iterator[None]:
    """What these tests say holds for a process that was started as usual."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_a_flag_and_so_is_the_next(number: int) -> None:
    before = signal.getsignal(number)
    with SignalFlag() as signals:
        assert not signals.is_set
        for _ in range(3):
            signal.raise_signal(number)
        assert signals.is_set
        assert signals.number == number
        assert signals.count == 3
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
    with SignalFlag() as signals:
        for number in INSISTED:
            signal.signal(number, signal.SIG_DFL)
        signals.ensure(10**18)
        for number in INSISTED:
            signal.raise_signal(number)
        assert signals.count == len(INSISTED)


def test_so_does_one_that_hears_them_itself_within_a_tick_but_for_what_was_ignored_from_outside() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalFlag() as signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, frame: heard.append(number))
            signals.ensure(0)  # the slower look at all signals is not due
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
            assert heard == []
            assert signals.count == 2
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_library_that_takes_the_wakeup_of_others_loses_it_again() -> None:
    with SignalFlag() as signals:
        for round_ in (1, 2):
            signal.set_wakeup_fd(-1)
            signals.ensure(round_ * 10**18)
            signal.raise_signal(signal.SIGUSR1)
            signals.wait(0.0)
            assert signals._woken == round_


def fill(descriptor: int) -> None:
    while True:
        os.write(descriptor, b"\0" * 4096)


@pytest.mark.parametrize("is_ensured", [False, True])
def test_a_pipe_that_nobody_empties_fills_no_console(
    is_ensured: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with SignalFlag() as signals:
        if is_ensured:
            signals.ensure(10**18)
        assert signals._pipe is not None
        with pytest.raises(BlockingIOError):
            fill(signals._pipe[1])
        signal.raise_signal(signal.SIGTERM)
        assert signals.is_set
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python knows no handler
def test_one_in_which_the_main_thread_is_stuck_loses_them_too() -> None:
    with SignalFlag() as signals:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        other = threading.Thread(target=signals.rearm)
        other.start()
        other.join()
        os.kill(os.getpid(), signal.SIGTERM)  # or the test has ended here
        signals.wait(10.0)
        assert signals.is_set
        assert signals.number == signal.SIGTERM


def test_a_driver_may_use_a_signal_of_its_own() -> None:
    heard = []
    with SignalFlag() as signals:
        signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
        signals.ensure(10**18)
        signal.raise_signal(signal.SIGALRM)
        signals.wait(0.0)
        assert heard == [signal.SIGALRM]
        assert not signals.is_set
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signals.ensure(2 * 10**18)
        signal.raise_signal(signal.SIGALRM)
        assert signals.is_set


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalFlag() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert not signals.is_set
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_in_the_background_ends_in_order_too(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with SignalFlag() as signals:
            signal.raise_signal(number)
            assert signals.is_set
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_the_end_leaves_the_process_as_it_was() -> None:
    """Wakeup, handlers and descriptors, also after a second time in which others were there before."""
    signals = SignalFlag()
    mine, theirs = os.pipe()
    os.set_blocking(theirs, False)
    former_wakeup = signal.set_wakeup_fd(theirs)
    former = signal.getsignal(signal.SIGUSR1)
    descriptors = len(os.listdir("/dev/fd"))
    try:
        with signals:
            pass
        signal.signal(signal.SIGUSR1, ignore_it)
        with signals:
            pass
        assert signal.getsignal(signal.SIGUSR1) is ignore_it
        plain = _action(signal.SIGTERM)
        signals.rearm()
        now = _action(signal.SIGTERM)
        assert plain is not None
        assert now is not None
        assert _handler_of(now) == _handler_of(plain)
        assert signal.set_wakeup_fd(former_wakeup) == theirs
        assert len(os.listdir("/dev/fd")) == descriptors
        assert fork(lambda: int(signals.is_copy)) == 0, "what was left takes no part in a later fork"
    finally:
        signal.signal(signal.SIGUSR1, former)
        os.close(mine)
        os.close(theirs)


def ignore_it(number: int, frame: object) -> None:
    pass


def test_no_terminal_suspends_the_process() -> None:
    with SignalFlag() as signals:
        for name in UNHEEDED:
            signal.raise_signal(getattr(signal, name))
        assert not signals.is_set


def test_a_signal_is_seen_beside_the_main_thread() -> None:
    with SignalFlag() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        waiter = threading.Thread(target=signals.wait, args=(10.0,))
        waiter.start()
        waiter.join()
        assert signals.is_set
        assert signals.count == 1


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter() -> None:
        with SignalFlag() as signals:
            signals.ensure(10**18)
            signals.wait(0.0)
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
        with SignalFlag() as signals:
            assert fork(partial(signal.raise_signal, number)) == -number
            signals.wait(0.05)
            assert not signals.is_set
            signal.raise_signal(number)
            assert signals.count == 1
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_knows_that_it_is_a_copy_and_may_leave_like_the_original() -> None:
    with SignalFlag() as signals:

        def leave() -> int:
            signals.ensure(10**18)
            signals.__exit__()
            return 7 if signals.is_copy else 0

        assert fork(leave) == 7
        assert not signals.is_copy
        signal.raise_signal(signal.SIGTERM)
        assert signals.is_set


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_the_signals_that_it_would_have_without_us() -> None:
    """What was ignored stays so, and Python's own Ctrl-C; all other handlers are gone."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    former = [
        signal.signal(signal.SIGTERM, signal.SIG_IGN),
        signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.signal(signal.SIGHUP, ignore_it),
    ]
    try:
        with SignalFlag() as signals:
            pipe = signals._pipe
            assert pipe is not None

            def look() -> int:
                faults = [signal.getsignal(numbers[0]) is not signal.SIG_IGN]
                faults.append(signal.getsignal(numbers[1]) is not signal.default_int_handler)
                faults.append(signal.getsignal(numbers[2]) is not signal.SIG_DFL)
                faults.append(signal.set_wakeup_fd(-1) != -1)
                faults.extend(is_open(end) for end in pipe)
                return sum(1 << place for place, is_fault in enumerate(faults) if is_fault)

            assert fork(look) == 0
    finally:
        for number, way in zip(numbers, former, strict=True):
            signal.signal(number, way)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class Rest:
    """Notes how long somebody would have waited."""

    asked: ClassVar[list[float]] = []

    def register(self, descriptor: int, events: int) -> None:
        pass

    def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
        self.asked.append(timeout_ms / 1000)
        return []

    def wait(self, timeout_s: float) -> None:
        self.asked.append(timeout_s)


def test_a_wait_lasts_as_long_as_it_may_with_a_pipe_or_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rest, "asked", [])
    with SignalFlag() as signals:
        monkeypatch.setattr(select, "poll", Rest)
        signals.wait(0.25)
    assert Rest.asked == [0.25]
    monkeypatch.setattr(threading, "Event", Rest)
    signals.wait(0.5)
    assert Rest.asked == [0.25, 0.5]


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
    with SignalFlag() as signals:
        watcher = threading.Thread(target=signals.wait, args=(60.0,))
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
    with SignalFlag() as signals:
        watcher = threading.Thread(target=signals.wait, args=(3600.0,))
        watcher.start()
        while not signals._reading.locked():
            assert watcher.is_alive()
    watcher.join(60.0)
    assert not watcher.is_alive()
    assert signals.count == 0


def test_a_process_with_many_files_sees_its_signals_too() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1200 if hard == resource.RLIM_INFINITY else min(1200, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with SignalFlag() as signals:
            signal.raise_signal(signal.SIGTERM)
            signals.wait(60.0)
            assert signals.number == signal.SIGTERM
            assert signals._woken == 1
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
