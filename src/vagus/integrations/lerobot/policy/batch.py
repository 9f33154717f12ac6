"""Rows of a batch as LeRobot's tensors: frames, states, tasks, noise, and earlier observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vagus.errors import PolicyError
from vagus.integrations.lerobot.policy.features import Features
from vagus.policies.policy import Row
from vagus.types import Image, Observation

__all__ = ["Batch", "Memory", "check_row", "collate", "frames_key", "generators", "noise_of", "with_history"]

Batch: TypeAlias = "dict[str, Tensor]"
Shape: TypeAlias = "tuple[tuple[str, tuple[int, ...]], ...]"

FRAME_DIMS = 3
CHANNELS = 3


@dataclass(slots=True)
class Memory:
    """Memory of one robot's episode for its next request: (step, observation after the preprocessor)."""

    seen: list[tuple[int, Batch]] = field(default_factory=list)

    def remember(self, step: int, observation: Batch, *, count: int) -> list[Batch]:
        """Return the last `count` observations, this one last; the first one stands for those before it.

        An observation of the same or a later step is replaced: the request was asked again.
        """
        self.seen = [(at, old) for at, old in self.seen if at < step][-(count - 1) :] if count > 1 else []
        self.seen.append((step, observation))
        kept = [old for _, old in self.seen]
        return [kept[0]] * (count - len(kept)) + kept


def check_row(row: Row[Memory], features: Features) -> PolicyError | None:
    """Return what is wrong with the row, if anything."""
    state, wanted = row.observation.state, features.spec.state_dim
    if state.shape != (wanted,) or not np.isfinite(state).all():
        return PolicyError(f"state: wanted {wanted} finite numbers, got {state.tolist()}")
    for name, image in row.observation.images.items():
        if image.ndim != FRAME_DIMS or image.shape[2] != CHANNELS or image.dtype != np.uint8:
            return PolicyError(f"camera {name!r}: wanted uint8 RGB, got {image.dtype} {image.shape}")
    missing = [
        c.name for c in features.spec.cameras if c.is_required and c.name not in row.observation.images
    ]
    return PolicyError(f"cameras: wanted a frame of {missing}, got none") if missing else None


def frames_key(observation: Observation, features: Features, *, fits_frames: bool) -> Shape:
    """Return what rows must share to be in one batch: cameras, and the sizes where the policy fits them."""
    images = observation.images
    return tuple((n, tuple(images[n].shape) if fits_frames else ()) for n in features.cameras if n in images)


def collate(
    rows: Sequence[Row[Memory]], features: Features, *, fits_frames: bool, device: torch.device
) -> dict[str, object]:
    """Return the batch as LeRobot's preprocessor takes it; rows have the same cameras.

    Frames are floats from 0 to 1, channels first, of one size per camera.
    """
    batch: dict[str, object] = {"task": [row.observation.instruction for row in rows]}
    states = torch.from_numpy(np.stack([row.observation.state for row in rows])).to(device)
    batch.update({key: states[:, place] for key, place in features.states.items()})
    sizes = {camera.name: (camera.height, camera.width) for camera in features.spec.cameras}
    for name, key in features.cameras.items():
        if name in rows[0].observation.images:
            size = None if fits_frames else sizes[name]
            frames = [_frame(row.observation.images[name], size, device) for row in rows]
            batch[key] = torch.stack(frames)
    return batch


def with_history(rows: Sequence[Row[Memory]], batch: Mapping[str, Tensor], count: int) -> Batch:
    """Return the preprocessed batch with the last `count` observations of every row, (rows, count, …)."""
    tensors = {key: value for key, value in batch.items() if _is_observation(key, value, len(rows))}
    pasts = [
        row.session.remember(row.step, {key: value[index] for key, value in tensors.items()}, count=count)
        for index, row in enumerate(rows)
    ]
    return {
        key: torch.stack([torch.stack([seen[key] for seen in past]) for past in pasts]) for key in tensors
    }


def generators(rows: Sequence[Row[Memory]]) -> list[torch.Generator]:
    """Return the source of noise of each row; on the CPU, so that every device draws the same."""
    return [torch.Generator().manual_seed(row.seed) for row in rows]


def noise_of(sources: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return normal noise, (rows, *shape), each row from its own source."""
    return torch.stack([torch.randn(shape, generator=source) for source in sources]).to(device)


def _is_observation(key: str, value: object, rows: int) -> bool:
    return key.startswith("observation.") and isinstance(value, Tensor) and len(value) == rows


def _frame(image: Image, size: tuple[int, int] | None, device: torch.device) -> Tensor:
    """Return a frame as (3, height, width) floats from 0 to 1; stretched where it has another size."""
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).to(device)  # torch wants its own
    frame = pixels.type(torch.float32).div(255).permute(2, 0, 1).contiguous()
    if size is None or frame.shape[1:] == size:
        return frame
    return torch.nn.functional.interpolate(
        frame[None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0]
