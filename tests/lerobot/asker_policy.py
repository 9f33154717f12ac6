"""A policy that tells each robot its own number: the first joint goes where the robot's instruction says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.errors import PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row, ServingMode
from vagus.types import ActionChunk
from vsim_rig import HORIZON, RATE_HZ, UNITS

STRIDE = 0.5


class Asker:
    """Moves the first joint to the number in the instruction, and the second on from where it is."""

    serving_mode = ServingMode.SHARED
    model_hash = "asker"

    def __init__(self) -> None:
        self.spec = SpecTable(
            actions=UNITS, state=UNITS, cameras={"front": (48, 64)}, horizon=HORIZON, rate_hz=RATE_HZ
        ).to_spec()

    def open_session(self) -> None:
        return None

    def begin_episode(self, session: None) -> None:
        pass

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        pass

    def _answer(self, row: Row[None]) -> ActionChunk:
        actions = np.tile(row.observation.state, (HORIZON, 1)).astype(np.float32)
        actions[:, 0] = float(row.observation.instruction or 0)
        actions[:, 1] += STRIDE * np.arange(1, HORIZON + 1)
        return ActionChunk(row.step, actions, actions)
