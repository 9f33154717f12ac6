"""The control cycle: all that happens in one tick, from the state read to the command sent."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vagus.clock import NS_PER_MS, Clock, seconds_to_ns
from vagus.control.alarms import COMPUTER, Alarms, TickCosts
from vagus.control.camera import CameraThread
from vagus.control.config import LoopConfig
from vagus.control.controller import Controller, ControllerTick
from vagus.control.episode import EpisodeWatch
from vagus.control.frames import FrameCheck, Sight
from vagus.control.loop_stats import EndReason, LoopStats
from vagus.control.loop_watch import LoopWatch
from vagus.control.narration import Changes
from vagus.control.ports import LoopPorts, LoopStatus, status_of
from vagus.control.readings import Reading
from vagus.control.ready import ReadyWay, check_ready
from vagus.control.requests import LoopRequest, Requests
from vagus.control.state_reader import StateReader
from vagus.control.tick_schedule import Tick, TickSchedule
from vagus.control.watchdog import Watchdog
from vagus.errors import FrameError
from vagus.robots.robot import call_whole, robot_call
from vagus.types import ActionArray, Command, FloatArray

__all__ = ["ControlCycle"]

logger = logging.getLogger(__name__)


class ControlCycle:
    """Runs the ticks of one robot when its owner says that one is due. Belongs to the control thread.

    Args:
        ports: what it is made of.
        config: settings.
        clock: tells the time.
        watchdog: watches the calls into the driver.
        schedule: is told when the robot was commanded.
        on_return: called before and after the calls into the driver.
        on_draft: called when a request is due, before the camera thread reads the frames for it.
        elsewhere: where the time of a slow loop goes if it does not go into the driver, in words.

    Attributes:
        stats: what was counted.
        requests: pause, resume and reset; asked for from any thread.
        controller: decides what is commanded.
        camera: the thread that reads the frames.
        error: why the last tick said that the run must end; "" otherwise.
        status: how the last tick stood, replaced whole; None before the first.
        changes: what is to be told.
    """

    def __init__(  # noqa: PLR0913 - what a loop and its cycle share
        self,
        ports: LoopPorts,
        config: LoopConfig,
        clock: Clock,
        watchdog: Watchdog,
        schedule: TickSchedule,
        *,
        on_return: Callable[[], None],
        on_draft: Callable[[], None] = lambda: None,
        elsewhere: str = COMPUTER,
    ) -> None:
        self._ports = ports
        self._config = config
        self._clock = clock
        self._watchdog = watchdog
        self._schedule = schedule
        self._on_return = on_return
        self._on_draft = on_draft
        self.period_ns = schedule.period_ns
        self.stats = LoopStats()
        if config.move_to_ready:
            check_ready(ports.mapping.actions)
        self._ready = ReadyWay(
            ports.engine, ports.motion, config.ready_time_s if config.move_to_ready else None
        )
        self.controller = Controller(ports.robot.spec, ports.engine, ports.mapping, ports.motion, self._ready)
        recorder, senses = ports.recorder, config.senses
        self.camera = CameraThread(
            self._read_images, ports.client, None if recorder is None else recorder.record_images, clock
        )
        self._frames = FrameCheck(
            ports.mapping.cameras,
            ports.mapping.depth_cameras,
            stale_s=senses.camera_stale_s,
            driven_ns=lambda: self.stats.plan_actions * self.period_ns,
        )
        self.state = StateReader(self._ask_state, ports.mapping, ports.motion, senses, clock)
        self._episode = EpisodeWatch(ports.robot, config)
        self.requests = Requests(
            ports.engine,
            ports.motion,
            self._episode,
            watchdog,
            ready=self._ready,
            on_moved=self.state.forget,
        )
        self._began_ns = 0
        self._lateness_ms = 0.0
        self._command_ns = 0
        self.error = ""
        self.status: LoopStatus | None = None
        self.changes = Changes()
        alarms = Alarms(self.period_ns, max_limited_s=ports.motion.max_limited_s, elsewhere=elsewhere)
        self._watch = LoopWatch(alarms, ports.motion, self.camera.health, recorder, self.changes)

    def begin(self) -> None:
        """Read the state that the first tick is compared with, and start the camera thread."""
        self.state.read()
        self.camera.start()

    def note_begin(self, now_ns: int) -> None:
        """Count the time of the run and of the first episode from now on, and begin the way to it."""
        self._began_ns = now_ns
        self._episode.note_begin(now_ns)
        self._ready.begin(now_ns)

    def note_tick(self, now_ns: int, tick: Tick, skipped: int) -> None:
        """Record how late this tick is; `skipped` deadlines were left out to keep commands apart."""
        missed = tick.missed + skipped
        self.stats.note_tick(now_ns, tick.lateness_ns, missed)
        costs = TickCosts(tick.lateness_ns, missed, self.state.take_spent_ns(), self._command_ns)
        self._command_ns = 0
        self._watch.note_tick(now_ns, costs)
        self._lateness_ms = tick.lateness_ns / NS_PER_MS

    def is_finished(self, now_ns: int) -> bool:
        """Whether the time or all episodes are over; where one episode is, the next is asked for.

        Raises:
            FrameError: there will never be frames.
        """
        if self.camera.health.refusal:
            raise FrameError(self.camera.health.refusal)
        duration_s = self._config.duration_s
        if duration_s is not None and now_ns - self._began_ns >= seconds_to_ns(duration_s):
            return True
        if self._ready.is_going:
            self._episode.note_begin(now_ns)  # it has not begun on the way to it
        if self.requests.is_resetting or not self._episode.is_over(now_ns):
            return False
        self.stats.episodes += 1
        if self.stats.episodes == self._config.episodes:
            return True
        self.requests.put(LoopRequest.RESET)
        return False

    def advance(self, now_ns: int) -> EndReason | None:
        """Run one tick; return why the run must end, or None.

        Raises:
            RobotError: the robot cannot be read or commanded.
            PolicyError, GateError: a command must not reach the robot.
        """
        is_returning = self.controller.is_returning
        reading = self.state.read() if is_returning else self._sense(now_ns)
        try:
            tick = self.controller.advance(now_ns, reading)
        finally:
            self._record_chunks(now_ns)
        if tick.draft is not None:
            self._on_draft()
            self.camera.ask(tick.draft)
        for notice in self._ports.motion.take_notices():
            logger.warning("%s", notice)
        if tick.end is EndReason.DEAD:
            return self._gave_up(now_ns)
        if tick.end is not None:
            self.error = tick.error
            return tick.end
        if tick.command is None:
            return None  # nothing moves, and nobody knows where from
        if not self._command(tick, tick.command, reading.state, now_ns):
            return EndReason.HUNG
        if not is_returning:
            self._publish(tick.command, now_ns)
        return None

    # -- parts ------------------------------------------------------------------------------------------

    def _sense(self, now_ns: int) -> Reading:
        """Return the state of this tick, after what others have asked for was done."""
        reading = self.state.read()
        while self.requests.apply_next(now_ns, reading.steady if reading.is_trusted else None, self._config):
            reading = self.state.read()  # a new episode may begin elsewhere
        self.stats.state_errors = self.state.bad
        return reading

    def _gave_up(self, now_ns: int) -> EndReason:
        """Return why the engine has stopped: the link, or cameras that give no frames."""
        engine = self._ports.engine
        blind = self.camera.health.blamed(engine.link, now_ns)
        if blind:
            self.error = f"{engine.stop_reason}: {blind}"
            return EndReason.ROBOT_ERROR
        self.error = engine.stop_reason
        return EndReason.DEAD

    def _ask_state(self) -> object:
        self._on_return()
        self._watchdog.call = "robot.read_state()"
        try:
            return self._ports.robot.read_state()
        finally:
            self._watchdog.call = ""
            self._on_return()

    def _read_images(self) -> Sight:
        read = self._ports.read_images or self._ports.robot.read_images
        try:
            seen = read()
        finally:
            self._on_return()
        return self._ports.mapping.sight_to_policy(self._frames.take(seen))

    def _record_chunks(self, now_ns: int) -> None:
        """Hand the recorder what came of the chunks of this tick, also of a tick that fails by them."""
        if self._ports.recorder is not None:
            for settled in self._ports.engine.take_settled():
                self._ports.recorder.record_chunk(now_ns, settled)

    def _command(self, tick: ControllerTick, command: Command, state: FloatArray, now_ns: int) -> bool:
        """Command the robot; return False if it must not be commanded any more."""
        if tick.action is not None:
            with self._watchdog.commanding() as may_command:
                if not may_command:
                    return False
                self._send(tick.action)
            if command.action is not None:
                self.state.commanded(command.action)
            if self._ports.recorder is not None:
                self._ports.recorder.record_step(now_ns, command, state)
        self.stats.note_command(now_ns, command.provenance, is_commanded=tick.action is not None)
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
        self.status = status_of(now_ns, command, engine, self.stats, self._lateness_ms)
