"""A policy for an SO-101 whose every number can be computed by hand: it goes to what the pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.errors import PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, StateFeature
from vagus.types import ActionChunk, FloatArray, Image

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
HORIZON = 10
STEP = 2.0
"""Most that a joint moves in a step, in LeRobot's normalised unit."""


def goal_in(wrist: Image, realsense: Image) -> FloatArray:
    """Return the joints that two pictures ask for, (6,): the colour of a corner of each."""
    goal: FloatArray = np.divide(np.concatenate([wrist[0, -1], realsense[-1, 0]]), 4, dtype=np.float32)
    return goal


class ToTheColour:
    """Each step goes towards the goal, at most STEP."""

    serving_mode = ServingMode.SHARED
    model_hash = "to-the-colour"
    spec = PolicySpec(
        policy_type="so101",
        actions=tuple(ActionFeature(name, "lerobot_norm") for name in JOINTS),
        state=tuple(StateFeature(name, "lerobot_norm") for name in JOINTS),
        cameras=(CameraSpec("wrist2", 224, 224), CameraSpec("realsense", 480, 640)),
        horizon=HORIZON,
        model_dim=len(JOINTS),
        rate_hz=30.0,
    )

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk | PolicyError]:
        """Return one chunk per row."""
        return [self._row(row) for row in batch]

    def _row(self, row: Row[object]) -> ActionChunk:
        seen = row.observation
        way = goal_in(seen.images["wrist2"], seen.images["realsense"]) - seen.state
        steps = np.arange(1, HORIZON + 1, dtype=np.float32)[:, None] * STEP
        actions = (seen.state + np.clip(way, -steps, steps)).astype(np.float32)
        return ActionChunk(row.step, actions, actions)
