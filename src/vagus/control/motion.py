"""Turns the engine's directive into the robot's command: interpolation, fallback, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vagus.control.average import TargetAverage
from vagus.control.axis_limiter import BoolArray
from vagus.control.binary import BinaryDecoder
from vagus.control.fallback import Fallbacks, FallbackTargets, WayBack, check_names, shortest_s
from vagus.control.feedback import Feedback
from vagus.control.gripper_memory import GripperMemory
from vagus.control.interpolate import Interpolator
from vagus.control.limits import Limiter, LongestLimited
from vagus.errors import StateError
from vagus.features import ActionFeature, ActionKind, resolved_feedback
from vagus.types import ActionArray, Command, Directive, FloatArray, MotionState, Provenance

__all__ = ["Motion"]

SAME = 1e-9
"""Largest difference of two fallback commands that does not count as moving."""


class Motion:
    """Turns one directive per tick into one command.

    While no plan is there, positions decelerate and then hold the pose measured at their stand (taken once,
    so that nothing creeps), velocities ramp to zero, deltas are zero, efforts go to their safe value,
    grippers and binaries keep their last command, over a pause too unless somebody has moved them. In a pause
    the same brings the robot to rest, and only then nothing is commanded: a velocity that was sent last is
    driven on by the robot. An action that `is_held` stays where it was measured, whatever is planned. Before
    the first command after a start or a pause, nothing is commanded, unless an action is a velocity or an
    effort: these get their zero or safe value at once, provided that everything else is measured.

    Args:
        actions: features in the policy's order, with the robot's limits and feedback.
        state_names: names of the state vector that `advance` gets.
        tick_s: length of a tick.
        fallbacks: of every kind, and of single actions by the names in `actions`; `check_fallbacks` has
            accepted it.
        max_limited_s: see `stop_reason`.
        return_time_s: how long the way back to the start takes, of a fallback that goes it.

    Raises:
        SpecError: limits that cannot be kept, or a fallback of an action that is not there.
    """

    def __init__(
        self,
        actions: Sequence[ActionFeature],
        state_names: Sequence[str],
        *,
        tick_s: float,
        fallbacks: Fallbacks | None = None,
        max_limited_s: float = 5.0,
        return_time_s: float = 4.0,
    ) -> None:
        said = fallbacks or Fallbacks()
        check_names("fallback.features", said.features, actions)
        actions = resolved_feedback(actions, state_names)
        self._actions = actions
        self.tick_s = tick_s
        self.max_limited_s = max_limited_s
        self._limiter = Limiter(actions, tick_s=tick_s, max_limited_s=max_limited_s)
        self._interpolator = Interpolator(actions)
        self._feedback = Feedback(actions, state_names)
        self._decoder = BinaryDecoder(actions)
        self._average = TargetAverage(actions)
        self._is_held: BoolArray = np.array([feature.is_held for feature in actions], dtype=np.bool_)
        self._gripper_memory = GripperMemory(actions)
        self._fallback = FallbackTargets(
            actions, said, is_measured=self._feedback.is_measured, is_kept=self._gripper_memory.is_kept
        )
        self._return_time_s = return_time_s
        self._no_brake: BoolArray = np.zeros(len(actions), dtype=np.bool_)
        self._must_command = any(f.kind in (ActionKind.VELOCITY, ActionKind.EFFORT) for f in actions)
        self._ready: ActionArray = np.array([f.ready for f in actions], dtype=np.float64)  # None is NaN
        self._start: ActionArray = np.full(len(actions), np.nan)
        self._is_driven = False
        self._is_seeded = False
        self._is_falling_back = False
        self._way: WayBack | None = None
        self._start_pose: ActionArray | None = None

    @property
    def stop_reason(self) -> str | None:
        """Reason to stop the robot: a feature was limited for too long; None: no reason."""
        name = self._limiter.limited_too_long
        return None if name is None else f"{name} was limited for longer than allowed"

    @property
    def limited_longest(self) -> LongestLimited | None:
        """The feature that was limited for longest; None: none is."""
        return self._limiter.limited_longest

    @property
    def limited_counts(self) -> dict[str, int]:
        """Name of a limit → ticks in which it changed a command."""
        return dict(self._limiter.counts)

    @property
    def position(self) -> ActionArray:
        """The last command, or the seed before the first, (action_dim,)."""
        return self._limiter.position

    def advance(self, directive: Directive, state: FloatArray, *, is_trusted: bool = True) -> Command:
        """Return the command of this tick.

        Args:
            directive: what the engine decided.
            state: measured state, in the order of `state_names`.
            is_trusted: it can be started from and held; without that a start waits, and so does a hold.

        Raises:
            PolicyError: a target is not finite; nothing was changed.
            StateError: PLAYING without a knot.
        """
        if directive.reseed:
            self.release()
        is_first = not self._is_driven  # it may still be moved by others, until the first command
        if is_first and is_trusted:
            self._seed(state)
        if not self._is_seeded:
            return Command(action=None, provenance=directive.provenance)
        command = self._command(directive, state if is_trusted else None)
        if command.action is None:
            return command
        self._gripper_memory.note(command.action, self._feedback.measured(state))
        return replace(command, begins_at=self._start) if is_first else command

    def take_notices(self) -> list[str]:
        """Return the warnings since the last call: numbers that do not fit a binary's encoding."""
        return self._decoder.take_notices()

    @property
    def is_at_rest(self) -> bool:
        """Whether the robot stands still without further commands: velocities and efforts are at rest."""
        gap = np.abs(self._limiter.position - self._limiter.clip(self._fallback.rest))
        return not self._is_driven or not bool((gap > SAME)[self._fallback.keeps_moving].any())

    @property
    def is_driven(self) -> bool:
        """Whether something was commanded since the start or the last pause."""
        return self._is_driven

    def release(self) -> None:
        """Count the robot as not driven until the next command: somebody else may move it."""
        self._is_driven = self._is_seeded = False

    def measured(self, state: FloatArray) -> ActionArray:
        """Return the measured value of each action, (action_dim,); NaN where nothing measures it.

        NaN also for grippers and binaries: where they are measured is not where they were told to go.
        """
        return np.where(self._gripper_memory.is_kept, np.nan, self._feedback.measured(state))

    def gap(self, left: ActionArray, right: ActionArray) -> ActionArray:
        """Return how far apart two actions are; see `Interpolator.gap`."""
        return self._interpolator.gap(left, right)

    def between(self, start: ActionArray, stop: ActionArray, share: float) -> ActionArray:
        """Return the action at a share of the way from one action to another; see `Interpolator.between`."""
        return self._interpolator.between(start, stop, share)

    def go(self, goal: ActionArray, provenance: Provenance) -> Command:
        """Return one tick's command towards `goal` without a plan; NaN: stay. Other kinds go to rest."""
        before = self._limiter.position
        fallback = self._fallback
        target = np.where(fallback.is_position, np.where(np.isfinite(goal), goal, before), fallback.rest)
        target = np.where(self._gripper_memory.is_kept | self._is_held, before, target)
        action = self._limiter.step(target, is_braking=self._no_brake)
        self._is_falling_back = True
        return Command(action=action, provenance=provenance, limited=self._limiter.limited)

    def begin_return(self, time_s: float) -> bool:
        """Begin the way back to the pose measured at the start; return whether there is one to go."""
        if self._start_pose is None or not self._is_driven:
            return False
        self._way = self._way_back(self._start_pose, time_s)
        return True

    def begin_ready(self, state: FloatArray, time_s: float) -> None:
        """Begin the way to the ready pose, in `time_s` or as long as limits want.

        It begins at the last command, or at the measured `state` if nobody drives the robot.
        """
        if not self._is_driven:
            self._seed(state)
        self._way = self._unhurried_way(self._ready, time_s)

    def go_ready(self, provenance: Provenance) -> Command:
        """Return this tick's command of the way to the ready pose."""
        begins_at, self._is_driven = None if self._is_driven else self._start, True
        return replace(self.go_back(provenance), is_moving=True, begins_at=begins_at)

    @property
    def is_back(self) -> bool:
        """Whether the way back, or to the ready pose, is complete."""
        return self._way is not None and self._way.is_over

    def go_back(self, provenance: Provenance) -> Command:
        """Return this tick's command of the way back.

        Raises:
            StateError: none was begun.
        """
        if self._way is None:
            raise StateError("no way back was begun; call begin_return() first")
        return self.go(self._way.advance(), provenance)

    def _way_back(self, goal: ActionArray, time_s: float) -> WayBack:
        ticks = round(time_s / self.tick_s)
        goal = self._limiter.clip(goal)  # it may have begun outside its bounds
        return WayBack(self._limiter.position, goal, ticks=ticks, between=self.between)

    def _command(self, directive: Directive, state: FloatArray | None) -> Command:
        motion = directive.motion
        if motion is MotionState.PLAYING:
            return self._play(directive)
        if motion is MotionState.PAUSED and self._is_driven and not self.is_at_rest:
            return self._come_to_rest(directive)
        if motion in (MotionState.PAUSED, MotionState.STOPPED):
            self.release()
            return Command(action=None, provenance=directive.provenance)
        return self._fall_back(directive, state)

    def _seed(self, state: FloatArray) -> None:
        self._is_seeded = True
        measured = self._feedback.measured(state)
        start = np.where(self._feedback.is_measured, measured, self._feedback.presumed)
        self._start = self._gripper_memory.start(start, measured)
        self._limiter.seed(self._start)
        self._interpolator.seed(self._limiter.position, self._limiter.velocity)
        self._fallback.forget()
        self._average.forget()
        if self._start_pose is None:
            self._start_pose = self.measured(state)

    def _play(self, directive: Directive) -> Command:
        knot = directive.knot
        if knot is None:
            raise StateError("a directive to play carries a knot; nothing was commanded")
        if self._is_falling_back:
            self._interpolator.seed(self._limiter.position, self._limiter.velocity)
            self._average.forget()
        self._is_falling_back = False
        self._fallback.forget()
        target = self._interpolator.advance(
            knot, directive.next_knot, begin=directive.begin, end=directive.end, step_s=directive.step_s
        )
        target = self._average.advance(self._decoder.decode(target, self._limiter.position))
        target = np.where(self._is_held, self._limiter.position, target)
        action = self._limiter.step(target, is_braking=self._no_brake, share=self._share(directive))
        self._is_driven = True
        return Command(action=action, provenance=directive.provenance, limited=self._limiter.limited)

    def _come_to_rest(self, directive: Directive) -> Command:
        """Ramp velocities, deltas and efforts to rest; positions brake, binaries stay."""
        fallback = self._fallback
        target = np.where(fallback.keeps_moving, fallback.rest, self._limiter.position)
        action = self._limiter.step(target, is_braking=fallback.is_position, share=self._share(directive))
        return Command(action=action, provenance=directive.provenance, limited=self._limiter.limited)

    def _fall_back(self, directive: Directive, state: FloatArray | None) -> Command:
        if not self._is_driven and not (self._must_command and self._limiter.is_known):
            return Command(action=None, provenance=directive.provenance)
        before = self._limiter.position
        may_return = directive.motion is MotionState.FALLBACK  # nobody has it go before the first plan
        if state is not None and self._limiter.is_standing and not self._fallback.is_settled:
            way = self._fallback_way() if may_return else None
            self._fallback.settle(before, self._limiter.clip(self._feedback.measured(state)), way)
        target, is_braking = self._fallback.advance(before)
        action = self._limiter.step(target, is_braking=is_braking, share=self._share(directive))
        self._is_driven = True
        self._is_falling_back = True
        # until it is settled it stands for a tick, and then moves to the measured pose
        moved = not self._fallback.is_settled or bool((self.gap(action, before) > SAME).any())
        return Command(
            action=action, provenance=directive.provenance, limited=self._limiter.limited, is_moving=moved
        )

    def _fallback_way(self) -> WayBack | None:
        """Return the way back of those actions whose fallback it is."""
        goal = None if self._start_pose is None else self._fallback.goal(self._start_pose)
        return None if goal is None else self._unhurried_way(goal, self._return_time_s)

    def _unhurried_way(self, goal: ActionArray, time_s: float) -> WayBack:
        """Return a way from the last command, as long as the limits want it but not shorter than `time_s`."""
        last = self._limiter.position
        far = self.gap(last, np.where(np.isnan(goal), last, self._limiter.clip(goal)))
        return self._way_back(goal, max(time_s, shortest_s(far, self._actions)))

    def _share(self, directive: Directive) -> float:
        return self.tick_s / directive.step_s if directive.step_s > 0.0 else 1.0
