"""The control loop: one thread that reads, decides, limits and commands at an absolute beat.

Whatever ends it, the robot is stopped first and nothing is commanded afterwards.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial

from vagus.clock import NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.control.config import LoopConfig
from vagus.control.cycle import ControlCycle
from vagus.control.end_reason import interrupted_by, reason_of, reason_of_hang
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.ports import LoopPorts, LoopStatus
from vagus.control.realtime import Sweeper, quiet_runtime
from vagus.control.requests import LoopRequest
from vagus.control.robot_check import admitted
from vagus.control.signal_flag import SignalFlag
from vagus.control.tick_schedule import TickSchedule
from vagus.control.watchdog import Bounds, Watchdog, attempt, within
from vagus.robots.robot import call_whole, check_callable, robot_call
from vagus.specs import vouched

__all__ = ["ControlLoop"]

logger = logging.getLogger(__name__)

CAMERA_JOIN_S = 1.0
"""Longest wait for a hanging camera at the end, after the robot was stopped."""
COPY_ENDED = 1
"""Exit code of a process that the driver has forked and does not end itself."""
RECORDER_S = 2.0
"""Longest time to close the recorder when the control thread is stuck."""


class ControlLoop:
    """Drives a robot from an engine. `run` is called once; the other methods from any thread.

    `on_stuck` is called on another thread when the control thread is stuck in the driver, after the robot was
    stopped. It may end the process; without it the control thread is left behind.

    Raises:
        SpecError: a method of the robot cannot be called; nothing bounds or measures an action, and nobody
            vouches for it (see `admitted`).
    """

    def __init__(
        self,
        ports: LoopPorts,
        config: LoopConfig,
        clock: Clock | None = None,
        *,
        on_stuck: Callable[[LoopSummary], None] = lambda _: None,
    ) -> None:
        check_callable(ports.robot)
        self._vouched = vouched(admitted(ports.robot.spec, config.admission))
        self._ports = ports
        self._config = config
        self._clock = clock or MonotonicClock()
        self._schedule = TickSchedule(seconds_to_ns(ports.motion.tick_s))
        self._stop = threading.Event()
        self._signals = SignalFlag()
        self._on_stuck = on_stuck
        bounds = Bounds(config.tick_timeout_s, config.robot_connect_timeout_s)
        self._watchdog = Watchdog(
            ports.robot.stop, self._signals, bounds, on_asked=self._stop.set, on_stuck=self._give_up
        )
        self._sweeper = Sweeper(is_wanted=False)
        self._cycle = ControlCycle(
            ports, config, self._clock, self._watchdog, self._schedule, on_return=self._leave_copy
        )
        self._error = ""
        self.changes = self._cycle.changes

    @property
    def status(self) -> LoopStatus | None:
        """Status of the last tick; None before the first (any thread)."""
        return self._cycle.status

    def stop(self) -> None:
        """End the loop at its next tick; the robot is stopped first."""
        self._stop.set()

    def pause(self) -> None:
        """Stop commanding: a human takes over. Velocities and efforts are brought to rest first."""
        self._cycle.requests.put(LoopRequest.PAUSE)

    def resume(self) -> None:
        """Go on after a pause, from where the robot is then."""
        self._cycle.requests.put(LoopRequest.RESUME)

    def reset(self) -> None:
        """Begin a new episode at the next tick."""
        self._cycle.requests.put(LoopRequest.RESET)

    def run(self) -> LoopSummary:
        """Connect the robot, drive it until the end, stop it, close it; return what happened.

        Nothing is raised, neither for a failing robot or link nor for a signal: `LoopSummary.reason` tells.
        """
        cause: BaseException | None = None
        for line in self._vouched:
            logger.warning("driven because somebody vouches for it: %s", line)
        with self._signals, quiet_runtime(self._config.realtime_priority) as self._sweeper, self._watchdog:
            try:
                reason = self._connect() or self._drive()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the robot is stopped and it is told
                self._leave_copy()
                cause, reason = error, reason_of(error)
            self._watchdog.stop_robot()
            self._leave_copy()
            return self._tear_down(reason, cause)

    def _leave_copy(self) -> None:
        """End a process that the driver has forked and that runs our code: the robot belongs to its parent.

        Asked after a call into the driver, before the next.
        """
        if self._signals.is_copy:
            os._exit(COPY_ENDED)

    def _connect(self) -> EndReason | None:
        if self._signals.is_set:
            return interrupted_by(self._signals)
        self._watchdog.long("robot.connect()")
        with robot_call("connect"):
            call_whole("connect", self._ports.robot.connect)
        self._signals.ensure(self._clock.now_ns())
        self._watchdog.tick()
        self._cycle.begin()
        return None

    # -- the beat ---------------------------------------------------------------------------------------

    def _drive(self) -> EndReason:
        began_ns = self._clock.now_ns()
        self._schedule.begin(began_ns)
        self._cycle.note_begin(began_ns)
        while True:
            now_ns = self._await_tick()
            end = self._end_due(now_ns) or self._cycle.advance(now_ns)
            if end is not None:
                return end

    def _await_tick(self) -> int:
        """Wait for the next tick and return the time."""
        self._leave_copy()
        deadline_ns, skipped = self._schedule.next_ns()
        now_ns = self._clock.now_ns()
        self._sweeper.sweep(now_ns, deadline_ns - now_ns)
        self._signals.ensure(now_ns)
        self._watchdog.tick(max(deadline_ns - now_ns, 0) / NS_PER_S)
        self._clock.wait_until_ns(deadline_ns, self._stop)
        now_ns = self._clock.now_ns()
        tick = self._schedule.wake(now_ns)
        self._cycle.note_tick(now_ns, tick, skipped)
        return now_ns

    def _end_due(self, now_ns: int) -> EndReason | None:
        if self._watchdog.hang is not None:
            return EndReason.HUNG
        if self._stop.is_set() or self._signals.is_set:
            return interrupted_by(self._signals)
        controller, config = self._cycle.controller, self._config
        if controller.is_returning:
            return EndReason.FINISHED if self._cycle.requests.is_pausing else None
        if not self._cycle.is_finished(now_ns):
            return None
        goes_back = config.return_to_start and controller.begin_return(config.return_time_s)
        return None if goes_back else EndReason.FINISHED

    # -- the end ----------------------------------------------------------------------------------------

    def _tear_down(self, reason: EndReason, cause: BaseException | None) -> LoopSummary:
        if cause is not None:
            self._error = f"{type(cause).__name__}: {cause}"
            is_fault = reason is EndReason.ERROR or logger.isEnabledFor(logging.DEBUG)
            logger.error("the control loop failed: %s", self._error, exc_info=cause if is_fault else None)
        ports, watchdog = self._ports, self._watchdog
        watchdog.end("the end of the run")
        attempt("engine.stop()", partial(ports.engine.stop, self._error or self._cycle.error or reason.value))
        attempt("stopping the camera thread", partial(self._cycle.camera.stop, CAMERA_JOIN_S))
        watchdog.end("robot.close()")
        attempt("robot.close()", ports.robot.close)
        self._leave_copy()
        summary = self._summary(reason)
        watchdog.end("closing the recorder")
        if ports.recorder is not None:
            attempt("closing the recorder", partial(ports.recorder.close, summary))
        return summary

    def _give_up(self) -> None:
        """Close the recorder in place of the control thread, which is stuck (the watchdog's thread)."""
        summary = self._summary(EndReason.HUNG)
        if self._ports.recorder is not None:
            within("closing the recorder", partial(self._ports.recorder.close, summary), RECORDER_S)
        self._on_stuck(summary)

    def _summary(self, reason: EndReason) -> LoopSummary:
        hang = self._watchdog.hang
        return self._cycle.stats.summary(
            reason if hang is None else reason_of_hang(hang, reason, self._signals),
            self._error or self._cycle.error or ("" if hang is None else str(hang)),
            limited=self._ports.motion.limited_counts,
            camera_errors=self._cycle.camera.health.errors,
            is_stopped=self._watchdog.is_stopped,
        )
