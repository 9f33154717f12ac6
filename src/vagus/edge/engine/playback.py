"""Plays the plan: the action of this tick, and which part of its step the tick covers."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.plan import Plan, PlanAction, playable_actions
from vagus.edge.handoff import Source
from vagus.errors import ConfigError
from vagus.types import ActionArray, ActionChunk, Directive, LinkState, MotionState, Provenance

__all__ = [
    "Gap",
    "Playback",
    "Playing",
    "Shortage",
    "StepClock",
    "TickPhase",
    "hold_directive",
    "plain_gap",
    "play_directive",
]

MAX_PREFIX = 4096
"""Most actions that are kept for prefixes: it bounds the cost of a merge."""
MAX_DENOMINATOR = 1_000_000
"""Largest denominator of the ratio of the rates: beyond it the ratio of floats is noise."""

Gap: TypeAlias = Callable[[ActionArray, ActionArray], ActionArray]
"""Function that returns how far apart two actions are, feature by feature, (action_dim,)."""


def plain_gap(left: ActionArray, right: ActionArray) -> ActionArray:
    """Return the difference where every feature is a plain number."""
    return np.abs(left - right)


class Shortage(enum.Enum):
    """Reason why there is no action to play."""

    STARVED = "starved"
    """The plan is empty."""
    STALE = "stale"
    """The next action's observation is too old."""


@dataclass(frozen=True, slots=True)
class Playing:
    """Playback of one tick: an action, the one after it, and the tick's share of the step."""

    action: PlanAction
    next_knot: ActionArray | None
    begin: float
    end: float


class TickPhase:
    """Divides steps into ticks of equal length; one across a boundary belongs to the step that it ends in."""

    def __init__(self, *, step_rate_hz: float, tick_rate_hz: float) -> None:
        """Prepare for `tick_rate_hz` ticks and `step_rate_hz` policy steps per second.

        Raises:
            ConfigError: the robot ticks slower than the policy steps.
        """
        ratio = (Fraction(step_rate_hz) / Fraction(tick_rate_hz)).limit_denominator(MAX_DENOMINATOR)
        if ratio > 1:
            raise ConfigError(
                "rate_hz",
                wanted=f"a robot that ticks at least as fast as the policy steps ({step_rate_hz:g} Hz)",
                got=f"{tick_rate_hz:g} Hz",
                fix="raise the robot's rate or lower rate_hz",
            )
        self._advance, self._whole = ratio.numerator, ratio.denominator
        self._position = 0

    def restart(self) -> None:
        """Begin a step at the next tick."""
        self._position = 0

    def tick(self) -> tuple[float, float, bool]:
        """Advance by one tick; return the phase at its begin and end, and whether the step is done.

        The begin is negative where the tick began in the step before. A step is done where the next tick
        would end in the following one.
        """
        begin = self._position / self._whole
        self._position += self._advance
        end = self._position / self._whole
        is_done = self._position + self._advance > self._whole
        if is_done:
            self._position -= self._whole
        return begin, end, is_done


class StepClock:
    """Clock of the policy steps (plan clock `time`): which step is due now."""

    def __init__(self, *, step_rate_hz: float, tick_rate_hz: float) -> None:
        self._rate = Fraction(step_rate_hz).limit_denominator(MAX_DENOMINATOR)
        self._half_tick_ns = round(NS_PER_S / tick_rate_hz / 2)
        self._anchor: tuple[int, int] | None = None  # a step, and when it was due

    def restart(self) -> None:
        """Forget the anchor; the next `anchor` sets it."""
        self._anchor = None

    def anchor(self, step: int, now_ns: int) -> None:
        """Let `step` fall due at `now_ns`, unless an anchor stands already."""
        if self._anchor is None:
            self._anchor = step, now_ns

    def due_step(self, now_ns: int) -> int | None:
        """Return the step that is due at the tick nearest `now_ns`, or None before an anchor stands."""
        if self._anchor is None:
            return None
        step, due_ns = self._anchor
        elapsed_ns = now_ns + self._half_tick_ns - due_ns  # half a tick: jitter must not skip a step
        return step + int(elapsed_ns * self._rate / NS_PER_S)


class Playback:
    """Plan, step and phase.

    The step advances when an action is taken to be commanded (plan clock `step`), or with the local clock
    (plan clock `time`).
    """

    def __init__(
        self, config: EdgeConfig, *, step_rate_hz: float, tick_rate_hz: float, prefix_horizon: int = 0
    ) -> None:
        """Start with an empty plan at step 0.

        Args:
            config: settings.
            step_rate_hz: policy steps per second.
            tick_rate_hz: robot ticks per second.
            prefix_horizon: a request may want so much of the plan, whether it can be played or not.

        Raises:
            ConfigError: the robot ticks slower than the policy steps.
        """
        playable = playable_actions(config.max_action_age_s, step_rate_hz)
        self.plan = Plan(max_actions=max(playable, min(prefix_horizon, MAX_PREFIX)))
        self.step = 0
        self.executed = 0
        self.horizon = 0
        """Actions in the chunk that was merged last."""
        self.step_ns = round(NS_PER_S / step_rate_hz)
        self.counters: Counter[str] = Counter()
        self._max_age_ns = seconds_to_ns(config.max_action_age_s)
        self._is_timed = config.plan_clock is PlanClock.TIME
        self._phase = TickPhase(step_rate_hz=step_rate_hz, tick_rate_hz=tick_rate_hz)
        self._clock = StepClock(step_rate_hz=step_rate_hz, tick_rate_hz=tick_rate_hz)
        self._current: PlanAction | None = None
        self._last_knot: ActionArray | None = None

    # -- playing ----------------------------------------------------------------------------------------

    @property
    def is_at_boundary(self) -> bool:
        """Whether this tick begins a policy step."""
        return self._current is None

    def follow_clock(self, now_ns: int) -> None:
        """With plan clock `time`, let the actions that fell due pass, the one in play included."""
        due = self._clock.due_step(now_ns) if self._is_timed else None
        if due is None:
            return
        if self._current is not None and due > self._current.step:
            self.let_go()
        if due > self.step:
            self.counters["passed_by_clock"] += self.plan.drop_before(due)
            self.step = due

    def anchor_clock(self, now_ns: int) -> None:
        """Start the clock with the present step, unless it runs already."""
        self._clock.anchor(self.step, now_ns)

    def shortage(self, now_ns: int) -> Shortage | None:
        """Return why the action in play, or else the next one, must not be played; None if it may."""
        action = self._current or self.plan.peek()
        if action is None:
            return Shortage.STARVED
        return Shortage.STALE if action.is_stale(now_ns, self._max_age_ns) else None

    def take(self) -> PlanAction:
        """Take the next action out of the plan, and return it; it is in play until its step is done."""
        self._current = self.plan.pop()
        self.step = self._current.step + 1
        self.executed += 1
        return self._current

    def play(self) -> Playing:
        """Play one tick of the action in play."""
        action = self._current
        assert action is not None, "take() first"  # noqa: S101 - the engine takes before it plays
        begin, end, is_done = self._phase.tick()
        if is_done:
            self._current = None
        self._last_knot = action.robot
        following = self.plan.peek()
        return Playing(action, None if following is None else following.robot, begin, end)

    def playback_left_ns(self, now_ns: int) -> int:
        """Return how long the plan can be played from now on before it runs out or grows stale."""
        return self.plan.playable(now_ns, self._max_age_ns, self.step_ns) * self.step_ns

    def is_near(self, pose: ActionArray, *, tolerance: float, gap: Gap = plain_gap) -> bool:
        """Whether the plan could go on from a robot at `pose`, (action_dim,), NaN where nothing measures it.

        Each measured feature must lie within `tolerance` of the last action played, in its own unit; `gap`
        says how far that is.
        """
        if self._last_knot is None or not len(self.plan):
            return False
        known = np.isfinite(pose)
        return bool(known.any() and (gap(pose, self._last_knot)[known] <= tolerance).all())

    # -- changing the plan ------------------------------------------------------------------------------

    def merge(self, chunk: ActionChunk, source: Source, mode: MergeMode, now_ns: int) -> None:
        """Take over a chunk from the next step on; the action in play is not touched."""
        if mode is MergeMode.FINISH:
            self.plan.finish(
                chunk,
                source,
                next_step=self.step,
                now_ns=now_ns,
                max_age_ns=self._max_age_ns,
                step_ns=self.step_ns,
            )
        else:
            self.plan.replace(chunk, source, next_step=self.step)
        self.executed, self.horizon = 0, len(chunk)

    def let_go(self) -> None:
        """End the action in play where it is; the next tick begins a step."""
        self._current = None
        self._phase.restart()

    def drop_plan(self) -> None:
        """Forget all that was planned."""
        self.plan.clear()
        self.let_go()

    def begin_episode(self) -> None:
        """Forget the plan and count steps from 0 again."""
        self.drop_plan()
        self.step = 0
        self._last_knot = None
        self.restart_clock()

    def restart_clock(self) -> None:
        """Let the next request say which step is due (plan clock `time`)."""
        self._clock.restart()


def play_directive(
    playing: Playing, *, now_ns: int, episode: int, link: LinkState, step_s: float, reseed: bool
) -> Directive:
    """Return the directive to play this tick's share of a plan action."""
    action, source = playing.action, playing.action.source
    age_ns = now_ns - source.captured_ns
    motion = MotionState.PLAYING
    return Directive(
        motion=motion,
        provenance=Provenance(
            source.epoch, source.seq, episode, action.step, action.index, age_ns, link, motion
        ),
        knot=action.robot,
        next_knot=playing.next_knot,
        begin=playing.begin,
        end=playing.end,
        step_s=step_s,
        reseed=reseed,
    )


def hold_directive(
    motion: MotionState, *, episode: int, link: LinkState, step_s: float, reseed: bool
) -> Directive:
    """Return the directive of a tick without a plan action."""
    provenance = Provenance(None, None, episode, None, None, None, link, motion)
    return Directive(motion, provenance, step_s=step_s, reseed=reseed)
