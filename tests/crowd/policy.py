"""A policy that says who asked, takes its time, and writes down whom it served together."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from crowd.diary import Batch, Diary
from crowd.numbers import HORIZON, SIZE, UNITS, answer_to, told_by
from vagus.clock import monotonic_ns
from vagus.errors import PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row, ServingMode
from vagus.types import ActionChunk

RATE_HZ = 30.0


class Telling:
    """Answers each robot with what it says of itself."""

    serving_mode = ServingMode.SHARED

    def __init__(
        self,
        *,
        diary: str = "",
        inference_ms: float = 100.0,
        weights: str = "a",
        rate_hz: float = RATE_HZ,
        height: int = SIZE[0],
        width: int = SIZE[1],
    ) -> None:
        """Make it.

        Args:
            diary: file for one line per batch; empty: none.
            inference_ms: how long a batch takes.
            weights: stands for the model's identity.
            rate_hz: rate of its actions.
            height: of its cameras.
            width: of its cameras.
        """
        size = (height, width)
        self.model_hash = f"telling-{weights}"
        self.spec = SpecTable(
            actions=UNITS,
            state=UNITS,
            cameras={"front": size, "wrist": size},
            horizon=HORIZON,
            rate_hz=rate_hz,
        ).to_spec()
        self._diary = Diary(Path(diary)) if diary else None
        self._inference_s = inference_ms / 1000

    def open_session(self) -> None:
        """Keep nothing."""

    def begin_episode(self, session: None) -> None:
        """Forget nothing."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        """Return one chunk per row."""
        begin_ns = monotonic_ns()
        time.sleep(self._inference_s)
        asked = [told_by(row.observation.state) for row in batch]
        if self._diary is not None and any(who for who, _, _ in asked):  # not a test run of the server
            self._diary.write(Batch(begin_ns, monotonic_ns(), asked, os.getpid()))
        return [self._chunk(row) for row in batch]

    def close(self) -> None:
        """Leave nothing behind."""

    def _chunk(self, row: Row[None]) -> ActionChunk:
        seen = row.observation
        robot = answer_to(seen.state, seen.images, seen.instruction)
        return ActionChunk(row.step, robot, robot)
