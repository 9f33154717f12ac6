"""Input vector of the network of `reach`: joints, velocities and target, each scaled to about 1."""

from __future__ import annotations

import numpy as np

from vagus.demo.arm import LOWER, UPPER, VELOCITY_RAD_S, Floats
from vagus.demo.flow_net import Floats32

__all__ = ["CONDITION_WIDTH", "condition", "from_model", "to_model"]

CONDITION_WIDTH = 18
MIDDLE: Floats = (UPPER + LOWER) / 2
HALF: Floats = (UPPER - LOWER) / 2


def to_model(joints: Floats) -> Floats32:
    """Return joint angles (..., 6) in the policy's space: −1 to 1 between the joints' bounds."""
    return ((joints - MIDDLE) / HALF).astype(np.float32)


def from_model(actions: Floats32) -> Floats32:
    """Return actions of the policy's space in radians, within the joints' bounds."""
    return np.clip(actions * HALF + MIDDLE, LOWER, UPPER).astype(np.float32)


def condition(position: Floats, velocity: Floats, target: Floats) -> Floats32:
    """Return the condition (..., 18) for joints (..., 6), velocities (..., 6) and targets (..., 3)."""
    x, y, z = target[..., 0], target[..., 1], target[..., 2]
    azimuth, radius = np.arctan2(y, x), np.hypot(x, y)
    place = np.stack(
        [azimuth, (radius - 0.37) * 8.0, (z - 0.23) * 6.0, (x - 0.3) * 6.0, y * 3.0, azimuth**2], axis=-1
    )
    parts = [to_model(position), velocity / VELOCITY_RAD_S, place]
    return np.concatenate(parts, axis=-1).astype(np.float32)
