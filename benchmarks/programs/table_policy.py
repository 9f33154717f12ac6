"""A policy that takes as long as a table says, and waves the arm."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from vagus.policies.policy import Row, ServingMode
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, StateFeature
from vagus.types import ActionChunk

__all__ = ["CAMERA", "JOINTS", "TablePolicy", "table_spec"]

JOINTS = tuple(f"joint_{number}" for number in range(1, 7))
CAMERA = "front"
AMPLITUDE_RAD = 0.3
STEPS_PER_RAD = 12.0
"""Policy steps for one radian of the wave's phase: at 30 Hz, the arm moves at 0.75 rad/s at most."""
EIGHT = 8


def table_spec(*, horizon: int, rate_hz: float, side: int = 0) -> PolicySpec:
    """Return what the policy wants: six joints, and a square frame of `side` pixels where that is not 0."""
    return PolicySpec(
        policy_type="table",
        actions=tuple(ActionFeature(name, "rad") for name in JOINTS),
        state=tuple(StateFeature(name, "rad") for name in JOINTS),
        cameras=(CameraSpec(CAMERA, side, side),) if side else (),
        horizon=horizon,
        model_dim=len(JOINTS),
        rate_hz=rate_hz,
    )


class TablePolicy:
    """Sleeps as long as a batch of this size takes: on the straight line through one row and eight."""

    serving_mode = ServingMode.SHARED
    model_hash = "table"

    def __init__(
        self,
        *,
        alone_ms: float = 40.0,
        eight_ms: float = 60.0,
        horizon: int = 60,
        rate_hz: float = 30.0,
        side: int = 0,
    ) -> None:
        """Make it.

        Args:
            alone_ms: time that a row alone takes.
            eight_ms: time that a batch of eight takes.
            horizon: actions in a chunk.
            rate_hz: policy steps per second.
            side: width and height of the one camera's frame; 0: no camera.
        """
        self.spec = table_spec(horizon=horizon, rate_hz=rate_hz, side=side)
        self._alone_s = alone_ms / 1e3
        self._further_s = (eight_ms - alone_ms) / 1e3 / (EIGHT - 1)

    def batch_s(self, rows: int) -> float:
        """Return the time that a batch of this size takes, in seconds."""
        return self._alone_s + self._further_s * (rows - 1)

    def open_session(self) -> None:
        """Return nothing to remember."""

    def begin_episode(self, session: None) -> None:
        """Forget nothing."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk]:
        """Return one chunk per row, after the time that the table says."""
        time.sleep(self.batch_s(len(batch)))
        return [self._wave(row.step) for row in batch]

    def close(self) -> None:
        """Free nothing."""

    def _wave(self, step: int) -> ActionChunk:
        phase = (step + np.arange(self.spec.horizon)) / STEPS_PER_RAD
        wave = np.repeat(AMPLITUDE_RAD * np.sin(phase)[:, None], len(JOINTS), axis=1).astype(np.float32)
        return ActionChunk(step, model=wave, robot=np.array(wave))
