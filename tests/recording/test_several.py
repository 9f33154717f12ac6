from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

import pytest

from recording.rig import STATE, command, draft, image, settled
from vagus.control.loop_stats import LoopStats, LoopSummary
from vagus.edge.handoff import Settled
from vagus.recording.several import SeveralRecorders
from vagus.types import Command, DepthImage, FloatArray, Image, RequestDraft


class Noting:
    """A recorder that notes what it is handed."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.noted: list[str] = []
        self.counters = {"steps": 1, "steps_dropped": 2}
        self._is_broken = is_broken

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        self.noted.append(f"step at {now_ns}")

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        self.noted.append(f"chunk at {now_ns}")

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        self.noted.append(f"images of {[*images]}")

    def close(self, summary: LoopSummary) -> None:
        self.noted.append("close")
        if self._is_broken:
            raise OSError("gone")


def test_each_is_handed_everything_and_one_that_cannot_be_closed_keeps_no_other_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = Noting(is_broken=True), Noting()
    both = SeveralRecorders([first, second])
    both.record_step(1, command(4), STATE)
    both.record_chunk(2, settled())
    both.record_images(draft(1), {"front": image()}, {})
    with caplog.at_level(logging.ERROR):
        both.close(cast("LoopSummary", LoopStats()))
    assert first.noted == second.noted == ["step at 1", "chunk at 2", "images of ['front']", "close"]
    assert both.counters == {"steps": 2, "steps_dropped": 4}
    assert "could not be closed" in caplog.text
