"""A thread that notices when the control thread is stuck, stops the robot, and has the process ended.

It is armed from before `connect` until after `close`. Whatever becomes of the control thread, by an exception
anywhere, a call that hangs, a stop that fails: the robot is stopped from here, and it is said.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from vagus.clock import NS_PER_S, monotonic_ns, seconds_to_ns
from vagus.control.call_timeout import CallTimeout, Span, Verdict
from vagus.control.signal_flag import SignalFlag
from vagus.robots.robot import call_whole
from vagus.threads import Supervised

__all__ = ["ASKED_S", "Bounds", "Hang", "Watchdog", "attempt", "within"]

logger = logging.getLogger(__name__)

LOOK_S = 0.1
"""Longest delay before a call that hangs is noticed; a signal wakes the watchdog at once."""
STOP_S = 2.0
"""Longest that the first `robot.stop()` may take; then another thread tries, for half as long."""
COMMAND_S = 0.05
"""Longest time that a running command may delay `robot.stop()`."""
RETURN_S = 0.5
"""Time for the control thread to come back after the stop and end the run in order."""
FOR_EVER_S = 1e9
ASKED_S = 0.25
"""Longest time that a call may go on after a signal."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Longest times of the control thread.

    Attributes:
        tick_s: for one tick, all calls into the driver in it together.
        long_s: for what takes its time: `connect`, `begin_episode`.
        end_s: for `close`, and for the recorder; once they have lasted a second, a further signal ends them.
    """

    tick_s: float
    long_s: float = 60.0
    end_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Hang:
    """A call in which the control thread was stuck.

    Attributes:
        what: the call, in words.
        lasted_s: for how long.
        was_asked: it may take longer, but the run was to end.
    """

    what: str
    lasted_s: float
    was_asked: bool

    def __str__(self) -> str:
        return f"{self.what} hangs: it has not returned for {self.lasted_s:.1f} s"


class Watchdog:
    """Stops the robot when the thread that entered the watchdog is stuck.

    Args:
        stop: `robot.stop`; called on the watchdog's threads while the control thread is stuck.
        signals: signals that ask for the end.
        bounds: how long things may take.
        on_asked: called on the watchdog's thread at a signal, to wake the control thread from a wait.
        on_stuck: called on the watchdog's thread when the control thread did not come back although the robot
            was stopped; it may end the process.
    """

    def __init__(
        self,
        stop: Callable[[], object],
        signals: SignalFlag,
        bounds: Bounds,
        *,
        on_asked: Callable[[], None],
        on_stuck: Callable[[], None],
    ) -> None:
        self._stop = stop
        self._signals = signals
        self._bounds = bounds
        self._on_asked = on_asked
        self._on_stuck = on_stuck
        self._gate = threading.Lock()
        self._over = threading.Event()
        self._span: Span | None = None
        self._serial = 0
        self._has_tried = False
        self._thread = Supervised(self._watch, name="vagus-watchdog")
        self.call = ""
        """What the control thread is calling now, in words; set by it."""
        self.hang: Hang | None = None
        """Set once the control thread was stuck: the robot is stopped, and not commanded any more."""
        self.is_stopped = False
        """Whether `robot.stop()` has returned without an error."""

    # -- the control thread -----------------------------------------------------------------------------

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._has_tried:
            self.stop_robot()
        self._span = None
        self._over.set()

    def tick(self, wait_s: float = 0.0) -> None:
        """Begin a tick, or the wait of `wait_s` for the next."""
        self._begin(self._bounds.tick_s + wait_s, ASKED_S)

    def long(self, call: str) -> None:
        """Begin a call that may take long while nothing is commanded."""
        self.call = call
        self._begin(self._bounds.long_s, ASKED_S)

    def end(self, call: str) -> None:
        """Begin a part of the end; the robot stands."""
        self.call = call
        self._begin(self._bounds.end_s, 1.0)

    def idle(self) -> None:
        """Watch nothing until the next call of this object."""
        self._span = None
        self.call = ""

    def unhurried(self, call: str, asked_s: float, *, heeded: int | None = None) -> None:
        """Begin a call that may take for ever, but only `asked_s` after a signal.

        `heeded` is the number of signals that were seen to; None: all that have come.
        """
        self.call = call
        self._begin(FOR_EVER_S, asked_s, is_quiet=True, heeded=heeded)

    @contextmanager
    def commanding(self) -> Iterator[bool]:
        """Yield whether the robot may be commanded; the watchdog does not stop it meanwhile."""
        with self._gate:
            yield self.hang is None

    def stop_robot(self) -> None:
        """Stop the robot; once more if that fails."""
        self.call = "robot.stop()"
        for _ in range(2):
            self._begin(STOP_S, STOP_S)
            self._try_stop()
            if self.is_stopped:
                break
        self._has_tried = True
        if not self.is_stopped:
            _say_not_stopped()

    def _begin(
        self, patience_s: float, asked_s: float, *, is_quiet: bool = False, heeded: int | None = None
    ) -> None:
        self._serial += 1
        patience_ns, asked_ns = seconds_to_ns(patience_s), seconds_to_ns(asked_s)
        signals = self._signals.count if heeded is None else heeded
        self._span = Span(self._serial, patience_ns, asked_ns, signals, is_quiet)

    # -- the watchdog's threads -------------------------------------------------------------------------

    def _watch(self) -> None:
        patience = CallTimeout(seconds_to_ns(LOOK_S))
        while not self._over.is_set():
            self._signals.wait(LOOK_S)
            self._signals.rearm()
            if self._signals.is_set:
                self._on_asked()
            span = self._span
            verdict = patience.look(monotonic_ns(), span, self._signals.count)
            if verdict is Verdict.FINE or span is None:
                continue
            hang = Hang(
                self.call or "the control loop", patience.lasted_ns / NS_PER_S, verdict is Verdict.ASKED
            )
            if verdict is Verdict.LONG:
                logger.warning("%s", hang)
            else:
                self._step_in(hang, span)

    def _step_in(self, hang: Hang, span: Span) -> None:
        """Stop the robot in place of a control thread that is stuck, and give that thread up."""
        self.hang = self.hang or hang
        if self._gate.acquire(timeout=COMMAND_S):  # one command may be on its way; none follows it
            self._gate.release()
        said = str(hang)
        for timeout_s in (STOP_S, STOP_S / 2):
            if not self.is_stopped:
                self._stop_aside(timeout_s, f"{said}; robot.stop() is called from another thread")
                said = "robot.stop() failed or has not returned"
        if not self.is_stopped:
            _say_not_stopped()
        if not self._comes_back(span):
            logger.critical("%s; the control thread is given up", hang)
            self._span = None  # once is enough
            self._on_stuck()

    def _stop_aside(self, timeout_s: float, why: str) -> None:
        """Call `robot.stop()` on a thread of its own and wait for it, but not for ever."""
        thread = Supervised(self._try_stop, name="vagus-stop", is_repeated=False)
        thread.start()
        logger.critical("%s", why)
        thread.join(timeout_s)

    def _try_stop(self) -> None:
        try:
            call_whole("robot.stop()", self._stop)
        except BaseException:
            logger.critical("robot.stop() failed", exc_info=True)
        else:
            self.is_stopped = True

    def _comes_back(self, span: Span) -> bool:
        """Wait a little; say whether the control thread has left the call."""
        patience_s = RETURN_S
        while self._span is span and not self._over.is_set() and patience_s > 0.0:
            self._over.wait(LOOK_S)
            patience_s -= LOOK_S
        return self._span is not span or self._over.is_set()


def attempt(what: str, call: Callable[[], None]) -> None:
    """Call, and log a failure of any kind, so that what follows still happens."""
    try:
        call()
    except BaseException:
        logger.critical("%s failed", what, exc_info=True)


def within(what: str, call: Callable[[], None], timeout_s: float) -> None:
    """Call on a thread of its own; a call that takes longer is not waited for."""
    thread = Supervised(partial(attempt, what, call), name="vagus-end", is_repeated=False)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        logger.warning("%s takes too long; it is left behind", what)


def _say_not_stopped() -> None:
    logger.critical(
        "THE ROBOT COULD NOT BE STOPPED: it may still move. Cut its power, or use its emergency stop."
    )
