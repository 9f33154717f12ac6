"""Depth frames of a recording as points in space: which camera took them, and where it stands (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError, FrameError, VagusError
from vagus.quoting import quoted
from vagus.viewing.description import Picture, RecordingView

__all__ = ["StandingCamera", "depth_camera_of", "with_sizes_checked"]

Frame: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class StandingCamera:
    """A depth camera whose frames are shown in space.

    Attributes:
        name: of the camera.
        intrinsics: for the size of its frames.
        extrinsics: where it stands; None: not known, points stay in its own axes (x right, y down, z ahead).
    """

    name: str
    intrinsics: Intrinsics
    extrinsics: Extrinsics | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its frames, in pixels."""
        return self.intrinsics.height, self.intrinsics.width


def depth_camera_of(view: RecordingView, name: str) -> str:
    """Return the depth camera of this name; "": the only one.

    Raises:
        ConfigError: there is none, not this one, or more than one without a name.
    """
    known = list(dict.fromkeys(picture.camera for picture in view.pictures if picture.kind == "depth"))
    if name in known or (not name and len(known) == 1):
        return name or known[0]
    raise ConfigError(
        "depth camera",
        wanted=f"the name of a recorded one ({quoted(known, 120)})" if known else "a recording with depth",
        got=quoted(name) if name else f"{'no name' if known else 'a recording without depth frames'}",
        fix="state it with --depth-camera" if known else "leave out --intrinsics",
    )


def with_sizes_checked(view: RecordingView, camera: StandingCamera) -> RecordingView:
    """Return the view whose depth frames of a camera are of the size that its intrinsics are for.

    The first frame that can be read is compared at once, each other one when it is read.

    Raises:
        ConfigError: intrinsics of another size of frame.
    """
    _check_first([one for one in view.pictures if _is_of(one, camera)], camera)
    pictures = (_checked(one, camera) if _is_of(one, camera) else one for one in view.pictures)
    return replace(view, pictures=tuple(pictures))


def _is_of(picture: Picture, camera: StandingCamera) -> bool:
    return picture.kind == "depth" and picture.camera == camera.name


def _check_first(pictures: list[Picture], camera: StandingCamera) -> None:
    for picture in pictures:
        try:
            frame = picture.load()
        except (VagusError, OSError):
            continue  # told when it is shown
        if frame.shape != camera.size:
            raise ConfigError(
                "intrinsics",
                wanted=f"those of the recorded frames of {camera.name}, {frame.shape} pixels (height, width)",
                got=f"those of {camera.size}",
            )
        return


def _checked(picture: Picture, camera: StandingCamera) -> Picture:
    return replace(picture, load=partial(_load_checked, picture.load, camera))


def _load_checked(load: Callable[[], Frame], camera: StandingCamera) -> Frame:
    frame = load()
    if frame.shape != camera.size:
        raise FrameError(
            f"{camera.name}: wanted a frame of {camera.size} pixels (height, width), as the "
            f"intrinsics are for, got {frame.shape}"
        )
    return frame
