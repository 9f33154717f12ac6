"""Frames as they come from a camera: of the promised size and kind, whole, and not the same for ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.errors import FrameError, RobotError
from vagus.quoting import quoted
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import DepthImage, Frame, Image

__all__ = [
    "FrameCheck",
    "Sight",
    "Standstill",
    "checked_depth",
    "checked_frame",
    "depth_advice",
    "whole_copy",
]

PixelT = TypeVar("PixelT", np.uint8, np.uint16)

CHANNELS = 3
COPY_TRIES = 3
"""Tries to copy a frame while its driver may write into it; the last copy is used as it is."""
SAMPLE_STRIDE = 16
"""Stride of the rows and columns that are compared first: two pictures mostly differ there."""


class Sight(NamedTuple):
    """What the cameras of a robot saw in one look.

    Attributes:
        images: camera name → (height, width, 3) uint8 RGB.
        depth: depth camera name → (height, width) uint16, 0 where nothing was measured.
    """

    images: Mapping[str, Image]
    depth: Mapping[str, DepthImage]


def checked_frame(camera: CameraSpec, frame: object) -> Image:
    """Return `frame` if it fits the camera's spec; no copy is made.

    Raises:
        FrameError: it is something else; the error names the camera, what came and what to do.
    """
    wanted = f"camera {camera.name!r}: wanted ({camera.height}, {camera.width}, 3) uint8 RGB"
    array = _array(frame, wanted)
    if array.shape == (camera.height, camera.width, CHANNELS) and array.dtype == np.uint8:
        return cast("Image", array)
    fix = _advice(camera, array)
    raise FrameError(f"{wanted}, got {array.shape} {array.dtype}{fix and f'; {fix}'}")


def checked_depth(camera: DepthCameraSpec, frame: object) -> DepthImage:
    """Return `frame` if it fits the depth camera's spec; no copy is made.

    Raises:
        FrameError: it is something else; the error names the camera, what came and what to do.
    """
    wanted = f"depth camera {camera.name!r}: wanted ({camera.height}, {camera.width}) uint16"
    array = _array(frame, wanted)
    if array.shape == (camera.height, camera.width) and array.dtype == np.uint16:
        return cast("DepthImage", array)
    fix = depth_advice(camera, array)
    raise FrameError(f"{wanted}, got {array.shape} {array.dtype}{fix and f'; {fix}'}")


def _array(frame: object, wanted: str) -> NDArray[np.generic]:
    if isinstance(frame, np.ndarray):
        return frame
    got = "nothing" if frame is None else f"a {quoted(type(frame).__name__)}"
    raise FrameError(f"{wanted}, got {got}")


def whole_copy(frame: NDArray[PixelT]) -> NDArray[PixelT]:
    """Return a copy of one frame; its driver may write the next one into the same memory meanwhile.

    Read-only: what several look at nobody may change.
    """
    copy = np.array(frame)
    for _ in range(COPY_TRIES - 1):
        if np.array_equal(copy, frame):
            break
        copy = np.array(frame)
    copy.flags.writeable = False
    return copy


def _advice(camera: CameraSpec, frame: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Return the probable mistake and what to do; "" if it cannot be guessed."""
    height, width, shape = camera.height, camera.width, frame.shape
    known = {
        (height, width): "a grey picture: repeat its channel three times",
        (height, width, 1): "a grey picture: repeat its channel three times",
        (height, width, 4): "leave the fourth channel out",
        (CHANNELS, height, width): "channels come last: frame.transpose(1, 2, 0)",
        (width, height, CHANNELS): "height comes before width",
        (height, width, CHANNELS): "scale its numbers to 0–255 and convert them to uint8",
    }
    if not frame.size:
        return "an empty frame: the camera gave none"
    is_picture = len(shape) == CHANNELS and shape[2] == CHANNELS
    return known.get(shape, "resize it, or state this size in the robot's spec" if is_picture else "")


def depth_advice(camera: DepthCameraSpec, frame: NDArray[np.generic]) -> str:
    """Return the probable mistake and what to do; "" if it cannot be guessed."""
    height, width, shape = camera.height, camera.width, frame.shape
    if not frame.size:
        return "an empty frame: the camera gave none"
    if shape == (height, width):
        return _depth_type_advice(camera, frame)
    known = {
        (height, width, 1): "leave the last axis out: frame[:, :, 0]",
        (1, height, width): "leave the first axis out: frame[0]",
        (width, height): "height comes before width",
        (height, width, CHANNELS): "a colour picture: give it under the name of a camera of its own",
    }
    is_depth = len(shape) == 2 and frame.dtype == np.uint16
    size = "state this size in the robot's spec; depth is never scaled" if is_depth else ""
    return known.get(shape, size)


def _depth_type_advice(camera: DepthCameraSpec, frame: NDArray[np.generic]) -> str:
    units = f"{camera.units_per_m:g} units to the metre"
    if frame.dtype.kind == "f":
        return f"round it to {units} as uint16, with 0 where nothing was measured (NaN too)"
    if frame.dtype == np.uint8:
        return "8 bits are a picture of depth, not depth: ask the driver for its 16-bit frame"
    return f"convert it to uint16 ({units}), with 0 where nothing was measured"


@dataclass(slots=True)
class _Seen:
    frame: Frame
    driven_ns: int


class Standstill:
    """Measures how long the robot was driven while a camera gave the same frame, bit by bit.

    Only time in which the robot is driven counts: a scene without motion may look the same for ever. A camera
    that stands still does so until its picture changes.

    Args:
        limit_ns: how long is too long; 0: nothing ever is.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._seen: dict[str, _Seen] = {}

    def stood_ns(self, camera: str, frame: Frame, driven_ns: int) -> int | None:
        """Add a frame, which must not change any more; return how long it has been the same, if too long.

        Args:
            camera: its camera.
            frame: (height, width, 3) uint8, or (height, width) uint16.
            driven_ns: how long the robot was driven since its start.
        """
        if not self._limit_ns:
            return None
        seen = self._seen.get(camera)
        if seen is None or not _is_same(seen.frame, frame):
            self._seen[camera] = _Seen(frame, driven_ns)
            return None
        stood_ns = driven_ns - seen.driven_ns
        return stood_ns if stood_ns > self._limit_ns else None


class FrameCheck:
    """Checks and copies the frames of the cameras, and leaves out cameras that stand still.

    Args:
        cameras: those that are looked at, in the robot's own names; a missing or frozen one is an error where
            it `is_required`, else it is left out.
        depth_cameras: likewise.
        stale_s: longest that the robot is driven on one picture of a camera; 0: for ever.
        driven_ns: tells how long the robot was driven since its start.
    """

    def __init__(
        self,
        cameras: Sequence[CameraSpec],
        depth_cameras: Sequence[DepthCameraSpec] = (),
        *,
        stale_s: float,
        driven_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._cameras = tuple(cameras)
        self._depth_cameras = tuple(depth_cameras)
        self._driven_ns = driven_ns
        self._standstill = Standstill(seconds_to_ns(stale_s))
        self.left_out: tuple[str, ...] = ()
        """Cameras that the policy can do without and that stood still at the last look."""

    def take(self, frames: object) -> Sight:
        """Return read-only copies of the frames that the policy uses.

        Args:
            frames: a mapping of the names of cameras and depth cameras to their frames.

        Raises:
            FrameError: this can never be sent: no mapping, a required camera is missing, a frame is not what
                the spec says.
            RobotError: a required camera stands still.
        """
        if not isinstance(frames, Mapping):
            raise FrameError(
                f"read_images: wanted a mapping of camera to frame, got a {quoted(type(frames).__name__)}"
            )
        self._check_complete(frames)
        left_out: list[str] = []
        images: dict[str, Image] = {}
        for camera in self._cameras:
            if camera.name in frames:
                image = whole_copy(checked_frame(camera, frames[camera.name]))
                self._keep(camera, image, images, left_out)
        depth: dict[str, DepthImage] = {}
        for depth_camera in self._depth_cameras:
            if depth_camera.name in frames:
                measured = whole_copy(checked_depth(depth_camera, frames[depth_camera.name]))
                self._keep(depth_camera, measured, depth, left_out)
        self.left_out = tuple(left_out)
        return Sight(images, depth)

    def _check_complete(self, frames: Mapping[object, object]) -> None:
        lacking = [c.name for c in self._cameras if c.is_required and c.name not in frames]
        if lacking:
            raise FrameError(f"no frame from the cameras {lacking}; got {sorted(map(str, frames))}")
        lacking = [c.name for c in self._depth_cameras if c.is_required and c.name not in frames]
        if lacking:
            raise FrameError(f"no frame from the depth cameras {lacking}; got {sorted(map(str, frames))}")

    def _keep(
        self,
        camera: CameraSpec | DepthCameraSpec,
        frame: NDArray[PixelT],
        kept: dict[str, NDArray[PixelT]],
        left_out: list[str],
    ) -> None:
        """Add a frame to those that are kept, or its camera to those that are left out."""
        if self._stands_still(camera, frame):
            left_out.append(camera.name)
        else:
            kept[camera.name] = frame

    def _stands_still(self, camera: CameraSpec | DepthCameraSpec, frame: Frame) -> bool:
        if camera.may_repeat:
            return False
        stood_ns = self._standstill.stood_ns(camera.name, frame, self._driven_ns())
        if stood_ns is not None and camera.is_required:
            raise RobotError(
                f"camera {camera.name!r} stands still: the robot was driven for {stood_ns / NS_PER_S:.1f} s "
                "on one and the same picture"
            )
        return stood_ns is not None


def _is_same(left: Frame, right: Frame) -> bool:
    sample = (slice(None, None, SAMPLE_STRIDE), slice(None, None, SAMPLE_STRIDE))
    return np.array_equal(left[sample], right[sample]) and np.array_equal(left, right)
