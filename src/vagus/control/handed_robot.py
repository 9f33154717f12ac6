"""A robot whose readings are handed over tick by tick, and whose commands are taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from vagus.errors import FrameError
from vagus.quoting import quoted
from vagus.robots.robot import call_whole
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Frame

__all__ = ["HandedRobot", "Images"]

Images: TypeAlias = "Mapping[str, Frame] | Callable[[], Mapping[str, Frame]]"
"""Camera name → (height, width, 3) uint8 RGB, depth camera name → (height, width) uint16.

Or a function that returns this, called on another thread.
"""


class HandedRobot:
    """A robot without a driver: the user's loop sets its readings and takes its commands."""

    def __init__(self, spec: RobotSpec, stop: Callable[[], object]) -> None:
        self.spec = spec
        self.state: ArrayLike = ()
        self.images: Images = {}
        self._frames: Images = {}
        self._action: ActionArray | None = None
        self._stop = stop
        self.is_episode_over = False

    def keep_frames(self) -> None:
        """Copy the frames of this tick: their owner may write the next ones into the same memory."""
        images = self.images
        if not (callable(images) or isinstance(images, Mapping)):
            raise FrameError(f"images: wanted a mapping of camera names, or a function, got {quoted(images)}")
        self._frames = images if callable(images) else {name: _copy(images[name]) for name in images}

    def take_action(self) -> ActionArray | None:
        """Return the command of this tick, (action_dim,), float64; None: there was none."""
        action, self._action = self._action, None
        return action

    def connect(self) -> None:
        """Do nothing: the robot is the user's."""

    def begin_episode(self) -> None:
        """Do nothing: the robot was put where it stands now."""

    def read_state(self) -> FloatArray:
        """Return the state that was set; it is checked elsewhere."""
        return cast("FloatArray", self.state)

    def read_images(self) -> Mapping[str, Frame]:
        """Return the frames of the newest request."""
        frames = self._frames  # replaced on another thread
        return frames() if callable(frames) else frames

    def command(self, action: ActionArray) -> None:
        """Keep a command to be taken."""
        self._action = action

    def stop(self) -> None:
        """Call the user's stop function."""
        call_whole("stop", self._stop)

    def close(self) -> None:
        """Do nothing: the robot is the user's."""


def _copy(frame: object) -> Frame:
    """Return a copy of a picture; what is none is told about where frames are checked."""
    return cast("Frame", frame.copy() if isinstance(frame, np.ndarray) else frame)
