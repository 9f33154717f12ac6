"""A policy whose every number can be computed by hand, and that misbehaves when it is told to.

The arm waves around its home pose. What a robot says as its instruction decides how it is served:
"nan", "shape", "short" and "raise" spoil its own row only, "explode" raises for the whole batch,
and "hang" never comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vagus.demo.arm import ACTIONS, CAMERAS, HOME, STATE
from vagus.errors import PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import ActionFeature, PolicySpec, RtcSpec
from vagus.types import ActionChunk, FloatArray

PREFIX_HORIZON = 10


class Wave:
    """Actions are a function of step, seed and prefix alone."""

    serving_mode = ServingMode.SHARED

    def __init__(
        self,
        *,
        weights: str = "a",
        reverse: bool = False,
        rtc: bool = True,
        cameras: bool = False,
        horizon: int = 60,
        amplitude: float = 0.3,
        inference_ms: float = 5.0,
        unit: str = "rad",
        broken_by: str = "",
    ) -> None:
        """Wave with this amplitude.

        Args:
            weights: stands for the model's identity.
            reverse: give the actions in another order, under the same identity.
            rtc: continue the running plan.
            cameras: want the frames of the simulated robot's cameras.
            horizon: actions in a chunk.
            amplitude: of the wave, rad.
            inference_ms: how long an inference takes.
            unit: of the actions.
            broken_by: every inference fails while a file of this name exists.
        """
        self._order = slice(None, None, -1 if reverse else 1)
        self._amplitude = amplitude
        self._inference_s = inference_ms / 1000
        self._broken_by = Path(broken_by) if broken_by else None
        self.model_hash = f"wave-{weights}"
        self.spec = PolicySpec(
            policy_type="wave",
            actions=tuple(ActionFeature(f.name, unit) for f in ACTIONS)[self._order],
            state=STATE[:6],
            cameras=tuple(camera.spec for camera in CAMERAS) if cameras else (),
            horizon=horizon,
            model_dim=len(ACTIONS),
            rate_hz=30.0,
            rtc=RtcSpec(PREFIX_HORIZON) if rtc else None,
            default_instruction="wave",
        )

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk | PolicyError]:
        """Return one chunk per row."""
        time.sleep(self._inference_s)
        if self._broken_by is not None and self._broken_by.exists():
            raise RuntimeError("CUDA error: device-side assert triggered")
        wishes = {row.observation.instruction for row in batch}
        if "explode" in wishes:
            raise RuntimeError("told to explode")
        if "hang" in wishes:
            threading.Event().wait()
        return [self._row(row) for row in batch]

    def _row(self, row: Row[object]) -> ActionChunk | PolicyError:
        wish = row.observation.instruction
        if wish == "raise":
            return PolicyError("told to raise")
        robot = self._actions(row)
        if wish == "nan":
            robot[3, 2] = np.nan
        if wish == "shape":
            robot = robot[:, :4]
        if wish == "short":
            robot = robot[:0]
        return ActionChunk(row.step, robot, robot)

    def _actions(self, row: Row[object]) -> FloatArray:
        steps = row.step + np.arange(self.spec.horizon)
        wave = HOME + self._amplitude * np.sin(steps / 12.0)[:, None]
        noise = np.random.default_rng(row.seed).normal(0.0, 1e-4, wave.shape)
        actions = (wave + noise)[:, self._order]
        if row.prefix is not None:
            known = min(len(row.prefix), row.prefix_horizon)
            weight = np.linspace(1.0, 0.0, known)[:, None]
            actions[:known] = weight * row.prefix.robot[:known] + (1 - weight) * actions[:known]
        return actions.astype(np.float32)
