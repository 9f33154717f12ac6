"""Options of a pipeline: the operator's settings, as far as the policy allows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS, Scheduler, round_robin
from vagus.wire.schema import LatencyRow

__all__ = ["PipelineOptions"]


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How a pipeline works.

    Attributes:
        max_batch: largest batch.
        max_sessions: for the load that is reported.
        decode_workers: threads that turn bytes into arrays.
        profile: batch size → measured inference time in milliseconds.
        ends_when_broken: `serve` raises once the policy fails for everybody.
        scheduler: decides who is served next.
    """

    max_batch: int
    max_sessions: int
    decode_workers: int
    profile: Mapping[int, float]
    ends_when_broken: bool = False
    scheduler: Scheduler = round_robin

    @classmethod
    def of(cls, config: ServeConfig, rows: Sequence[LatencyRow], *, is_exclusive: bool) -> PipelineOptions:
        """Return the options for a policy that was warmed up."""
        return cls(
            max_batch=1 if is_exclusive else config.max_batch,
            max_sessions=1 if is_exclusive else config.max_sessions,
            decode_workers=config.decode_workers,
            profile={row.batch_size: row.p50_ms for row in rows},
            ends_when_broken=config.exit_on_broken_policy,
            scheduler=SCHEDULERS[config.scheduler],
        )
