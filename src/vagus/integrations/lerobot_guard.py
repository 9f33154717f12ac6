"""Between LeRobot's strategies and the robot: a command that is merely repeated moves nothing.

LeRobot holds a paused robot by sending the last action again. To a velocity that is no hold: it drives on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

__all__ = ["GuardedRobot", "WatchedStep"]

Action: TypeAlias = "dict[str, object]"
Transition: TypeAlias = "tuple[Action, Mapping[str, object]]"


class ActionStep(Protocol):
    """LeRobot's `robot_action_processor`: (action, observation) → what is sent."""

    def __call__(self, transition: Transition) -> Action:
        """Process one action."""
        ...


class RobotWrapper(Protocol):
    """What is needed of LeRobot's thread-safe robot."""

    def send_action(self, action: Action) -> object:
        """Command the robot."""
        ...


class GuardedRobot:
    """Sends an action as it is if it was computed since the last one, else with its velocities at rest.

    Every strategy passes an action through `robot_action_processor` before it sends it, but for the action
    that it repeats to hold a paused robot. So that processor is watched, and every command comes through
    here.

    Args:
        robot: LeRobot's wrapper around the connected robot.
        at_rest: name whose repetition would keep the robot moving → value at which it stands.
    """

    def __init__(self, robot: RobotWrapper, at_rest: Mapping[str, float]) -> None:
        self._robot = robot
        self._at_rest = dict(at_rest)
        self._is_fresh = False

    def note_fresh(self) -> None:
        """An action was computed; the next command is no repetition."""
        self._is_fresh = True

    def note_pause(self) -> None:
        """What was computed and not sent is not fresh any more."""
        self._is_fresh = False

    def send_action(self, action: Action) -> object:
        """Command the robot."""
        is_fresh, self._is_fresh = self._is_fresh, False
        if is_fresh:
            return self._robot.send_action(action)
        return self._robot.send_action({name: self._at_rest.get(name, v) for name, v in action.items()})

    def __getattr__(self, name: str) -> object:
        return getattr(self._robot, name)


class WatchedStep:
    """A processing step of LeRobot that tells when it is called."""

    def __init__(self, step: ActionStep, on_call: Callable[[], None]) -> None:
        self._step = step
        self._on_call = on_call

    def __call__(self, transition: Transition) -> Action:
        """Process one action."""
        self._on_call()
        return self._step(transition)

    def __getattr__(self, name: str) -> object:
        return getattr(self._step, name)
