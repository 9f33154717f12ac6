"""A loop of the user's own: it brings the readings and sends the commands, and everything between is ours."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import NoReturn

from numpy.typing import ArrayLike

from vagus.clock import Clock, MonotonicClock, seconds_to_ns
from vagus.control.camera import ClientPort
from vagus.control.config import LoopConfig
from vagus.control.controller import EnginePort
from vagus.control.cycle import ControlCycle
from vagus.control.end_reason import interrupted_by, reason_of
from vagus.control.handed_robot import HandedRobot, Images
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.ports import LoopPorts, LoopStatus
from vagus.control.requests import LoopRequest
from vagus.control.robot_check import admitted
from vagus.control.signal_flag import SignalFlag
from vagus.control.tick_schedule import TickSchedule
from vagus.control.watchdog import ASKED_S, Bounds, Watchdog, attempt
from vagus.errors import ConfigError, RunEndedError, StateError
from vagus.specs import RobotSpec
from vagus.types import ActionArray, MotionState

__all__ = ["OwnLoop"]

logger = logging.getLogger(__name__)

CAMERA_JOIN_S = 1.0
"""Longest wait for a hanging camera at the end, after the robot was stopped."""
LEAVE_S = 10.0
"""Time after a signal until the process ends if the loop does not call `tick` any more."""
LOOK_S = 0.1
"""Longest delay before a signal is noticed while the loop does not call `tick`."""
BETWEEN = "the loop between two calls of tick"
SIGNAL_CODE = 128
"""Exit code of a process that a signal has ended, less the signal's number."""
NOT_OURS = ("duration_s", "episodes", "episode_s", "return_to_start", "move_to_ready", "realtime_priority")
"""Settings that need a loop of ours."""


class OwnLoop:
    """Turns the readings of the user's own loop into commands, one `tick` at a time, without waiting.

    A context manager. Inside it a signal that would end the process, a failure, a loop that does not call
    `tick` for `tick_timeout_s`, and the end of the block stop the robot; `tick` then raises. It belongs to
    the thread that entered the block; `pause`, `resume`, `reset` and `status` to any.

    Args:
        spec: the robot, admitted.
        stop: brings the robot to a stand; called at every end, perhaps on another thread and more than once.
        engine: of an open client.
        client: takes the snapshots.
        mapping: between the robot's order and the policy's.
        motion: made from the mapping's actions and state names.
        config: settings.
        cause_of: makes of the reason of a stop a sentence with all that is known about it.
        clock: tells the time.

    Raises:
        ConfigError: a setting that only a loop with its own waiting has.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        spec: RobotSpec,
        stop: Callable[[], object],
        *,
        engine: EnginePort,
        client: ClientPort,
        mapping: OrderMapping,
        motion: Motion,
        config: LoopConfig,
        cause_of: Callable[[str], str] = str,
        clock: Clock | None = None,
    ) -> None:
        check_own_loop(config)
        self._robot = HandedRobot(admitted(spec, config.admission), stop)
        self._engine = engine
        self._motion = motion
        self._cause_of = cause_of
        self._clock = clock or MonotonicClock()
        self._signals = SignalFlag()
        self._left = threading.Event()
        bounds = Bounds(config.tick_timeout_s, config.robot_connect_timeout_s)
        self._watchdog = Watchdog(
            self._robot.stop, self._signals, bounds, on_asked=lambda: None, on_stuck=self._give_up
        )
        self._schedule = TickSchedule(seconds_to_ns(motion.tick_s))
        ports = LoopPorts(self._robot, engine, client, motion, mapping)
        self._cycle = ControlCycle(
            ports,
            config,
            self._clock,
            self._watchdog,
            self._schedule,
            on_return=lambda: None,
            on_draft=self._robot.keep_frames,
            elsewhere="the loop does not call tick at that rate",
        )
        self._skipped = 0
        self._ticked_ns: int | None = None
        self._heeded = 0
        self.is_at_rest = False
        """Whether the robot rests in a pause: nobody has to call `tick` before `resume`."""
        self._end: RunEndedError | None = None
        self._thread: int | None = None
        self.changes = self._cycle.changes

    # -- the loop ---------------------------------------------------------------------------------------

    def __enter__(self) -> OwnLoop:
        if self._thread is not None:
            raise StateError("this loop was entered before; make a new one")
        self._thread = threading.get_ident()
        self._rest()
        self._signals.__enter__()
        self._watchdog.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_copy:
            return  # the robot is another process's
        if self._end is None:
            self._stop_all(EndReason.FINISHED if error is None else reason_of(error), "the loop was left")
        self._watchdog.__exit__(kind, error, trace)
        self._left.set()
        self._signals.__exit__(kind, error, trace)
        if self._signals.count > self._heeded and (error is None or isinstance(error, Exception)):
            raise self._signal()  # no tick has told of it

    @property
    def is_copy(self) -> bool:
        """Whether this is a process forked from the one that drives the robot."""
        return self._signals.is_copy

    def tick(self, state: ArrayLike, images: Images) -> ActionArray | None:
        """Take what the robot reads now; return what to command it, or None: nothing in this tick.

        It does not wait. Called more often than `rate_hz` of the spec, it returns None in between.

        Args:
            state: (state_dim,), in the order of the spec; a copy is made of it.
            images: camera name → (height, width, 3) uint8 RGB, depth camera name → (height, width) uint16,
                copied when a request is due; or a function that returns this, called on another thread and
                only then.

        Returns:
            (action_dim,), float64, in the order and the units of the spec. It has passed all limits.

        Raises:
            RunEndedError: the run is over, and the robot was stopped: the link is dead, an action was limited
                for too long, readings or cameras fail, `tick` was not called for too long.
            KeyboardInterrupt: Ctrl-C; the robot was stopped.
            SystemExit: another signal; the robot was stopped.
        """
        self._check_open()
        now_ns = self._clock.now_ns()
        self._signals.ensure(now_ns)
        hang = self._watchdog.hang
        if hang is not None and not hang.was_asked:
            self._finish(EndReason.HUNG, f"tick was not called in time: {hang}")
        if self._signals.is_set:
            self._finish(interrupted_by(self._signals), "a signal asked for the end")
        self._watchdog.tick()
        self._robot.state, self._robot.images = state, images
        try:
            end = self._advance(now_ns)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the robot is stopped and it is told
            self._finish(reason_of(error), f"{type(error).__name__}: {error}", cause=error)
        if end is not None:
            self._finish(
                end, self._cause_of(self._cycle.error) if end is EndReason.DEAD else self._cycle.error
            )
        self.is_at_rest = self._engine.motion is MotionState.PAUSED and not self._motion.is_driven
        if self.is_at_rest:
            self._rest()
        else:
            self._watchdog.call = BETWEEN
        return self._robot.take_action()

    def pause(self) -> None:
        """Let a human take over. Call `tick` until `is_at_rest`: what drives on by itself stops first."""
        self._cycle.requests.put(LoopRequest.PAUSE)

    def resume(self) -> None:
        """Go on after a pause, from where the robot is then."""
        self._cycle.requests.put(LoopRequest.RESUME)

    def reset(self) -> None:
        """Begin a new episode at the next tick, wherever the robot was put: the plan is dropped."""
        self._cycle.requests.put(LoopRequest.RESET)

    @property
    def status(self) -> LoopStatus | None:
        """Status of the last tick: link, motion, step, playback left; None before the first."""
        return self._cycle.status

    def summary(self) -> LoopSummary:
        """Return what was counted so far."""
        end = self._end
        return self._cycle.stats.summary(
            EndReason.FINISHED if end is None else EndReason(end.reason),
            "" if end is None else str(end),
            limited=self._motion.limited_counts,
            camera_errors=self._cycle.camera.health.errors,
            is_stopped=self._watchdog.is_stopped,
        )

    # -- parts ------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> EndReason | None:
        period_ns = self._schedule.period_ns
        if self._ticked_ns is None:
            self._ticked_ns = now_ns
            self._cycle.begin()
            self._cycle.note_begin(now_ns)
            self._schedule.begin(now_ns + period_ns)
            return None  # one reading alone decides nothing
        if self.is_at_rest and now_ns - self._ticked_ns > period_ns:  # nobody had to call meanwhile
            self._schedule.begin(now_ns)
            self._cycle.stats.note_command(now_ns, self._cycle.controller.standing, is_commanded=False)
        deadline_ns, skipped = self._schedule.next_ns()
        self._skipped += skipped
        if now_ns < max(deadline_ns, self._ticked_ns + period_ns) - period_ns // 2:
            return None
        self._ticked_ns = now_ns
        if self._cycle.requests.is_resetting:
            self._cycle.state.forget()  # before the first reading from elsewhere
        tick = self._schedule.wake(now_ns)
        skipped, self._skipped = self._skipped, 0
        self._cycle.note_tick(now_ns, tick, skipped)
        self._cycle.is_finished(now_ns)
        return self._cycle.advance(now_ns)

    def _check_open(self) -> None:
        if self._end is not None:
            raise self._end
        if self._signals.is_copy:
            raise StateError("this process was forked from the one that drives the robot; it must not")
        if self._thread is None or self._left.is_set():
            raise StateError("tick is called inside the block: with vagus.connect(…) as brain: …")
        if self._thread != threading.get_ident():
            raise StateError("tick is called on the thread that entered the block, and on no other")

    def _finish(self, reason: EndReason, text: str, *, cause: BaseException | None = None) -> NoReturn:
        """Stop the robot and raise."""
        self._stop_all(reason, text)
        if isinstance(cause, (KeyboardInterrupt, SystemExit)):
            raise cause
        if reason in (EndReason.INTERRUPTED, EndReason.TERMINATED):
            raise self._signal()
        raise self._end or RunEndedError(reason.value, text) from cause

    def _signal(self) -> BaseException:
        self._heeded = self._signals.count
        number = self._signals.number or signal.SIGINT
        return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(SIGNAL_CODE + number)

    def _rest(self) -> None:
        """Nobody has to call `tick` from now on, unless a signal asks for the end."""
        self._watchdog.unhurried(BETWEEN, ASKED_S, heeded=self._heeded)

    def _stop_all(self, reason: EndReason, text: str) -> None:
        self._watchdog.stop_robot()
        self._end = RunEndedError(reason.value, text)
        attempt("engine.stop()", partial(self._engine.stop, text))
        attempt("stopping the camera thread", partial(self._cycle.camera.stop, CAMERA_JOIN_S))
        self._rest()

    def _give_up(self) -> None:
        """End a process whose loop calls `tick` no more, once a signal asks for the end (another thread)."""
        while not self._signals.count > self._heeded:
            if self._left.is_set():
                return
            self._signals.wait(LOOK_S)  # the main thread may be where it runs no handler
            self._signals.rearm()
        if not self._left.wait(LEAVE_S):
            logger.critical("the loop has not ended %g s after a signal; the process ends", LEAVE_S)
            os._exit(SIGNAL_CODE + (self._signals.number or signal.SIGTERM))


def check_own_loop(config: LoopConfig) -> None:
    """Raise ConfigError if a setting was given that the user's own loop decides."""
    for name in NOT_OURS:
        got = getattr(config, name)
        if got != getattr(LoopConfig(), name):
            raise ConfigError(name, wanted="no such setting: the loop is yours", got=repr(got))
