"""Rows of a batch as LeRobot's tensors: states, tasks, noise, and earlier observations."""

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

__all__ = ["Batch", "Memory", "check_row", "collate", "generators", "noise_of", "with_history"]

Batch: TypeAlias = "dict[str, Tensor]"

FRAME_DIMS = 3
CHANNELS = 3
MAX_ASPECT = 32
"""A narrower frame, fitted to a network, would have no pixel left on one side, and fail its whole batch."""


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
        height, width = image.shape[:2]
        if not 0 < max(height, width) <= MAX_ASPECT * min(height, width):
            return PolicyError(
                f"camera {name!r}: wanted one side at most {MAX_ASPECT} times the other, got {width}×{height}"
            )
    missing = [
        c.name for c in features.spec.cameras if c.is_required and c.name not in row.observation.images
    ]
    if missing:
        return PolicyError(f"cameras: wanted a frame of {missing}, got none")
    if features.cameras and not features.cameras.keys() & row.observation.images.keys():
        return PolicyError(f"cameras: wanted a frame of one of {sorted(features.cameras)}, got none")
    return None


def collate(rows: Sequence[Row[Memory]], features: Features, device: torch.device) -> dict[str, object]:
    """Return the batch without its frames, as LeRobot's preprocessor takes it."""
    states = torch.from_numpy(np.stack([row.observation.state for row in rows])).to(device)
    batch: dict[str, object] = {"task": [row.observation.instruction for row in rows]}
    batch.update({key: states[:, place] for key, place in features.states.items()})
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
