"""One recorded episode as rows at a steady rate, whoever recorded it: measured, seen, commanded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.features import ActionFeature, StateFeature
from vagus.specs import CameraSpec
from vagus.types import ActionArray, Image

__all__ = ["RecordedEpisode", "RowFrame"]


@dataclass(frozen=True, slots=True, eq=False)
class RowFrame:
    """A frame that was taken at a row of an episode.

    Attributes:
        camera: name of the camera, as the policy calls it.
        row: row of the episode.
        load: reads and decodes it, (height, width, 3) uint8 RGB.
    """

    camera: str
    row: int
    load: Callable[[], Image] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEpisode:
    """One recorded episode; n rows, at least one.

    Attributes:
        name: what it is called in messages.
        robot_type: kind of the robot.
        action_features: one per column of `actions`, in the policy's names.
        state_features: one per column of `states`, in the policy's names.
        cameras: cameras whose frames were recorded.
        rate_hz: rows per second.
        actions: what was commanded, (n, action_dim), float64; a row of NaN: nothing.
        states: what was measured before, (n, state_dim), float64.
        frames: by row.
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
    frames: tuple[RowFrame, ...] = ()
    horizon: int | None = None
    instruction: str = ""
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)
