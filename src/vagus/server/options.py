"""Options of a pipeline, made from the operator's settings and the limits of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.server.batch_profile import BatchProfile
from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS, Scheduler, round_robin
from vagus.wire.schema import LatencyRow

__all__ = ["PipelineOptions"]


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Options of a pipeline.

    Attributes:
        max_batch: largest batch.
        max_sessions: largest number of sessions, for the reported load.
        decode_workers: number of threads that decode requests.
        profile: inference time by batch size and key.
        ends_when_broken: whether `serve` raises when the policy fails for every session.
        scheduler: function that chooses the next batch.
    """

    max_batch: int
    max_sessions: int
    decode_workers: int
    profile: BatchProfile
    ends_when_broken: bool = False
    scheduler: Scheduler = round_robin

    @classmethod
    def of(
        cls, config: ServeConfig, rows: Sequence[LatencyRow], *, max_batch: int, is_exclusive: bool
    ) -> PipelineOptions:
        """Return the options for a warm policy."""
        return cls(
            max_batch=max_batch,
            max_sessions=1 if is_exclusive else config.max_sessions,
            decode_workers=config.decode_workers,
            profile=BatchProfile(rows),
            ends_when_broken=config.exit_on_broken_policy,
            scheduler=SCHEDULERS[config.scheduler],
        )
