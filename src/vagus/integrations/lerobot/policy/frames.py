"""Frames of a batch as LeRobot's tensors; each row with its own cameras and sizes where the family masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vagus.integrations.lerobot.policy.families import Family
from vagus.integrations.lerobot.policy.features import Features
from vagus.types import Image, Observation

__all__ = ["FrameShapes", "MaskedFrames", "can_mask", "frame_shapes", "sample_frames", "stacked_frames"]

FrameShapes: TypeAlias = "tuple[tuple[str, tuple[int, ...]], ...]"
Frames: TypeAlias = "Mapping[str, Image]"
Prepare: TypeAlias = "Callable[[dict[str, Tensor]], tuple[list[Tensor], list[Tensor]]]"

BLANK = -1.0
"""Pixel of a camera that a row lacks; nothing looks at it."""


def frame_shapes(observation: Observation, features: Features, *, fits_frames: bool) -> FrameShapes:
    """Return the cameras, and the sizes where the policy fits them: alike in a batch without masks."""
    images = observation.images
    return tuple((n, tuple(images[n].shape) if fits_frames else ()) for n in features.cameras if n in images)


def stacked_frames(
    rows: Sequence[Frames], features: Features, *, fits_frames: bool, device: torch.device
) -> dict[str, Tensor]:
    """Return the frames of rows with the same cameras: key → (rows, 3, height, width) floats from 0 to 1.

    Args:
        rows: camera → frame; of one size per camera where `fits_frames`.
        features: cameras of the checkpoint.
        fits_frames: the policy fits frames; else they are stretched to the size of the checkpoint.
        device: where the policy runs.
    """
    sizes = {camera.name: (camera.height, camera.width) for camera in features.spec.cameras}
    stacks: dict[str, Tensor] = {}
    for name, key in features.cameras.items():
        if name not in rows[0]:
            continue
        frames = [row[name] for row in rows]
        if fits_frames:
            stacks[key] = _floats(frames, device)
        else:
            stacks[key] = torch.cat([_stretched(_floats([one], device), sizes[name]) for one in frames])
    return stacks


def sample_frames(features: Features) -> dict[str, Image]:
    """Return a frame of random pixels of every camera, of the size of the checkpoint."""
    random = np.random.default_rng(0)
    return {
        camera.name: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in features.spec.cameras
    }


def can_mask(config: object, family: Family) -> bool:
    """Return whether a camera that is masked is to a row of this policy as if it was not there."""
    return family.fits_frames and not getattr(config, "add_image_special_tokens", False)  # they have no mask


class MaskedFrames:
    """Preparation of frames of a policy that masks cameras, row by row; takes the place of the policy's own.

    Every frame is fitted by the policy's own preparation. Cameras that no row has are left out: to a policy
    that masks them, they are not there.

    Args:
        policy: its method `family.prepares_frames` is replaced.
        features: cameras of the checkpoint.
        family: family of the policy.
        has_all: keep cameras that no row has, because a compiled network is compiled anew without them.
    """

    def __init__(
        self, policy: torch.nn.Module, features: Features, family: Family, *, has_all: bool = False
    ) -> None:
        self._prepare: Prepare = getattr(policy, family.prepares_frames)
        self._has_all = has_all
        self._cameras = features.cameras
        self._device = next(policy.parameters()).device
        self._rows: Sequence[Frames] = ()
        setattr(policy, family.prepares_frames, self)

    def take(self, rows: Sequence[Frames]) -> None:
        """Take the frames of the next batch, camera → frame; each row has at least one camera."""
        self._rows = rows

    def __call__(self, batch: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:  # noqa: ARG002
        """Return frames and masks of each camera: (rows, 3, height, width) from -1 to 1, (rows,) bool."""
        seen = {name: self._camera(name) for name in self._cameras if any(name in row for row in self._rows)}
        if self._has_all:
            some, mask = next(iter(seen.values()))
            blank = torch.full_like(some, BLANK), torch.zeros_like(mask)
            seen = {name: seen.get(name, blank) for name in self._cameras}
        return [frames for frames, _ in seen.values()], [mask for _, mask in seen.values()]

    def _camera(self, name: str) -> tuple[Tensor, Tensor]:
        """Return frames and mask of one camera; rows with frames of the same size are fitted together."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        for index, row in enumerate(self._rows):
            if name in row:
                sizes.setdefault(row[name].shape, []).append(index)
        fitted = {
            tuple(indices): self._fitted(name, [self._rows[index][name] for index in indices])
            for indices in sizes.values()
        }
        some = next(iter(fitted.values()))
        if some.shape[0] == len(self._rows):
            return some, torch.ones(len(self._rows), dtype=torch.bool, device=some.device)
        frames = torch.full((len(self._rows), *some.shape[1:]), BLANK, dtype=some.dtype, device=some.device)
        mask = torch.zeros(len(self._rows), dtype=torch.bool)
        for indices, group in fitted.items():
            frames[list(indices)] = group
            mask[list(indices)] = True
        return frames, mask.to(some.device)

    def _fitted(self, name: str, frames: Sequence[Image]) -> Tensor:
        images, _ = self._prepare({self._cameras[name]: _floats(frames, self._device)})
        return images[0]  # what follows stands for the cameras that are not in this call


def _floats(frames: Sequence[Image], device: torch.device) -> Tensor:
    """Return frames of one size as (frames, 3, height, width) floats from 0 to 1."""
    pixels = torch.from_numpy(np.stack(frames)).to(device)
    return pixels.permute(0, 3, 1, 2).type(torch.float32).div(255).contiguous()


def _stretched(frame: Tensor, size: tuple[int, int]) -> Tensor:
    if frame.shape[2:] == size:
        return frame
    return torch.nn.functional.interpolate(
        frame, size=size, mode="bilinear", antialias=True, align_corners=False
    )
