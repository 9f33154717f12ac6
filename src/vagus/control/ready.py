"""The way to the ready pose before an episode: slow, limited, and given up as soon as a human takes over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind
from vagus.types import Command, Directive, MotionState

__all__ = ["ReadyWay", "check_ready"]

logger = logging.getLogger(__name__)


def check_ready(actions: Sequence[ActionFeature]) -> None:
    """Raise SpecError unless there is a ready pose, and it is known where the way to it begins.

    Args:
        actions: a robot's, with resolved feedback.

    Raises:
        SpecError: as said.
    """
    if all(feature.ready is None for feature in actions):
        raise SpecError(
            "move_to_ready",
            wanted="a ready pose of the robot",
            got="none",
            fix="state `ready: {joint: …}` in its mapping file, or ready=… in its spec",
        )
    blind = [f.name for f in actions if not f.is_measured and _has_place(f)]
    if blind:
        raise SpecError("move_to_ready", wanted="a measurement of every place", got=f"none of {blind}")


def _has_place(feature: ActionFeature) -> bool:
    is_place = feature.kind in (ActionKind.POSITION, ActionKind.BINARY)
    return is_place and feature.safe is None


class PausedEngine(Protocol):
    """What the way needs of the engine."""

    @property
    def motion(self) -> MotionState:
        """Motion state."""
        ...

    def pause(self, now_ns: int) -> None:
        """Pause: no plan is played and none is asked for."""
        ...

    def resume(self, now_ns: int) -> bool:
        """Go on with a fresh plan."""
        ...


class ReadyWay:
    """Moves the robot to its ready pose while the engine is paused, and then lets the engine go on.

    Args:
        engine: is paused on the way.
        motion: knows the ready pose, and limits the way.
        time_s: shortest time of the way; None: no way is wanted.
    """

    def __init__(self, engine: PausedEngine, motion: Motion, time_s: float | None) -> None:
        self._engine = engine
        self._motion = motion
        self._time_s = time_s
        self._is_due = False
        """The way begins at the next good reading."""
        self.is_going = False

    def begin(self, now_ns: int) -> None:
        """Begin the way, if one is wanted and no human has the robot."""
        state = self._engine.motion
        is_theirs = state is MotionState.PAUSED and not self.is_going
        if self._time_s is None or is_theirs or state is MotionState.STOPPED:
            return
        if not self.is_going:
            self._engine.pause(now_ns)
        self.is_going = self._is_due = True

    def give_up(self) -> bool:
        """Leave the robot where it is on the way, paused; return whether it was on the way."""
        was_going, self.is_going = self.is_going, False
        return was_going

    def advance(self, now_ns: int, directive: Directive, reading: Reading) -> Command | None:
        """Return this tick's command on the way and at its end; None: the robot is not on the way.

        Args:
            now_ns: monotonic time of the tick.
            directive: of the engine; what is not paused any more was resumed by a human.
            reading: the state of this tick.
        """
        if not self.is_going or self._time_s is None:
            return None
        if directive.motion is not MotionState.PAUSED:
            self.is_going = False
            return None
        waiting = replace(directive.provenance, motion=MotionState.WAITING)  # for the robot, not for a human
        if self._is_due:
            if not reading.is_trusted:
                return Command(action=None, provenance=waiting)
            self._motion.begin_ready(reading.steady, self._time_s)
            self._is_due = False
            logger.info("moving to the ready pose")
        if self._motion.is_back:
            self.is_going = False
            self._engine.resume(now_ns)
            logger.info("at the ready pose")
            return Command(action=None, provenance=waiting)
        return self._motion.go_ready(waiting)
