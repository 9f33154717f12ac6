"""Signals that would end or suspend the process, as a request to end the run; nothing is ever raised.

A handler that raises does so between any two instructions, also between the end of a run and the stop of its
robot. Whoever needs to leave a call that hangs is another thread (`control/watchdog.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import threading
from types import FrameType

__all__ = ["SignalFlag", "ending_signals"]

INSISTED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
"""Signals by which people and supervisors end a program: taken back from a library's own handler."""
WITHOUT_EFFECT = frozenset({"SIGCHLD", "SIGCLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGINFO"})
OUT_OF_REACH = frozenset({"SIGKILL", "SIGSTOP"})
CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"})
"""Signals after which the program cannot go on, not even to stop a robot."""
UNHEEDED = frozenset({"SIGPIPE", "SIGXFSZ", "SIGTTIN", "SIGTTOU"})
"""Signals that are ignored, so that the write or read fails instead: no terminal suspends the program."""
KEPT_BY_A_LIBRARY_S = 0.5
"""Longest time without our handler if a library replaces it; for those in `INSISTED`: one tick."""
MS_PER_S = 1e3
WAKE = b"\0"
"""Byte that wakes the waiting thread: it is no signal's number."""
SIZE_OF_SIGACTION = 512
"""Size of a buffer for `struct sigaction`; its first word is the handler."""


def _named(names: frozenset[str]) -> frozenset[int]:
    return frozenset(getattr(signal, name) for name in names if hasattr(signal, name))


def ending_signals() -> frozenset[int]:
    """Return every signal that can be caught and would end or suspend the process, and is not a crash."""
    others = WITHOUT_EFFECT | OUT_OF_REACH | CRASHES | UNHEEDED
    return frozenset(int(number) for number in signal.valid_signals()) - _named(others)


_ENTERED: set[SignalFlag] = set()


def _let_go_in_child() -> None:
    """Undo everything in a process that a driver has forked: its signals are its own."""
    for signals in tuple(_ENTERED):
        signals.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


class SignalFlag:
    """Signals as a flag that the control thread reads; handlers are put back at the end.

    A signal that was ignored from outside (nohup, a job in the background) stays ignored, but for SIGINT and
    SIGTERM. One for which a driver has a handler of its own is the driver's, but for those in `INSISTED`.
    Outside the main thread nothing is installed. The C part of Python's handler also writes to a pipe, so
    that `wait` sees a signal while the main thread is stuck in a call.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.number: int | None = None
        """The first signal; None while none has come."""
        self._handled = 0
        self._woken = 0
        self._taken: dict[int, object] = {}
        self._actions: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._handler = self._on_signal  # one object, so that it can be recognised
        self._pipe: tuple[int, int] | None = None
        self._reading = threading.Lock()
        """Held while the pipe is read: the number of a closed one may be the next file's."""
        self._former_wakeup = -1
        self._checked_ns = 0
        self.is_copy = False
        """This is the copy in a process that was forked meanwhile: the robot is not its own."""

    @property
    def count(self) -> int:
        """Number of signals that have come (any thread)."""
        return max(self._handled, self._woken)

    def __enter__(self) -> SignalFlag:
        _ENTERED.add(self)
        if threading.current_thread() is not threading.main_thread():
            return self
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._former_wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in ending_signals():
            if _is_free(number):
                self._take(number, self._handler)
        for number in _named(UNHEEDED):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._take(number, signal.SIG_IGN)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _ENTERED.discard(self)
        if self._pipe is None:
            return
        self._actions.clear()
        for number, former in self._taken.items():
            if callable(former) or isinstance(former, (signal.Handlers, int)):
                signal.signal(number, former)
        self._taken.clear()
        signal.set_wakeup_fd(self._former_wakeup)
        pipe, self._pipe = self._pipe, None
        with contextlib.suppress(BlockingIOError):  # full: whoever waits has been woken
            os.write(pipe[1], WAKE)
        with self._reading:
            for end in pipe:
                os.close(end)

    def let_go(self) -> None:
        """Stop taking signals, in a forked process, whose pipe still belongs to the parent."""
        _ENTERED.discard(self)
        self.is_copy = True
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            signal.set_wakeup_fd(-1)
            for number, former in self._taken.items():
                is_plain = former is signal.SIG_IGN or former is signal.default_int_handler
                signal.signal(number, former if is_plain else signal.SIG_DFL)  # type: ignore[arg-type] # one of these
            for end in pipe:
                os.close(end)

    def ensure(self, now_ns: int) -> None:
        """Install our handlers again if a library has replaced them (main thread, every tick)."""
        if self._pipe is None or threading.current_thread() is not threading.main_thread():
            return
        for number in INSISTED:
            if number in self._taken and signal.getsignal(number) is not self._handler:
                self._install(number, self._handler)
        if now_ns - self._checked_ns < KEPT_BY_A_LIBRARY_S * 1e9:
            return
        self._checked_ns = now_ns
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in self._taken:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._install(number, signal.SIG_IGN if number in _named(UNHEEDED) else self._handler)

    def rearm(self) -> None:
        """Put the C handlers of `INSISTED` back (any thread), while the main thread is stuck in a library."""
        for number, action in tuple(self._actions.items()):
            now = _action(number)
            if now is not None and now.raw[: ctypes.sizeof(ctypes.c_void_p)] != _handler_of(action):
                ctypes.CDLL(None).sigaction(number, action, None)

    def wait(self, timeout_s: float) -> None:
        """Return at a signal, or after `timeout_s` (one thread other than the main one)."""
        with self._reading:
            pipe = self._pipe
            if pipe is not None:
                ready = select.poll()  # select() takes no descriptor above 1023
                ready.register(pipe[0], select.POLLIN)
                if ready.poll(timeout_s * MS_PER_S):
                    self._note(os.read(pipe[0], 256))
                return
        threading.Event().wait(timeout_s)

    def _note(self, numbers: bytes) -> None:
        """Count the signals that are for us; a driver may use others, and write what is no signal."""
        for number in numbers:
            if number in INSISTED or self._is_taken(number):
                self._woken += 1
                self.number = self.number or number
                self.is_set = True

    def _is_taken(self, number: int) -> bool:
        return number in signal.valid_signals() and signal.getsignal(number) is self._handler

    def _take(self, number: int, handler: signal.Handlers | object) -> None:
        self._taken[number] = signal.getsignal(number)
        self._install(number, handler)

    def _install(self, number: int, handler: object) -> None:
        assert callable(handler) or isinstance(handler, signal.Handlers)  # noqa: S101 - ours alone
        signal.signal(number, handler)
        if number in INSISTED:
            action = _action(number)
            if action is not None:
                self._actions[number] = action

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._handled += 1
        self.number = self.number or number
        self.is_set = True


def _is_free(number: int) -> bool:
    """Say whether a signal would end this process now, or is one that must."""
    now = signal.getsignal(number)
    if now is signal.SIG_IGN:
        return number in (signal.SIGINT, signal.SIGTERM)
    return now is signal.SIG_DFL or number in INSISTED


def _action(number: int) -> ctypes.Array[ctypes.c_char] | None:
    """Return what the system does at a signal; None where it cannot be asked."""
    found = ctypes.create_string_buffer(SIZE_OF_SIGACTION)
    ask = getattr(ctypes.CDLL(None), "sigaction", None)
    return found if ask is not None and ask(number, None, found) == 0 else None


def _handler_of(action: ctypes.Array[ctypes.c_char]) -> bytes:
    return action.raw[: ctypes.sizeof(ctypes.c_void_p)]
