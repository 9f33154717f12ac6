"""The world `gates` with one wall per episode, for tests that need only that something runs."""

from __future__ import annotations

from vagus.demo.gates_trial import GatesTrial
from vagus.demo.gates_world import SEGMENT_STEPS
from vagus.types import ActionArray


class Short(GatesTrial):
    max_steps = SEGMENT_STEPS
    chances = 1
    steps = 0

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self.steps = 0

    def advance(self, action: ActionArray | None) -> None:
        super().advance(action)
        self.steps += 1

    @property
    def is_over(self) -> bool:
        return self.steps >= SEGMENT_STEPS
