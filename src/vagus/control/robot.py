"""What a robot is to the control loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from vagus.errors import RobotError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["EpisodicRobot", "Robot", "robot_call"]


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
