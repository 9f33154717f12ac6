"""A policy of somebody's own for the world `gates`: no real-time chunking, never moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.demo.gates import GATES_ACTIONS, GATES_STATE
from vagus.errors import PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import PolicySpec
from vagus.types import ActionChunk


class Idle:
    serving_mode = ServingMode.SHARED
    model_hash = "idle"
    is_closed = False

    def __init__(self, rate_hz: float = 20.0, fails_after: int = 1_000_000) -> None:
        self.spec = PolicySpec(
            policy_type="idle",
            actions=GATES_ACTIONS,
            state=GATES_STATE,
            cameras=(),
            horizon=16,
            model_dim=1,
            rate_hz=rate_hz,
            default_instruction="stay",
        )
        self._left = fails_after

    def open_session(self) -> None: ...

    def begin_episode(self, session: None) -> None: ...

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self._left -= len(batch)
        if self._left < 0:
            raise RuntimeError("out of memory")
        zeros = np.zeros((16, 1), np.float32)
        return [ActionChunk(row.step, zeros, zeros) for row in batch]

    def close(self) -> None:
        self.is_closed = True


class Stopped(Idle):
    """Somebody presses Ctrl-C while it infers."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        if self._left < len(batch):
            raise KeyboardInterrupt
        return super().infer(batch)


class Needy(Idle):
    def __init__(self) -> None:
        import a_package_that_nobody_has  # type: ignore[import-not-found] # noqa: F401, PLC0415

        super().__init__()
