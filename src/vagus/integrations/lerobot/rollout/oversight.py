"""Signals and a watchdog around LeRobot's own loop: it ends in order, also when a call hangs.

LeRobot's handler leaves a second signal to `sys.exit`, wherever its loop is; other signals end the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol

from vagus.control.end_reason import interrupted_by
from vagus.control.loop_stats import EndReason
from vagus.control.signal_flag import SignalFlag
from vagus.control.watchdog import Bounds, Hang, Watchdog
from vagus.errors import RobotError

__all__ = ["Overseer", "Oversight", "StoppableBeside", "Unwatched"]

BEGIN_S = 10.0
"""Time for connecting and opening to end after a signal; somebody may be calibrating an arm."""
END_S = 1.0
"""Time in the teardown after which a signal cuts it short: it may encode videos for minutes."""


class Overseer(Protocol):
    """Interface for overseeing calls into a robot."""

    def call(self, what: str) -> AbstractContextManager[None]:
        """Oversee a call into the robot."""
        ...

    def commanding(self) -> AbstractContextManager[None]:
        """Oversee a command."""
        ...


class Unwatched:
    """An overseer that does nothing."""

    def call(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as an overseer's
        """Do nothing."""
        return nullcontext()

    def commanding(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class StoppableBeside(Protocol):
    """A robot that can be brought to a stand while its thread is stuck."""

    def stop_beside(self) -> None:
        """Stop the robot, from any thread, without waiting for a call that is under way."""
        ...


class Oversight:
    """Oversees one rollout, from before the robot is connected until after it was let go.

    Args:
        shutdown: LeRobot's event; set at a signal, and when a call hangs.
        tick_s: how long one call into the robot may take.
        on_stuck: called on another thread when the loop's thread does not come back; it may end the process.
    """

    def __init__(self, shutdown: threading.Event, *, tick_s: float, on_stuck: Callable[[], None]) -> None:
        self._shutdown = shutdown
        self._signals = SignalFlag()
        self._robot: StoppableBeside | None = None
        self._watchdog = Watchdog(
            self._stop, self._signals, Bounds(tick_s=tick_s), on_asked=shutdown.set, on_stuck=on_stuck
        )

    def __enter__(self) -> Oversight:
        self._signals.__enter__()
        self._watchdog.__enter__()
        self._watchdog.unhurried("connecting the robot and opening a session", BEGIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.__exit__(kind, error, trace)
        self._signals.__exit__(kind, error, trace)

    def oversee(self, robot: StoppableBeside) -> None:
        """Stop this robot when a call into it hangs."""
        self._robot = robot

    def begin(self) -> None:
        """LeRobot's loop begins."""
        self._watchdog.idle()

    def end(self) -> None:
        """LeRobot's teardown begins."""
        self._watchdog.unhurried("the teardown", END_S)

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """Oversee a call into the robot.

        Raises:
            RobotError: it has hung, or one before; the robot was stopped, and takes nothing any more.
        """
        self._check()
        self._watchdog.tick()
        self._watchdog.call = what
        try:
            yield
        finally:
            self._watchdog.idle()
        self._check()

    @contextmanager
    def commanding(self) -> Iterator[None]:
        """Oversee a command.

        Raises:
            RobotError: as `call`.
        """
        with self.call("robot.send_action()"), self._watchdog.commanding():
            self._check()
            yield

    @property
    def hang(self) -> Hang | None:
        """The call that hung; None: none."""
        return self._watchdog.hang

    @property
    def is_stopped(self) -> bool:
        """Whether the robot was stopped, if that was necessary."""
        return self._watchdog.hang is None or self._watchdog.is_stopped

    @property
    def interrupted_by(self) -> EndReason | None:
        """End reason of the rollout if a signal came."""
        return interrupted_by(self._signals) if self._signals.is_set else None

    def _check(self) -> None:
        if self._watchdog.hang is not None:
            raise RobotError(str(self._watchdog.hang))

    def _stop(self) -> None:
        self._shutdown.set()
        if self._robot is not None:
            self._robot.stop_beside()
