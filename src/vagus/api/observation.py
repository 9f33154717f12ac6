"""Observations as a program hands them over, checked: state, images, depth and instruction (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.control.frames import depth_advice
from vagus.errors import SpecError
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import DepthImage, FloatArray, Image, Observation

__all__ = ["CheckedObservation", "GivenObservation", "check_actions", "check_observation"]

GivenObservation: TypeAlias = Observation | Mapping[str, object]
"""An `Observation`, or a mapping with "state", "images", "depth" and "instruction" (or "prompt")."""

KEYS = ("state", "images", "depth", "instruction", "prompt")
NUMBERS = "fiu"
"""Kinds of arrays that are numbers."""
SIDES = 3
"""Height, width and channels."""
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class CheckedObservation:
    """What a request is made of.

    Attributes:
        state: (state_dim,), float32, finite, a copy.
        images: camera name → (height, width, 3), RGB uint8.
        instruction: what the robot is to do; None: not said.
        depth: depth camera name → (height, width), uint16.
    """

    state: FloatArray
    images: Mapping[str, Image]
    instruction: str | None
    depth: Mapping[str, DepthImage]


def check_observation(
    given: GivenObservation,
    *,
    state: Sequence[str],
    cameras: Sequence[CameraSpec],
    depth_cameras: Sequence[DepthCameraSpec] = (),
) -> CheckedObservation:
    """Return what was handed over.

    Args:
        given: as the program has it.
        state: names of the state features that are wanted, in order.
        cameras: cameras that may be given; those that are required must be.
        depth_cameras: likewise.

    Raises:
        SpecError: a key or a camera that is not known, one that is missing, another shape, another kind of
            numbers, NaN or infinity.
    """
    if isinstance(given, Observation):
        given = {name: getattr(given, name) for name in ("state", "images", "depth", "instruction")}
    if not isinstance(given, Mapping):
        raise SpecError("observation", wanted=f"a mapping of {list(KEYS)}", got=f"a {type(given).__name__}")
    _check_names("observation", list(given), required=["state"] if state else [], known=KEYS)
    return CheckedObservation(
        _state(given.get("state", ()), state),
        _images(given.get("images", {}), cameras),
        _instruction(given),
        _depth(given.get("depth", {}), depth_cameras),
    )


def check_actions(subject: str, given: object, *, width: int, most: int) -> FloatArray:
    """Return actions, (n, width) with n from 1 to `most`, as float32.

    Raises:
        SpecError: they are something else.
    """
    actions = _numbers(subject, given, wanted=f"numbers of shape (1 to {most}, {width})")
    if actions.ndim != 2 or actions.shape[1] != width or not 1 <= len(actions) <= most:
        raise SpecError(subject, wanted=f"shape (1 to {most}, {width})", got=f"{actions.shape}")
    return actions


def _check_names(
    subject: str, given: Sequence[object], *, required: Sequence[str], known: Sequence[str]
) -> None:
    missing = [name for name in required if name not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        lacks = f"without {missing}" if missing else f"{unknown} that are not known"
        raise SpecError(subject, wanted=f"{list(known)}", got=f"{list(given)}, {lacks}")


def _instruction(given: Mapping[str, object]) -> str | None:
    said = [given[key] for key in ("instruction", "prompt") if key in given]
    if len(said) > 1:
        raise SpecError("observation", wanted="instruction or prompt, which is the same", got="both")
    if said and not isinstance(said[0], str):
        raise SpecError("instruction", wanted="a text", got=f"a {type(said[0]).__name__}")
    return str(said[0]) if said else None


def _state(given: object, names: Sequence[str]) -> FloatArray:
    state = _numbers("state", given, wanted=f"{len(names)} numbers")
    if state.shape != (len(names),):
        wanted = f"shape ({len(names)},): {', '.join(names)}" if names else "none: the policy takes no state"
        raise SpecError("state", wanted=wanted, got=f"shape {state.shape}")
    return state


def _numbers(subject: str, given: object, *, wanted: str) -> FloatArray:
    """Return a copy as float32."""
    try:
        array: NDArray[np.generic] = np.asarray(given)
    except (ValueError, TypeError) as error:  # rows of unequal length, a tensor on another device
        raise SpecError(subject, wanted=wanted, got=str(error)) from error
    if array.size and array.dtype.kind not in NUMBERS:
        raise SpecError(subject, wanted=wanted, got=f"{array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        numbers: FloatArray = np.array(array, dtype=np.float32)
    if not np.isfinite(numbers).all():
        places = np.argwhere(~np.isfinite(numbers))[0].tolist()
        raise SpecError(subject, wanted="finite numbers", got=f"{array[tuple(places)]} at {places}")
    return numbers


def _images(given: object, cameras: Sequence[CameraSpec]) -> dict[str, Image]:
    frames = _frames("images", given, cameras)
    return {camera.name: _frame(frames[camera.name], camera) for camera in cameras if camera.name in frames}


def _depth(given: object, cameras: Sequence[DepthCameraSpec]) -> dict[str, DepthImage]:
    frames = _frames("depth", given, cameras)
    return {
        camera.name: _measured(frames[camera.name], camera) for camera in cameras if camera.name in frames
    }


def _frames(
    subject: str, given: object, cameras: Sequence[CameraSpec | DepthCameraSpec]
) -> Mapping[str, object]:
    """Return the frames by camera; each camera is known, and none lacks that is required."""
    if not isinstance(given, Mapping):
        raise SpecError(subject, wanted="a mapping of camera names to frames", got=type(given).__name__)
    required = [camera.name for camera in cameras if camera.is_required]
    _check_names(subject, list(given), required=required, known=[camera.name for camera in cameras])
    return given


def _measured(given: object, camera: DepthCameraSpec) -> DepthImage:
    shape = (camera.height, camera.width)
    frame: NDArray[np.generic] = np.asarray(given)
    if frame.dtype == np.uint16 and frame.shape == shape:
        depth: DepthImage = frame.astype(np.uint16, copy=False)
        return depth
    raise SpecError(
        f"depth {camera.name!r}",
        wanted=f"uint16 {shape}",
        got=f"{frame.dtype} {frame.shape}",
        fix=depth_advice(camera, frame),
    )


def _frame(given: object, camera: CameraSpec) -> Image:
    subject, shape = f"image {camera.name!r}", (camera.height, camera.width, CHANNELS)
    frame: NDArray[np.generic] = np.asarray(given)
    if frame.dtype == np.uint8 and frame.shape == shape:
        image: Image = frame.astype(np.uint8, copy=False)
        return image
    raise SpecError(
        subject, wanted=f"uint8 {shape}, RGB", got=f"{frame.dtype} {frame.shape}", fix=_advice(frame, shape)
    )


def _advice(frame: NDArray[np.generic], shape: tuple[int, int, int]) -> str:
    if frame.ndim == SIDES and frame.shape == (shape[2], *shape[:2]):
        return "the channels come last: np.moveaxis(frame, 0, -1)"
    if frame.dtype.kind == "f":
        return "numbers from 0 to 255: (frame * 255).round().astype(np.uint8) where they are from 0 to 1"
    is_picture = frame.ndim == SIDES and frame.shape[2] == CHANNELS
    return "resize it, or give a robot spec with the size of this camera" if is_picture else ""
