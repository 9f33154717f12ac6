"""World protocol: what an episode needs of a simulated world whose time passes step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["World"]


class World(Protocol):
    """A simulated world in which one robot acts. Time passes only in `advance`."""

    @property
    def spec(self) -> RobotSpec:
        """The robot in the world; one command is one step, `rate_hz` steps per second."""
        ...

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is over in any case."""
        ...

    @property
    def chances(self) -> int:
        """Number of things in an episode that succeed or fail, at least 1."""
        ...

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed: the same one for every way of playing chunks."""
        ...

    def state(self) -> FloatArray:
        """Return the measured state, (state_dim,)."""
        ...

    def images(self) -> Mapping[str, Image]:
        """Return the camera frames of this moment."""
        ...

    def advance(self, action: ActionArray | None) -> None:
        """Let one step pass.

        Args:
            action: the command, (action_dim,), in the robot's order; None: nothing is commanded, and the
                robot does what it does then.
        """
        ...

    @property
    def is_over(self) -> bool:
        """Whether the episode is over."""
        ...

    @property
    def successes(self) -> int:
        """How many of the `chances` succeeded so far."""
        ...

    def close(self) -> None:
        """Release the world."""
        ...
