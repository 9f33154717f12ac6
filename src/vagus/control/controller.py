"""The controller: one tick from a reading of the state to a checked command, whoever runs the loop. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from vagus.control.gate import Gate
from vagus.control.loop_stats import EndReason
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.control.ready import ReadyWay
from vagus.edge.engine.playback import Gap, plain_gap
from vagus.edge.handoff import Settled
from vagus.specs import RobotSpec
from vagus.types import (
    ActionArray,
    Command,
    Directive,
    FloatArray,
    LinkState,
    MotionState,
    Provenance,
    RequestDraft,
)

__all__ = ["Controller", "ControllerTick", "EnginePort"]


class EnginePort(Protocol):
    """Interface of the engine for a control loop; all methods belong to the control thread."""

    stop_reason: str

    @property
    def link(self) -> LinkState:
        """State of the link."""
        ...

    @property
    def motion(self) -> MotionState:
        """Motion state."""
        ...

    @property
    def episode(self) -> int:
        """Episode number."""
        ...

    @property
    def step(self) -> int:
        """Next policy step to be commanded."""
        ...

    @property
    def playback_left_ns(self) -> int:
        """Playback left in the plan."""
        ...

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        """Return the decision for this tick."""
        ...

    def take_draft(self) -> RequestDraft | None:
        """Return the request that became due, once."""
        ...

    def take_settled(self) -> tuple[Settled, ...]:
        """Return the chunks that the last `advance` merged or kept out, once."""
        ...

    def fallback_moved(self, now_ns: int) -> None:
        """Note that a fallback command moved the robot."""
        ...

    def pause(self, now_ns: int) -> None:
        """Pause: a human takes over."""
        ...

    def resume(
        self,
        now_ns: int,
        *,
        measured: ActionArray | None = None,
        keep_plan_within: float | None = None,
        gap: Gap = plain_gap,
    ) -> bool:
        """Go on after a pause."""
        ...

    def reset(self, *, was_moved: bool) -> None:
        """Begin a new episode."""
        ...

    def stop(self, reason: str) -> None:
        """Stop for good."""
        ...


@dataclass(frozen=True, slots=True)
class ControllerTick:
    """Decision of one tick.

    Attributes:
        command: in the policy's order, with its provenance; None: nothing moves and nobody knows where from,
            or the robot must be stopped.
        action: the same in the robot's order, (action_dim,), float64; None: command nothing.
        draft: the request that became due; None: none did, or the state was not measured in this tick.
        end: why the robot must be stopped now; None: it need not be.
        error: the same in words.
    """

    command: Command | None = None
    action: ActionArray | None = None
    draft: RequestDraft | None = None
    end: EndReason | None = None
    error: str = ""


class Controller:
    """Computes one tick of a robot: mapping, engine, motion and gate, in this order.

    It owns no thread, no clock and no robot. Every command has passed the limits of `motion` and the gate.

    Args:
        spec: the robot in its own names.
        engine: decides which action of the plan is due.
        mapping: between the robot's order and the policy's.
        motion: made from the mapping's actions and state names.
        ready: the way before an episode; None: none is wanted.
    """

    def __init__(
        self,
        spec: RobotSpec,
        engine: EnginePort,
        mapping: OrderMapping,
        motion: Motion,
        ready: ReadyWay | None = None,
    ) -> None:
        self._engine = engine
        self._mapping = mapping
        self._motion = motion
        self._gate = Gate(spec.actions, tick_s=motion.tick_s)
        self._ready = ready or ReadyWay(engine, motion, None)
        self._is_returning = False

    @property
    def is_returning(self) -> bool:
        """Whether the robot is on its way back to where it stood at the start."""
        return self._is_returning

    @property
    def standing(self) -> Provenance:
        """Provenance of a tick in which nothing is commanded."""
        engine = self._engine
        return Provenance(None, None, engine.episode, None, None, None, engine.link, engine.motion)

    def advance(self, now_ns: int, reading: Reading) -> ControllerTick:
        """Return the decision for this tick.

        Args:
            now_ns: monotonic time of the tick.
            reading: the state of this tick.

        Raises:
            PolicyError, GateError: a command must not reach the robot.
        """
        motion, engine = self._motion, self._engine
        if self._is_returning:
            return self._go_back()
        if not (reading.is_trusted or motion.is_driven or engine.motion is MotionState.PAUSED):
            return ControllerTick()
        directive = engine.advance(now_ns, self._mapping.state_to_policy(reading.state))
        # a request that is not taken is made again: what was not measured now is shown to no policy
        draft = engine.take_draft() if reading.is_trusted else None
        if directive.motion is MotionState.STOPPED:
            return ControllerTick(end=EndReason.DEAD, error=engine.stop_reason)
        command = self._ready.advance(now_ns, directive, reading)
        if command is None:
            command = motion.advance(directive, reading.steady, is_trusted=reading.is_trusted)
        if motion.stop_reason is not None:
            return ControllerTick(draft=draft, end=EndReason.LIMITED, error=motion.stop_reason)
        if command.is_moving:
            engine.fallback_moved(now_ns)
        return ControllerTick(command, self._checked(command), draft)

    def begin_return(self, time_s: float) -> bool:
        """Begin the way back to the start, in place of the plan; return whether there is one to go."""
        is_humans = self._engine.motion is MotionState.PAUSED and not self._ready.is_going
        self._is_returning = not is_humans and self._motion.begin_return(time_s)
        return self._is_returning

    def _go_back(self) -> ControllerTick:
        if self._motion.is_back:
            return ControllerTick(end=EndReason.FINISHED)
        command = self._motion.go_back(replace(self.standing, motion=MotionState.FALLBACK))
        return ControllerTick(command, self._checked(command))

    def _checked(self, command: Command) -> ActionArray | None:
        """Return a command in the robot's order, after a last look at it."""
        if command.action is None:
            return None
        action = self._mapping.action_to_robot(command.action)
        start = command.begins_at
        self._gate.check(action, None if start is None else self._mapping.action_to_robot(start))
        return action
