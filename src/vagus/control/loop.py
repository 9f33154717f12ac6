"""The control loop: one thread that reads, decides, limits and commands at an absolute beat.

Whatever ends it, the robot is stopped first and nothing is commanded afterwards.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.control.camera import CameraThread
from vagus.control.config import LoopConfig
from vagus.control.episode import EpisodeWatch
from vagus.control.gate import Gate
from vagus.control.narration import Changes
from vagus.control.parts import LoopParts, LoopStatus
from vagus.control.robot import robot_call
from vagus.control.robot_check import admitted
from vagus.control.runtime import Interrupt, quiet_runtime
from vagus.control.tally import EndReason, LoopSummary, Tally
from vagus.errors import RobotError, StateError
from vagus.specs import vouched
from vagus.types import ActionArray, Command, FloatArray, Image, MotionState, Provenance

__all__ = ["ControlLoop"]

logger = logging.getLogger(__name__)

CAMERA_JOIN_S = 1.0
"""How long a hanging camera may hold up the end, after the robot was stopped."""


CLOSEST_SHARE = 4
"""A tick whose deadline is nearer than a period over this to the last command is skipped."""


class _Request(enum.Enum):
    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"


class ControlLoop:
    """Drives a robot from an engine. `run` is called once; the other methods from any thread.

    Raises:
        SpecError: nothing bounds or measures an action, and nobody vouches for it; see `admitted`.
    """

    def __init__(self, parts: LoopParts, config: LoopConfig, clock: Clock | None = None) -> None:
        self._vouched = vouched(admitted(parts.robot.spec, config.admission))
        self._parts = parts
        self._config = config
        self._episode = EpisodeWatch(parts.robot, config)
        self._clock = clock or MonotonicClock()
        self._period_ns = seconds_to_ns(parts.motion.tick_s)
        self._gate = Gate(parts.robot.spec.actions, tick_s=parts.motion.tick_s)
        self._tally = Tally()
        self._stop = threading.Event()
        self._interrupt = Interrupt()
        self._requests: deque[_Request] = deque()
        recorder = parts.recorder
        self._camera = CameraThread(
            self._read_images, parts.client, None if recorder is None else recorder.record_images
        )
        self._start_pose: ActionArray | None = None
        self._deadline_ns = 0
        self._commanded_ns = 0
        self._lateness_ms = 0.0
        self._error = ""
        self.status: LoopStatus | None = None
        self.changes = Changes()

    def stop(self) -> None:
        """End the loop at its next tick; the robot is stopped first."""
        self._stop.set()

    def pause(self) -> None:
        """Command nothing from the next tick on: a human takes over."""
        self._requests.append(_Request.PAUSE)

    def resume(self) -> None:
        """Go on after a pause, from where the robot is then."""
        self._requests.append(_Request.RESUME)

    def reset(self) -> None:
        """Begin a new episode at the next tick."""
        self._requests.append(_Request.RESET)

    def run(self) -> LoopSummary:
        """Connect the robot, drive it until the end, stop it, close it; return what happened.

        Nothing is raised for a failing robot or link: `LoopSummary.reason` tells. A second Ctrl-C raises
        KeyboardInterrupt, after the robot was stopped.
        """
        reason = EndReason.ERROR
        cause: Exception | None = None
        for line in self._vouched:
            logger.warning("driven because somebody vouches for it: %s", line)
        with self._interrupt, quiet_runtime(self._config.realtime_priority):
            try:
                with robot_call("connect"):
                    self._parts.robot.connect()
                self._camera.start()
                reason = self._drive()
            except Exception as error:  # noqa: BLE001 - whatever it is, the robot is stopped and it is told
                cause = error
                reason = EndReason.ROBOT_ERROR if isinstance(error, RobotError) else EndReason.ERROR
            finally:
                self._interrupt.closing()
                self._stop_robot()
                summary = self._tear_down(reason, cause)
        return summary

    # -- the beat ---------------------------------------------------------------------------------------

    def _drive(self) -> EndReason:
        began_ns = self._clock.now_ns()
        self._deadline_ns = began_ns
        self._episode.note_begin(began_ns)
        self._commanded_ns = began_ns - self._period_ns
        while True:
            now_ns = self._await_tick()
            end = self._end_due(now_ns, began_ns)
            if end is EndReason.FINISHED and self._config.return_to_start:
                return self._return_to_start()
            end = end or self._tick(now_ns)
            if end is not None:
                return end

    def _await_tick(self) -> int:
        """Wait for the next deadline and return the time; deadlines that passed meanwhile are skipped.

        So are those that follow a late command too closely: the robot is not commanded in bursts.
        """
        early_ns = self._commanded_ns + self._period_ns // CLOSEST_SHARE - self._deadline_ns
        skipped = max(-(-early_ns // self._period_ns), 0)
        self._deadline_ns += skipped * self._period_ns
        self._clock.wait_until_ns(self._deadline_ns, self._stop)
        now_ns = self._clock.now_ns()
        lateness_ns = max(now_ns - self._deadline_ns, 0)
        missed = lateness_ns // self._period_ns
        self._tally.note_tick(now_ns, lateness_ns, missed + skipped)
        self._lateness_ms = lateness_ns / NS_PER_MS
        self._deadline_ns += (missed + 1) * self._period_ns
        return now_ns

    def _end_due(self, now_ns: int, began_ns: int) -> EndReason | None:
        config = self._config
        if self._stop.is_set() or self._interrupt.is_set:
            return EndReason.INTERRUPTED
        if config.duration_s is not None and now_ns - began_ns >= seconds_to_ns(config.duration_s):
            return EndReason.FINISHED
        if not self._episode.is_over(now_ns):
            return None
        self._tally.episodes += 1
        if self._tally.episodes == config.episodes:
            return EndReason.FINISHED
        self._requests.append(_Request.RESET)
        return None

    def _tick(self, now_ns: int) -> EndReason | None:
        parts = self._parts
        state = self._read_state()
        if self._start_pose is None:
            self._start_pose = parts.motion.measured(state)
        while self._requests:
            self._apply(self._requests.popleft(), now_ns, state)
            state = self._read_state()  # a new episode may begin elsewhere
        directive = parts.engine.advance(now_ns, parts.mapping.state_to_policy(state))
        draft = parts.engine.take_draft()
        if directive.motion is MotionState.STOPPED:
            self._error = parts.engine.stop_reason
            return EndReason.DEAD
        if draft is not None:
            self._camera.ask(draft)
        command = parts.motion.advance(directive, state)
        for notice in parts.motion.take_notices():
            logger.warning("%s", notice)
        if parts.motion.stop_reason is not None:
            self._error = parts.motion.stop_reason
            return EndReason.LIMITED
        self._command(command, state, now_ns)
        if command.is_moving:
            parts.engine.fallback_moved(now_ns)
        self._publish(command, now_ns)
        return None

    def _read_state(self) -> FloatArray:
        with robot_call("read_state"):
            state = np.asarray(self._parts.robot.read_state(), dtype=np.float32)
        if state.shape != (len(self._parts.mapping.state_names),) or not np.isfinite(state).all():
            raise RobotError(
                f"state: wanted {len(self._parts.mapping.state_names)} finite numbers, got {state.tolist()}"
            )
        return state

    def _read_images(self) -> Mapping[str, Image]:
        read = self._parts.read_images or self._parts.robot.read_images
        return self._parts.mapping.images_to_policy(read())

    def _apply(self, request: _Request, now_ns: int, state: FloatArray) -> None:
        engine = self._parts.engine
        try:
            if request is _Request.PAUSE:
                engine.pause(now_ns)
            elif request is _Request.RESUME:
                measured = self._parts.motion.measured(state)
                within = self._config.keep_plan_within
                gap = self._parts.motion.gap
                engine.resume(now_ns, measured=measured, keep_plan_within=within, gap=gap)
            else:
                engine.reset(was_moved=self._episode.begin(now_ns))
        except StateError as error:
            logger.warning("%s was ignored: %s", request.value, error)

    def _command(self, command: Command, state: FloatArray, now_ns: int) -> None:
        if command.action is not None:
            action = self._parts.mapping.action_to_robot(command.action)
            start = command.begins_at
            self._gate.check(action, None if start is None else self._parts.mapping.action_to_robot(start))
            self._commanded_ns = self._clock.now_ns()  # as it is given: a slow driver must not cost ticks
            with robot_call("command"):
                self._parts.robot.command(action)
            if self._parts.recorder is not None:
                self._parts.recorder.record_step(now_ns, command, state)
        self._tally.note_command(now_ns, command.provenance, is_commanded=command.action is not None)

    def _publish(self, command: Command, now_ns: int) -> None:
        provenance, engine = command.provenance, self._parts.engine
        self.changes.note(now_ns, provenance, engine.step)
        self.status = LoopStatus(
            now_ns=now_ns,
            link=provenance.link,
            motion=provenance.motion,
            episode=provenance.episode,
            step=engine.step,
            playback_left_s=engine.playback_left_ns / NS_PER_S,
            age_ms=None if provenance.age_ns is None else provenance.age_ns / NS_PER_MS,
            lateness_ms=self._lateness_ms,
            ticks=self._tally.ticks,
            missed=self._tally.missed,
            limited=command.limited,
        )

    # -- the end ----------------------------------------------------------------------------------------

    def _return_to_start(self) -> EndReason:
        """Move back within the limits, slowly at both ends; a signal or `stop()` breaks it off."""
        parts, goal = self._parts, self._start_pose
        if goal is None or not parts.motion.is_driven:
            return EndReason.FINISHED
        engine = parts.engine
        provenance = Provenance(
            None, None, engine.episode, None, None, None, engine.link, MotionState.FALLBACK
        )
        origin = parts.motion.position
        ticks = max(round(self._config.return_time_s / parts.motion.tick_s), 1)
        for tick in range(1, ticks + 1):
            share = tick / ticks
            smooth = share**3 * (10.0 - 15.0 * share + 6.0 * share * share)
            state = self._read_state()
            command = parts.motion.go(parts.motion.between(origin, goal, smooth), provenance)
            now_ns = self._clock.now_ns()
            self._command(command, state, now_ns)
            now_ns = self._await_tick()
            if self._stop.is_set() or self._interrupt.is_set:
                return EndReason.INTERRUPTED
        return EndReason.FINISHED

    def _stop_robot(self) -> None:
        """Stop the robot, before anything else; once more if that fails."""
        if not _attempt("robot.stop()", self._parts.robot.stop):
            _attempt("robot.stop()", self._parts.robot.stop)

    def _tear_down(self, reason: EndReason, cause: Exception | None) -> LoopSummary:
        if cause is not None:
            self._error = f"{type(cause).__name__}: {cause}"
            is_fault = reason is EndReason.ERROR or logger.isEnabledFor(logging.DEBUG)
            logger.error("the control loop failed: %s", self._error, exc_info=cause if is_fault else None)
        parts = self._parts
        _attempt("engine.stop()", partial(parts.engine.stop, self._error or reason.value))
        _attempt("stopping the camera thread", partial(self._camera.stop, CAMERA_JOIN_S))
        _attempt("robot.close()", parts.robot.close)
        summary = self._tally.summary(
            reason, self._error, limited=parts.motion.limited_counts, camera_errors=self._camera.errors
        )
        if parts.recorder is not None:
            _attempt("closing the recorder", partial(parts.recorder.close, summary))
        return summary


def _attempt(what: str, call: Callable[[], None]) -> bool:
    """Call; return whether it went well. A failure is logged, so that what comes after still happens."""
    try:
        call()
    except Exception:
        logger.critical("%s failed", what, exc_info=True)
        return False
    return True
