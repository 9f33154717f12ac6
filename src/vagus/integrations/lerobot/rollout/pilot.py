"""One robot under somebody else's control loop: observation in, command out, once per tick of theirs.

Owns no thread and no hardware. All methods belong to the thread that runs the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from vagus.clock import Clock, MonotonicClock, seconds_to_ns
from vagus.control.camera import ClientPort
from vagus.control.config import SensesConfig
from vagus.control.controller import Controller, EnginePort
from vagus.control.end_reason import reason_of
from vagus.control.fallback import Fallbacks, keeps_moving, rest_value
from vagus.control.loop_stats import EndReason, LoopStats, LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.narration import Changes
from vagus.control.readings import Reading
from vagus.errors import FrameError, GateError, PolicyError, RobotError
from vagus.integrations.lerobot.rollout.senses import Observation, Senses
from vagus.integrations.lerobot.rollout.watch import RolloutWatch
from vagus.specs import RobotSpec
from vagus.types import (
    ActionArray,
    Command,
    MotionState,
    Provenance,
    RequestDraft,
    Snapshot,
)

__all__ = ["Pilot", "PilotPorts"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PilotPorts:
    """Parts of a pilot.

    Attributes:
        spec: the robot in its own names.
        engine: of an open client.
        client: takes the snapshots.
        mapping: between the robot's order and the policy's.
        motion: made from the mapping's actions and state names.
        cause_of: makes of the reason of a stop a sentence with all that is known about it.
        fallbacks: of `motion`.
        config: how far the robot's readings and cameras are believed.
    """

    spec: RobotSpec
    engine: EnginePort
    client: ClientPort
    mapping: OrderMapping
    motion: Motion
    cause_of: Callable[[str], str]
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
    config: SensesConfig = field(default_factory=SensesConfig)


class Pilot:
    """Computes the commands of one robot in somebody else's loop. It is paused before the first `resume`."""

    def __init__(self, ports: PilotPorts, clock: Clock | None = None) -> None:
        self._ports = ports
        self._clock = clock or MonotonicClock()
        self._seen: Observation | None = None
        self._seen_ns: int | None = None
        self._ticked_ns = self._clock.now_ns()
        self.failure = ""
        """Why nothing will be commanded any more; empty while all is well."""
        self.failed_as: EndReason | None = None
        """The same for an exit code."""
        self.changes = Changes()
        self._controller = Controller(ports.spec, ports.engine, ports.mapping, ports.motion)
        self._stats = LoopStats()
        tick_ns = seconds_to_ns(ports.motion.tick_s)
        self.senses = Senses(
            ports.spec,
            ports.mapping,
            ports.motion,
            ports.config,
            self._clock,
            driven_ns=lambda: self._stats.plan_actions * tick_ns,
        )
        """What the robot's observations go through before LeRobot gets them."""
        self.watch = RolloutWatch(ports.motion, self.senses.health, self.changes)
        """Says while it lasts what is wrong with the rate and the limits."""
        ports.engine.pause(self._ticked_ns)

    # -- episodes and pauses ----------------------------------------------------------------------------

    def reset(self) -> None:
        """Begin a new episode: plan, observation and what is in flight are dropped; a pause stays one.

        The robot may have been put elsewhere. The time since the last tick does not count as offline.
        """
        if self._is_over:
            return
        engine = self._ports.engine
        was_paused = engine.motion is MotionState.PAUSED
        if not was_paused:
            engine.pause(self._ticked_ns)
        engine.reset(was_moved=True)
        self._forget()
        self.senses.forget()
        if not was_paused:
            self._go_on()

    def pause(self) -> None:
        """Pause: somebody else moves the robot from now on. Twice does nothing."""
        if self._is_over or self._ports.engine.motion is MotionState.PAUSED:
            return
        self._ports.motion.release()
        self._ports.engine.pause(self._clock.now_ns())
        self._note(self._clock.now_ns(), self._controller.standing)
        self._forget()

    def resume(self) -> None:
        """Go on with a fresh plan from where the robot is then; without a pause, nothing happens."""
        if not self._is_over and self._ports.engine.motion is MotionState.PAUSED:
            self._go_on()

    def stop(self, reason: str) -> None:
        """Command nothing any more."""
        self._ports.engine.stop(reason)
        self._note(self._clock.now_ns(), self._controller.standing)
        self._forget()

    def summary(self, reason: EndReason, error: str, *, episodes: int) -> LoopSummary:
        """Return the summary, without lateness: only the owner of the loop knows it."""
        limited = self._ports.motion.limited_counts
        self._stats.state_errors = self.senses.bad
        errors = self.senses.health.errors
        counted = self._stats.summary(reason, error, limited=limited, camera_errors=errors)
        return replace(counted, lateness_ms={}, episodes=episodes)

    @property
    def at_rest(self) -> Mapping[str, float]:
        """Action that keeps the robot moving after its last command → its value at rest."""
        modes = self._ports.fallbacks
        return {f.name: rest_value(f, modes) for f in self._ports.spec.actions if keeps_moving(f)}

    def halted(self) -> None:
        """Note that others have stopped the robot; the plan goes on from there."""
        if not self._is_over and self._ports.engine.motion is not MotionState.PAUSED:
            now_ns = self._clock.now_ns()
            self._ports.engine.pause(now_ns)
            pose, gap = self._last_pose(), self._ports.motion.gap
            self._ports.engine.resume(now_ns, measured=pose, keep_plan_within=float("inf"), gap=gap)

    # -- every tick -------------------------------------------------------------------------------------

    def note(self, observation: Observation) -> None:
        """Take the newest observation, after `senses`; frames are copied when they are sent."""
        self._seen, self._seen_ns = observation, self._clock.now_ns()

    def act(self) -> Command | None:
        """Return the command of this tick; None without an observation, in a pause, or after a failure.

        Its `action` is in the policy's order; None where nothing is to be commanded.
        """
        engine, reading = self._ports.engine, self.senses.reading
        if self._seen is None or reading is None or self._is_over or engine.motion is MotionState.PAUSED:
            return None
        now_ns = self._tick_ns()
        self._stats.note_tick(now_ns, 0, 0)
        self.watch.ticked(now_ns, self.senses.take_spent_ns())
        try:
            return self._tick(now_ns, reading, self._seen)
        except (FrameError, GateError, PolicyError) as error:
            self._fail(str(error), reason_of(error))
            return None

    def to_robot(self, action: ActionArray) -> ActionArray:
        """Return a command in the order of the spec, (action_dim,)."""
        return self._ports.mapping.action_to_robot(action)

    # -- parts ------------------------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self._ports.engine.motion is MotionState.STOPPED

    def _forget(self) -> None:
        self._seen = self._seen_ns = None
        self.watch.interrupted()

    def _go_on(self) -> None:
        self._ports.motion.release()
        self._ticked_ns = self._clock.now_ns()
        self._note(self._ticked_ns, self._controller.standing)
        self._forget()
        self._ports.engine.resume(self._ticked_ns)

    def _tick_ns(self) -> int:
        """Return the time of this tick: that of its observation, unless that was used before."""
        self._ticked_ns = self._clock.now_ns() if self._seen_ns is None else self._seen_ns
        self._seen_ns = None
        return self._ticked_ns

    def _note(self, now_ns: int, provenance: Provenance, *, is_commanded: bool = False) -> None:
        if self._stats.ticks:  # before the first tick there is nothing to count or to tell
            self.changes.note(now_ns, provenance, self._ports.engine.step)
            self._stats.note_command(now_ns, provenance, is_commanded=is_commanded)

    def _fail(self, why: str, failed_as: EndReason) -> None:
        self.failure, self.failed_as = why, failed_as
        self._ports.engine.stop(why)
        self._note(self._clock.now_ns(), self._controller.standing)
        logger.error("the robot is stopped: %s", why)

    def _tick(self, now_ns: int, reading: Reading, seen: Observation) -> Command | None:
        """Return the command of this tick, if there is one.

        Raises:
            FrameError: there will never be pictures.
            PolicyError, GateError: a command must not reach the robot.
        """
        tick = self._controller.advance(now_ns, reading)
        for notice in self._ports.motion.take_notices():
            logger.warning("%s", notice)
        if tick.draft is not None:
            self._offer(tick.draft, seen)
        if tick.end is EndReason.DEAD:
            self._gave_up(now_ns)
        elif tick.end is not None:
            self._fail(tick.error, tick.end)
        elif tick.command is None:  # nothing moves, and nobody knows where from
            self._note(now_ns, self._controller.standing)
        else:
            self._note(now_ns, tick.command.provenance, is_commanded=tick.action is not None)
            if tick.command.action is not None:
                self.senses.commanded(tick.command.action)
        return tick.command

    def _gave_up(self, now_ns: int) -> None:
        """Fail with the reason of the engine: the link, or cameras that give no frames."""
        engine = self._ports.engine
        blind = self.senses.health.blamed(engine.link, now_ns)
        if blind:
            self._fail(f"{engine.stop_reason}: {blind}", EndReason.ROBOT_ERROR)
        else:
            self._fail(self._ports.cause_of(engine.stop_reason), EndReason.DEAD)

    def _last_pose(self) -> ActionArray | None:
        """Return the pose of the robot, or None if it is not known."""
        reading = self.senses.reading
        if reading is not None and reading.is_trusted:
            return self._ports.motion.measured(reading.steady)
        logger.warning("where the robot stands is not known")
        return None

    def _offer(self, draft: RequestDraft, observation: Observation) -> None:
        """Send a request, unless there are no frames for it.

        Raises:
            FrameError: there never will be.
        """
        try:
            sight = self.senses.look(observation)
        except RobotError:
            self._ports.client.draft_failed(draft.ticket)
            if self.senses.health.refusal:
                raise
            return
        self._ports.client.offer(Snapshot(draft, sight.images, sight.depth))
