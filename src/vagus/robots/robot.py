"""The robot protocol, and calls into a driver."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from vagus.errors import RobotError, SpecError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["ARGUMENTS", "EpisodicRobot", "Robot", "call_whole", "check_callable", "robot_call", "uncallable"]

ARGUMENTS = {"connect": 0, "read_state": 0, "read_images": 0, "command": 1, "stop": 0, "close": 0}
"""What the loop calls, and with how many arguments."""


class Robot(Protocol):
    """A robot that takes one action per tick.

    `read_state`, `command` and `stop` are called by the control thread, `read_images` by the camera thread,
    at the same time as the others. When the control thread is stuck in a call, `stop` is called from another
    thread; it must not wait for that call.

    What the loop hands over is the driver's: it may keep and change it. What the driver returns stays the
    driver's: the loop copies it at once, so buffers may be used again for the next reading or frame.
    """

    @property
    def spec(self) -> RobotSpec:
        """Names, units, kinds, limits and cameras; known before `connect`."""
        ...

    def connect(self) -> None:
        """Open the hardware. Nothing moves.

        Raises:
            RobotError: it is not there, or not ready.
        """
        ...

    def read_state(self) -> FloatArray:
        """Return the measured state in the order of the spec, (state_dim,), float32.

        Raises:
            RobotError: no reading in this tick; the loop bears with `max_bad_readings` in a row.
        """
        ...

    def read_images(self) -> Mapping[str, Image]:
        """Return the newest frame of every camera, RGB uint8 (height, width, 3).

        Raises:
            RobotError: a camera gave no frame; this request is skipped and counted. First frames that are not
                what the spec says end the run.
        """
        ...

    def command(self, action: ActionArray) -> None:
        """Take one limited action, (action_dim,), float64, in the order of the spec.

        Raises:
            RobotError: the hardware refused; the loop stops the robot.
        """
        ...

    def stop(self) -> None:
        """Bring the robot to a safe stand and take no further command. Twice is harmless."""
        ...

    def close(self) -> None:
        """Release the hardware. Twice is harmless."""
        ...


@runtime_checkable
class EpisodicRobot(Robot, Protocol):
    """A robot that knows when an episode is over, such as a simulation; the loop then begins the next."""

    @property
    def is_episode_over(self) -> bool:
        """Say whether the episode has ended; no command is sent before `begin_episode`."""
        ...

    def begin_episode(self) -> None:
        """Begin the next episode, wherever the robot is then; on the control thread.

        The loop also calls it when it ends an episode itself.

        Raises:
            RobotError: it cannot; the loop stops the robot.
        """
        ...


@contextmanager
def robot_call(what: str) -> Iterator[None]:
    """Turn whatever a driver raises, SystemExit and a Rust panic too, into a RobotError that names the call.

    But for KeyboardInterrupt: a library's own answer to Ctrl-C.
    """
    try:
        yield
    except (RobotError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RobotError(f"{what}: {type(error).__name__}: {quoted(error)}") from error


def uncallable(robot: object) -> list[str]:
    """Return, in words, each method that the loop could call in vain; none for a driver that is well.

    Said before anything moves: a `stop` that does not run is noticed too late at the end.
    """
    troubles = (_trouble(name, getattr(robot, name, None), count) for name, count in ARGUMENTS.items())
    return [trouble for trouble in troubles if trouble]


def check_callable(robot: object) -> None:
    """Raise SpecError unless the loop can call all that it has to."""
    lacking = uncallable(robot)
    if lacking:
        raise SpecError("robot", wanted="methods that the loop can call", got="; ".join(lacking))


def call_whole(what: str, call: Callable[..., object], *arguments: object) -> None:
    """Call. RobotError if that only returned what is still to be run: nothing has happened then."""
    answer = call(*arguments)
    if answer is not None and (inspect.isawaitable(answer) or inspect.isgenerator(answer)):
        close = getattr(answer, "close", None)
        if callable(close):
            close()
        raise RobotError(f"{what}: it did not run, it returned a {type(answer).__name__}; {PLAIN}")


PLAIN = "wanted a plain function that returns once it is done (asyncio.run(…) inside, not async def)"


def _trouble(name: str, method: object, count: int) -> str:
    if not callable(method):
        return f"no {name}"
    is_deferred = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_it(method) for is_it in is_deferred):
        return f"{name} does not run when it is called: {PLAIN}"
    try:
        inspect.signature(method).bind(*range(count))
    except ValueError:
        return ""  # made in another language, which does not tell
    except TypeError as error:
        return f"{name} cannot be called with {count} argument{'s' * (count != 1)}: {quoted(error)}"
    return ""
