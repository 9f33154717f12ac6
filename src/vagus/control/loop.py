"""The control loop: one thread that reads, decides, limits and commands at an absolute beat.

Whatever ends it, the robot is stopped first and nothing is commanded afterwards.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from vagus.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.control.alarms import Alarms, TickCosts
from vagus.control.camera import CameraThread
from vagus.control.config import LoopConfig
from vagus.control.end_reason import interrupted_by, reason_of, reason_of_hang, smooth_shares
from vagus.control.episode import EpisodeWatch
from vagus.control.frames import FrameCheck
from vagus.control.gate import Gate
from vagus.control.loop_stats import EndReason, LoopStats, LoopSummary
from vagus.control.loop_watch import LoopWatch
from vagus.control.narration import Changes
from vagus.control.ports import LoopPorts, LoopStatus, status_of
from vagus.control.readings import Reading
from vagus.control.realtime import Sweeper, quiet_runtime
from vagus.control.requests import LoopRequest, Requests
from vagus.control.robot_check import admitted
from vagus.control.signal_flag import SignalFlag
from vagus.control.state_reader import StateReader
from vagus.control.tick_schedule import TickSchedule
from vagus.control.watchdog import Bounds, Watchdog, attempt, within
from vagus.errors import FrameError
from vagus.robots.robot import call_whole, check_callable, robot_call
from vagus.specs import vouched
from vagus.types import ActionArray, Command, FloatArray, Image, MotionState, Provenance

__all__ = ["ControlLoop"]

logger = logging.getLogger(__name__)

CAMERA_JOIN_S = 1.0
"""How long a hanging camera may hold up the end, after the robot was stopped."""
COPY_ENDED = 1
"""Exit code of a process that the driver has forked and does not end itself."""
RECORDER_S = 2.0
"""How long the recorder may take to be closed in place of a control thread that is stuck."""


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
        self._episode = EpisodeWatch(ports.robot, config)
        self._clock = clock or MonotonicClock()
        self._period_ns = seconds_to_ns(ports.motion.tick_s)
        self._gate = Gate(ports.robot.spec.actions, tick_s=ports.motion.tick_s)
        self._stats = LoopStats()
        self._stop = threading.Event()
        self._signals = SignalFlag()
        self._on_stuck = on_stuck
        bounds = Bounds(config.tick_timeout_s, config.robot_connect_timeout_s)
        self._watchdog = Watchdog(
            ports.robot.stop, self._signals, bounds, on_asked=self._stop.set, on_stuck=self._give_up
        )
        self._sweeper = Sweeper(is_wanted=False)
        recorder, senses = ports.recorder, config.senses
        self._camera = CameraThread(
            self._read_images,
            ports.client,
            None if recorder is None else recorder.record_images,
            self._clock,
        )
        self._frames = FrameCheck(
            ports.mapping.cameras,
            stale_s=senses.camera_stale_s,
            driven_ns=lambda: self._stats.plan_actions * self._period_ns,
        )
        self._state = StateReader(self._ask_state, ports.mapping, ports.motion, senses, self._clock)
        self._requests = Requests(
            ports.engine, ports.motion, self._episode, self._watchdog, on_moved=self._state.forget
        )
        self._start_pose: ActionArray | None = None
        self._schedule = TickSchedule(self._period_ns)
        self._lateness_ms = 0.0
        self._command_ns = 0
        self._error = ""
        self.status: LoopStatus | None = None
        self.changes = Changes()
        alarms = Alarms(self._period_ns, max_limited_s=ports.motion.max_limited_s)
        self._watch = LoopWatch(alarms, ports.motion, self._camera.health, recorder, self.changes)

    def stop(self) -> None:
        """End the loop at its next tick; the robot is stopped first."""
        self._stop.set()

    def pause(self) -> None:
        """Command nothing any more: a human takes over. What drives on by itself is brought to rest first."""
        self._requests.put(LoopRequest.PAUSE)

    def resume(self) -> None:
        """Go on after a pause, from where the robot is then."""
        self._requests.put(LoopRequest.RESUME)

    def reset(self) -> None:
        """Begin a new episode at the next tick."""
        self._requests.put(LoopRequest.RESET)

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
        """End a process that the driver has forked and let run on in here: the robot is its parent's.

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
        self._state.read()  # what the first tick is compared with
        self._camera.start()
        return None

    # -- the beat ---------------------------------------------------------------------------------------

    def _drive(self) -> EndReason:
        began_ns = self._clock.now_ns()
        self._schedule.begin(began_ns)
        self._episode.note_begin(began_ns)
        while True:
            now_ns = self._await_tick()
            end = self._end_due(now_ns, began_ns)
            if end is EndReason.FINISHED and self._config.return_to_start:
                return self._return_to_start()
            end = end or self._tick(now_ns)
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
        self._note_tick(now_ns, tick.lateness_ns, tick.missed + skipped)
        return now_ns

    def _end_due(self, now_ns: int, began_ns: int) -> EndReason | None:
        config = self._config
        if self._watchdog.hang is not None:
            return EndReason.HUNG
        if self._stop.is_set() or self._signals.is_set:
            return interrupted_by(self._signals)
        if self._camera.health.refusal:
            raise FrameError(self._camera.health.refusal)
        if config.duration_s is not None and now_ns - began_ns >= seconds_to_ns(config.duration_s):
            return EndReason.FINISHED
        if self._requests.is_resetting or not self._episode.is_over(now_ns):
            return None
        self._stats.episodes += 1
        if self._stats.episodes == config.episodes:
            return EndReason.FINISHED
        self._requests.put(LoopRequest.RESET)
        return None

    def _tick(self, now_ns: int) -> EndReason | None:
        ports = self._ports
        reading = self._sense(now_ns)
        if not (reading.is_trusted or ports.motion.is_driven or ports.engine.motion is MotionState.PAUSED):
            return None  # nothing moves, and nobody knows where from
        directive = ports.engine.advance(now_ns, ports.mapping.state_to_policy(reading.state))
        # a request that is not taken is made again: what was not measured now is shown to no policy
        draft = ports.engine.take_draft() if reading.is_trusted else None
        if directive.motion is MotionState.STOPPED:
            return self._gave_up(now_ns)
        if draft is not None:
            self._camera.ask(draft)
        command = ports.motion.advance(directive, reading.steady, is_trusted=reading.is_trusted)
        self._tell(ports.motion.take_notices())
        if ports.motion.stop_reason is not None:
            self._error = ports.motion.stop_reason
            return EndReason.LIMITED
        if not self._command(command, reading.state, now_ns):
            return EndReason.HUNG
        if command.is_moving:
            ports.engine.fallback_moved(now_ns)
        self._publish(command, now_ns)
        return None

    @staticmethod
    def _tell(notices: Iterable[str]) -> None:
        for notice in notices:
            logger.warning("%s", notice)

    def _note_tick(self, now_ns: int, lateness_ns: int, missed: int) -> None:
        self._stats.note_tick(now_ns, lateness_ns, missed)
        costs = TickCosts(lateness_ns, missed, self._state.take_spent_ns(), self._command_ns)
        self._command_ns = 0
        self._watch.note_tick(now_ns, costs)
        self._lateness_ms = lateness_ns / NS_PER_MS

    def _sense(self, now_ns: int) -> Reading:
        """Return the state of this tick, after what others have asked for was done."""
        reading = self._state.read()
        while self._requests.apply_next(now_ns, reading.steady if reading.is_trusted else None, self._config):
            reading = self._state.read()  # a new episode may begin elsewhere
        self._stats.state_errors = self._state.bad
        if self._start_pose is None and reading.is_trusted:
            self._start_pose = self._ports.motion.measured(reading.steady)
        return reading

    def _gave_up(self, now_ns: int) -> EndReason:
        """Return why the engine has stopped: a link that is well did not fail a robot that sees nothing."""
        engine = self._ports.engine
        blind = self._camera.health.blamed(engine.link, now_ns)
        if blind:
            self._error = f"{engine.stop_reason}: {blind}"
            return EndReason.ROBOT_ERROR
        self._error = engine.stop_reason
        return EndReason.DEAD

    def _ask_state(self) -> object:
        self._leave_copy()
        self._watchdog.call = "robot.read_state()"
        try:
            return self._ports.robot.read_state()
        finally:
            self._watchdog.call = ""
            self._leave_copy()

    def _read_images(self) -> Mapping[str, Image]:
        read = self._ports.read_images or self._ports.robot.read_images
        try:
            images = read()
        finally:
            self._leave_copy()
        return self._ports.mapping.images_to_policy(self._frames.take(images))

    def _command(self, command: Command, state: FloatArray, now_ns: int) -> bool:
        """Command the robot; False: it must not be any more."""
        if command.action is not None:
            action = self._ports.mapping.action_to_robot(command.action)
            start = command.begins_at
            self._gate.check(action, None if start is None else self._ports.mapping.action_to_robot(start))
            with self._watchdog.commanding() as may_command:
                if not may_command:
                    return False
                self._send(action)
            self._state.commanded(command.action)
            if self._ports.recorder is not None:
                self._ports.recorder.record_step(now_ns, command, state)
        self._stats.note_command(now_ns, command.provenance, is_commanded=command.action is not None)
        return True

    def _send(self, action: ActionArray) -> None:
        called_ns = self._clock.now_ns()
        self._watchdog.call = "robot.command()"
        with robot_call("command"):
            call_whole("command", self._ports.robot.command, action)
        self._watchdog.call = ""
        returned_ns = self._clock.now_ns()
        self._command_ns = returned_ns - called_ns
        self._schedule.commanded(called_ns, returned_ns)

    def _publish(self, command: Command, now_ns: int) -> None:
        engine = self._ports.engine
        self.changes.note(now_ns, command.provenance, engine.step)
        self.status = status_of(now_ns, command, engine, self._stats, self._lateness_ms)

    # -- the end ----------------------------------------------------------------------------------------

    def _return_to_start(self) -> EndReason:
        """Move back within the limits, slowly at both ends; a signal or `stop()` breaks it off."""
        ports, goal = self._ports, self._start_pose
        if goal is None or not ports.motion.is_driven:
            return EndReason.FINISHED
        engine = ports.engine
        provenance = Provenance(
            None, None, engine.episode, None, None, None, engine.link, MotionState.FALLBACK
        )
        ticks = max(round(self._config.return_time_s / ports.motion.tick_s), 1)
        origin = ports.motion.position
        for smooth in smooth_shares(ticks):
            state = self._state.read().state
            command = ports.motion.go(ports.motion.between(origin, goal, smooth), provenance)
            now_ns = self._clock.now_ns()
            if not self._command(command, state, now_ns):
                return EndReason.HUNG
            now_ns = self._await_tick()
            if self._stop.is_set() or self._signals.is_set:
                return interrupted_by(self._signals)
        return EndReason.FINISHED

    def _tear_down(self, reason: EndReason, cause: BaseException | None) -> LoopSummary:
        if cause is not None:
            self._error = f"{type(cause).__name__}: {cause}"
            is_fault = reason is EndReason.ERROR or logger.isEnabledFor(logging.DEBUG)
            logger.error("the control loop failed: %s", self._error, exc_info=cause if is_fault else None)
        ports, watchdog = self._ports, self._watchdog
        watchdog.end("the end of the run")
        attempt("engine.stop()", partial(ports.engine.stop, self._error or reason.value))
        attempt("stopping the camera thread", partial(self._camera.stop, CAMERA_JOIN_S))
        watchdog.end("robot.close()")
        attempt("robot.close()", ports.robot.close)
        self._leave_copy()
        summary = self._summary(reason)
        watchdog.end("closing the recorder")
        if ports.recorder is not None:
            attempt("closing the recorder", partial(ports.recorder.close, summary))
        return summary

    def _give_up(self) -> None:
        """End what can be ended in place of the control thread, which is stuck (the watchdog's thread)."""
        summary = self._summary(EndReason.HUNG)
        if self._ports.recorder is not None:
            within("closing the recorder", partial(self._ports.recorder.close, summary), RECORDER_S)
        self._on_stuck(summary)

    def _summary(self, reason: EndReason) -> LoopSummary:
        hang = self._watchdog.hang
        return self._stats.summary(
            reason if hang is None else reason_of_hang(hang, reason, self._signals),
            self._error or ("" if hang is None else str(hang)),
            limited=self._ports.motion.limited_counts,
            camera_errors=self._camera.health.errors,
            is_stopped=self._watchdog.is_stopped,
        )
