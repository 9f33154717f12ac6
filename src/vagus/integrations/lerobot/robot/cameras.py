"""Cameras of a LeRobot robot: which colour and depth cameras its features name, and frames of depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from vagus.errors import ConfigError, RobotError
from vagus.specs import CameraSpec, DepthCameraSpec

__all__ = [
    "DEPTH",
    "DriverCamera",
    "check_depth_scale",
    "colour_cameras",
    "depth_cameras",
    "flat_depth",
    "latest_depth",
]

DEPTH = "_depth"
"""End of the name under which LeRobot gives the depth of a camera."""
UNITS_PER_M = 1000.0
"""LeRobot says that depth is in millimetres."""
SCALE_TOLERANCE = 1e-6
"""Relative difference below which a driver's scale, which is float32, is what LeRobot says."""


class DriverCamera(Protocol):
    """Interface of a LeRobot camera that is used here."""

    def read_latest(self) -> object:
        """Return the newest frame; raises if it is older than the camera allows (half a second)."""
        ...

    def disconnect(self) -> None:
        """Release it."""
        ...


def colour_cameras(features: Mapping[str, object]) -> Iterator[CameraSpec]:
    """Yield the colour cameras among the features of an observation.

    Raises:
        ConfigError: the robot's config does not say how large the frames are.
    """
    for name, height, width in _frames(features, channels=3):
        yield CameraSpec(name, height, width)


def depth_cameras(features: Mapping[str, object]) -> Iterator[DepthCameraSpec]:
    """Yield the depth cameras among the features of an observation: frames of one channel.

    Raises:
        ConfigError: the robot's config does not say how large the frames are.
    """
    for name, height, width in _frames(features, channels=1):
        yield DepthCameraSpec(name, height, width, UNITS_PER_M)


def flat_depth(frame: object) -> object:
    """Return a depth frame of LeRobot, (height, width, 1), as (height, width); anything else as it is."""
    has_channel = isinstance(frame, np.ndarray) and frame.ndim == 3 and frame.shape[2] == 1
    return frame[:, :, 0] if has_channel else frame  # type: ignore[index] # an array, as was looked at


def latest_depth(camera: DriverCamera) -> object:
    """Return the newest depth frame of a camera, (height, width).

    Raises:
        RobotError: the camera is of a kind that cannot be asked for depth.
    """
    read = getattr(camera, "read_latest_depth", None)
    if read is None:
        raise RobotError(f"{type(camera).__name__} has no read_latest_depth")
    return flat_depth(read())


def check_depth_scale(name: str, camera: object) -> None:
    """Check that a RealSense camera, which is connected, counts the millimetres that LeRobot takes it for.

    Cameras that do not tell are believed.

    Raises:
        RobotError: it counts in another unit; a D405 does unless it is set otherwise.
    """
    profile = getattr(camera, "rs_profile", None)
    if profile is None:
        return
    metres = float(profile.get_device().first_depth_sensor().get_depth_scale())
    if not math.isclose(metres * UNITS_PER_M, 1.0, rel_tol=SCALE_TOLERANCE):
        raise RobotError(
            f"depth camera {name}: wanted one that counts millimetres, as LeRobot says, got {metres:g} m to "
            "the unit; set its depth units to 1000 µm in the RealSense viewer, or its use_depth to False"
        )


def _frames(features: Mapping[str, object], *, channels: int) -> Iterator[tuple[str, int, int]]:
    for name, shape in features.items():
        if not (isinstance(shape, tuple) and len(shape) == 3 and shape[2] == channels):
            continue
        if None in shape:
            camera = name.removesuffix(DEPTH) if channels == 1 else name
            raise ConfigError(
                f"camera {name}",
                wanted="a width and a height in the robot's config",
                got=f"{shape[1]}×{shape[0]}",
                fix=f"--options cameras.{camera}.width 640 cameras.{camera}.height 480",
            )
        yield name, int(shape[0]), int(shape[1])
