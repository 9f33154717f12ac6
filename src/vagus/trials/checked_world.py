"""A world whose words are checked, and whose failures say in which episode and step they were. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from vagus.control.frames import checked_frame
from vagus.errors import RobotError, VagusError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.trials.world import World
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["CheckedWorld"]

AnswerT = TypeVar("AnswerT")


class CheckedWorld:
    """Passes on what a world says, unless that is impossible: a study would count it all the same.

    Args:
        world: a world that somebody wrote.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._seed: int | None = None
        self._steps = 0

    @property
    def spec(self) -> RobotSpec:
        """The robot in the world."""
        return self._world.spec

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is over in any case."""
        return self._world.max_steps

    @property
    def chances(self) -> int:
        """Number of things in an episode that succeed or fail."""
        return self._world.chances

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed.

        Raises:
            RobotError: the world fails.
        """
        self._seed, self._steps = seed, 0
        self._asked("reset", lambda: self._world.reset(seed))

    def state(self) -> FloatArray:
        """Return the measured state, (state_dim,).

        Raises:
            RobotError: the world fails, or gives other than so many finite numbers.
        """
        state, count = self._asked("state", lambda: np.asarray(self._world.state())), len(self.spec.state)
        if state.shape != (count,) or not self._asked("state", lambda: bool(np.isfinite(state).all())):
            raise self._wrong("state", f"{count} finite numbers", quoted(state.tolist()))
        return state

    def images(self) -> Mapping[str, Image]:
        """Return the camera frames of this moment.

        Raises:
            RobotError: the world fails, or a frame is not as its camera's spec says.
        """
        frames = self._asked("images", lambda: dict(self._world.images()))
        cameras = (camera for camera in self.spec.cameras if camera.name in frames)
        return {camera.name: checked_frame(camera, frames[camera.name]) for camera in cameras}

    def advance(self, action: ActionArray | None) -> None:
        """Let one step pass.

        Raises:
            RobotError: the world fails.
        """
        self._steps += 1
        self._asked("advance", lambda: self._world.advance(action))

    @property
    def is_over(self) -> bool:
        """Whether the episode is over."""
        return self._asked("is_over", lambda: bool(self._world.is_over))

    @property
    def successes(self) -> int:
        """How many of the chances succeeded so far.

        Raises:
            RobotError: the world fails, or says what is no such number.
        """
        said = self._asked("successes", lambda: self._world.successes)
        whole = self._asked("successes", lambda: int(said) if said == said // 1 else -1)
        if not 0 <= whole <= self.chances:
            raise self._wrong("successes", f"a whole number from 0 to {self.chances}", quoted(repr(said)))
        return whole

    def close(self) -> None:
        """Release the world.

        Raises:
            RobotError: the world fails.
        """
        self._asked("close", self._world.close)

    def _asked(self, what: str, ask: Callable[[], AnswerT]) -> AnswerT:
        try:
            return ask()
        except VagusError:
            raise
        except (Exception, SystemExit) as error:  # the end of somebody else's code is no success of ours
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename.rpartition('/')[2]}, line {last.lineno}"
            got = f"{type(error).__name__}: {quoted(error)} ({where})"
            raise RobotError(f"{self._named(what)}: {got}") from error

    def _wrong(self, what: str, wanted: str, got: str) -> RobotError:
        return RobotError(f"{self._named(what)}: wanted {wanted}, got {got}")

    def _named(self, what: str) -> str:
        episode = "" if self._seed is None else f", step {self._steps} of the episode of seed {self._seed}"
        return f"world, {what}{episode}"
