"""One recorded episode as rows at a steady rate, whoever recorded it: measured, seen, commanded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vagus.features import ActionFeature, StateFeature
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import ActionArray, DepthImage, Image

__all__ = ["RecordedEpisode", "RowFrame"]

FrameT = TypeVar("FrameT", Image, DepthImage)


@dataclass(frozen=True, slots=True, eq=False)
class RowFrame(Generic[FrameT]):
    """A frame that was taken at a row of an episode.

    Attributes:
        camera: name of the camera, as the policy calls it.
        row: row of the episode.
        load: reads and decodes it: colour (height, width, 3) uint8 RGB, or depth (height, width) uint16.
    """

    camera: str
    row: int
    load: Callable[[], FrameT] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEpisode:
    """One recorded episode; n rows, at least one.

    Attributes:
        name: what it is called in messages.
        robot_type: kind of the robot.
        action_features: one per column of `actions`, in the policy's names.
        state_features: one per column of `states`, in the policy's names.
        cameras: cameras whose frames were recorded.
        depth_cameras: depth cameras whose frames were recorded.
        rate_hz: rows per second.
        actions: what was commanded, (n, action_dim), float64; a row of NaN: nothing.
        states: what was measured before, (n, state_dim), float64.
        frames: colour frames, by row.
        depth_frames: depth frames, by row.
        horizon: actions in a chunk of the recorded policy; None: not known.
        instruction: what the robot was to do.
        columns: further numbers of each row, name → (n,).
    """

    name: str
    robot_type: str
    action_features: tuple[ActionFeature, ...]
    state_features: tuple[StateFeature, ...]
    cameras: tuple[CameraSpec, ...]
    rate_hz: float
    actions: ActionArray
    states: ActionArray
    frames: tuple[RowFrame[Image], ...] = ()
    horizon: int | None = None
    instruction: str = ""
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    depth_cameras: tuple[DepthCameraSpec, ...] = ()
    depth_frames: tuple[RowFrame[DepthImage], ...] = ()

    def __len__(self) -> int:
        return len(self.actions)
