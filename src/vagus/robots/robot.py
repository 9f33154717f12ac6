"""Robot protocol, and safe calls into a driver."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from vagus.errors import RobotError, SpecError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Frame

__all__ = [
    "ARGUMENTS",
    "EpisodicRobot",
    "FiniteRobot",
    "Robot",
    "call_whole",
    "check_callable",
    "check_stop",
    "robot_call",
    "uncallable",
]

ARGUMENTS = {"connect": 0, "read_state": 0, "read_images": 0, "command": 1, "stop": 0, "close": 0}
"""Methods that the loop calls, with their number of arguments."""


class Robot(Protocol):
    """A robot that takes one action per tick.

    The control thread calls `read_state`, `command` and `stop`; at the same time, the camera thread calls
    `read_images`. If a call does not return to the control thread, another thread calls `stop`, which must
    not wait for that call.

    The driver may keep and change the arrays that the loop gives to it. The loop copies the arrays that the
    driver returns at once, so the driver may use its buffers again for the next reading or frame.
    """

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot: names, units, kinds, limits and cameras; known before `connect`."""
        ...

    def connect(self) -> None:
        """Connect to the hardware; the robot does not move.

        Raises:
            RobotError: the hardware is missing or not ready.
        """
        ...

    def read_state(self) -> FloatArray:
        """Return the measured state in the order of the spec, (state_dim,), float32.

        Raises:
            RobotError: no reading in this tick; the loop accepts up to `max_bad_readings` in a row.
        """
        ...

    def read_images(self) -> Mapping[str, Frame]:
        """Return the newest frame of every camera, RGB uint8 (height, width, 3), and of every depth camera.

        A frame of a depth camera is uint16 (height, width), 0 where nothing was measured. One call is one
        moment: take a colour frame and its depth frame at the same time.

        Raises:
            RobotError: a camera gave no frame; this request is skipped and counted. If the first
                frames do not match the spec, the run ends.
        """
        ...

    def command(self, action: ActionArray) -> None:
        """Send one limited action to the hardware, (action_dim,), float64, in the order of the spec.

        Raises:
            RobotError: the hardware did not accept the action; the loop stops the robot.
        """
        ...

    def stop(self) -> None:
        """Bring the robot to a safe standstill and accept no further command. May be called twice."""
        ...

    def close(self) -> None:
        """Release the hardware. May be called twice."""
        ...


@runtime_checkable
class EpisodicRobot(Robot, Protocol):
    """A robot that knows when an episode is over, such as a simulation; the loop then begins the next."""

    @property
    def is_episode_over(self) -> bool:
        """Return whether the episode has ended; no command is sent before `begin_episode`."""
        ...

    def begin_episode(self) -> None:
        """Begin the next episode from the present position of the robot; on the control thread.

        The loop also calls it when it ends an episode itself.

        Raises:
            RobotError: the episode cannot begin; the loop stops the robot.
        """
        ...


@runtime_checkable
class FiniteRobot(EpisodicRobot, Protocol):
    """A robot that has only so many episodes, such as a recording; after the last, the run is over."""

    @property
    def recorded_episodes(self) -> int:
        """Number of episodes, at least one."""
        ...


@contextmanager
def robot_call(what: str) -> Iterator[None]:
    """Convert every error of a driver, also SystemExit and a Rust panic, to a RobotError that names the call.

    KeyboardInterrupt is not converted: a library may raise it on Ctrl-C.
    """
    try:
        yield
    except (RobotError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RobotError(f"{what}: {type(error).__name__}: {quoted(error)}") from error


def uncallable(robot: object) -> list[str]:
    """Return a description of each method that the loop cannot call; empty for a correct driver.

    Checked before anything moves: at the end of a run it would be too late to notice that `stop` does
    nothing.
    """
    troubles = (_trouble(name, getattr(robot, name, None), count) for name, count in ARGUMENTS.items())
    return [trouble for trouble in troubles if trouble]


def check_callable(robot: object) -> None:
    """Raise SpecError unless the loop can call every method that it needs."""
    lacking = uncallable(robot)
    if lacking:
        raise SpecError("robot", wanted="methods that the loop can call", got="; ".join(lacking))


def check_stop(stop: object) -> None:
    """Raise SpecError unless the loop can call a function that stops a robot."""
    trouble = _trouble("stop", stop, 0)
    if trouble:
        raise SpecError(
            "stop", wanted="a function without arguments that brings the robot to a stand", got=trouble
        )


def call_whole(what: str, call: Callable[..., object], *arguments: object) -> None:
    """Call a method. Raise RobotError if it only returned a coroutine or generator, so that nothing ran."""
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
