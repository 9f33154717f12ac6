"""Guards the robot from LeRobot's strategies: what nobody commands comes to rest.

LeRobot holds a paused robot by sending the last action again, or by sending nothing. To a velocity neither is
a hold: it drives on.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeAlias

from vagus.clock import Clock, MonotonicClock, seconds_to_ns
from vagus.errors import RobotError
from vagus.integrations.lerobot.rollout.oversight import Overseer, Unwatched
from vagus.integrations.lerobot.rollout.senses import Observation
from vagus.threads import Supervised

__all__ = ["LEFT_AFTER_S", "GuardedRobot", "WatchedStep", "watch_idle"]

logger = logging.getLogger(__name__)

Action: TypeAlias = "dict[str, float]"
Transition: TypeAlias = "tuple[Action, Mapping[str, object]]"

LEFT_AFTER_S = 0.25
"""Time without a command after which a moving robot is stopped, e.g. while LeRobot waits for a disk."""
WATCH_S = 0.05
"""Longest delay before that is noticed."""


class ActionStep(Protocol):
    """LeRobot's `robot_action_processor`: (action, observation) → what is sent."""

    def __call__(self, transition: Transition) -> Action:
        """Process one action."""
        ...


class CommandedDevice(Protocol):
    """Interface of a LeRobot robot itself."""

    @property
    def is_connected(self) -> bool:
        """Whether the robot takes commands."""
        ...

    def send_action(self, action: Action) -> object:
        """Command the robot."""
        ...


class RobotWrapper(Protocol):
    """Interface of LeRobot's thread-safe robot."""

    @property
    def inner(self) -> CommandedDevice:
        """The robot itself, past the lock."""
        ...

    def get_observation(self) -> Observation:
        """Read everything."""
        ...

    def send_action(self, action: Action) -> object:
        """Command the robot."""
        ...


class GuardedRobot:
    """Guards a robot: an action that is repeated is sent with its velocities at rest.

    Every strategy passes an action through `robot_action_processor` before it sends it, but for those that it
    makes up: the last one once more, and ways to a pose. So that processor is watched, and what it returns is
    sent as it is, once. A robot that is read twice without a command in between, or left alone, is sent its
    last action with the velocities at rest. The positions in it are where it was sent last, by whomever: it
    does not move to them.

    All methods but `halt_if_left` and `stop_beside` belong to the thread that runs the loop.

    Args:
        robot: LeRobot's wrapper around the connected robot.
        at_rest: name whose last command keeps the robot moving → value at which it stands.
        judge: is handed what reads the robot, and returns what LeRobot is to believe.
        left_after_s: longest that a velocity is kept without a command.
        clock: tells the time.
        overseer: notices a call that hangs.

    Attributes:
        on_sent: told of each command how long it took, in ns.
    """

    def __init__(
        self,
        robot: RobotWrapper,
        at_rest: Mapping[str, float],
        *,
        judge: Callable[[Callable[[], Observation]], Observation] = lambda read: read(),
        left_after_s: float = LEFT_AFTER_S,
        clock: Clock | None = None,
        overseer: Overseer | None = None,
    ) -> None:
        self._robot = robot
        self._at_rest = dict(at_rest)
        self._judge = judge
        self.on_sent: Callable[[int], None] = lambda _: None
        self._left_after_ns = seconds_to_ns(left_after_s)
        self._clock = clock or MonotonicClock()
        self._overseer = overseer or Unwatched()
        self._lock = threading.Lock()  # the watch commands too
        self._computed: Action | None = None
        self._sent: Action = {}
        self._sent_ns = 0
        self._is_unanswered = False

    def note_computed(self, action: Action) -> None:
        """Note that an action was computed: sent next, it is no repetition."""
        self._computed = action

    def get_observation(self) -> Observation:
        """Read the robot; stop it first if nobody has commanded it since the last reading.

        Raises:
            RobotError: the reading cannot be used.
        """
        if self._is_unanswered:
            self.halt()
        self._is_unanswered = True
        with self._overseer.call("robot.get_observation()"):
            return self._judge(self._robot.get_observation)

    def send_action(self, action: Action) -> object:
        """Command the robot.

        Raises:
            RobotError: a number is not finite; LeRobot makes such an action from a reading that is not.
        """
        computed, self._computed = self._computed, None
        self._is_unanswered = False
        commanded = {**self._at_rest, **action} if action is computed else {**action, **self._at_rest}
        broken = [name for name, value in commanded.items() if not _is_finite(value)]
        if broken:
            raise RobotError(f"action: wanted finite numbers, got others for {broken}")
        with self._overseer.commanding(), self._lock:
            done = self._send(commanded)
        self.on_sent(self._clock.now_ns() - self._sent_ns)
        return done

    def halt(self) -> None:
        """Stop the robot where it is; a robot that stops by itself gets no command."""
        self._computed = None
        with self._overseer.commanding(), self._lock:
            if self._at_rest and self._sent:
                self._send({**self._sent, **self._at_rest})

    def halt_if_left(self) -> None:
        """Stop a moving robot that nobody has commanded for a while (any thread)."""
        with self._lock:
            is_moving = any(self._sent.get(name, value) != value for name, value in self._at_rest.items())
            if is_moving and self._clock.now_ns() - self._sent_ns > self._left_after_ns:
                logger.warning("nobody commands the robot; it is brought to a stand")
                self._send({**self._sent, **self._at_rest})

    def stop_beside(self) -> None:
        """Stop a robot that would go on moving, without waiting for a call that is stuck (any thread)."""
        inner = self._robot.inner
        if self._at_rest and self._sent and inner.is_connected:
            inner.send_action({**self._sent, **self._at_rest})

    def _send(self, action: Action) -> object:
        self._sent_ns = self._clock.now_ns()
        done = self._robot.send_action(action)
        self._sent = {**self._sent, **action}
        return done

    def __getattr__(self, name: str) -> object:
        return getattr(self._robot, name)


class WatchedStep:
    """A processing step of LeRobot that tells what it returns."""

    def __init__(self, step: ActionStep, on_return: Callable[[Action], None]) -> None:
        self._step = step
        self._on_return = on_return

    def __call__(self, transition: Transition) -> Action:
        """Process one action."""
        action = self._step(transition)
        self._on_return(action)
        return action

    def __getattr__(self, name: str) -> object:
        return getattr(self._step, name)


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type] # a teleoperator may send what is no number
    except TypeError:
        return True


@contextlib.contextmanager
def watch_idle(guard: GuardedRobot) -> Iterator[None]:
    """Watch a robot on a thread of its own: LeRobot's may be busy for seconds with something else."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_S):
            try:
                guard.halt_if_left()
            except BaseException:  # noqa: PERF203 - it is tried again
                logger.critical("the robot could not be brought to a stand", exc_info=True)

    thread = Supervised(watch, name="vagus-guard")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
