"""Several recorders as one, for a loop that has room for one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from vagus.control.loop_stats import LoopSummary
from vagus.control.ports import RecorderPort
from vagus.edge.handoff import Settled
from vagus.types import Command, DepthImage, FloatArray, Image, RequestDraft

__all__ = ["SeveralRecorders"]

logger = logging.getLogger(__name__)


class SeveralRecorders:
    """A `RecorderPort` that hands everything to several, in their order.

    Args:
        recorders: each never blocks, as the loop wants it.
    """

    def __init__(self, recorders: Sequence[RecorderPort]) -> None:
        self._recorders = tuple(recorders)

    @property
    def counters(self) -> Mapping[str, int]:
        """The counts of all."""
        counters: Counter[str] = Counter()
        for recorder in self._recorders:
            counters.update(recorder.counters)
        return counters

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Hand over one command (control thread)."""
        for recorder in self._recorders:
            recorder.record_step(now_ns, command, state)

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Hand over a chunk (control thread)."""
        for recorder in self._recorders:
            recorder.record_chunk(now_ns, settled)

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Hand over the frames of one request (camera thread)."""
        for recorder in self._recorders:
            recorder.record_images(draft, images, depth)

    def close(self, summary: LoopSummary) -> None:
        """Close each, whatever the others do."""
        for recorder in self._recorders:
            _close(recorder, summary)


def _close(recorder: RecorderPort, summary: LoopSummary) -> None:
    try:
        recorder.close(summary)
    except Exception:
        logger.exception("a recorder could not be closed")
