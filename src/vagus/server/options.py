"""Options of a pipeline, made from the operator's settings and the limits of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.server.batch_profile import BatchProfile
from vagus.server.config import ServeConfig
from vagus.server.pacing import ServiceTarget
from vagus.server.scheduler import SCHEDULERS, Scheduler, deadline
from vagus.server.tenant_share import TenantShares
from vagus.wire.schema import LatencyRow

__all__ = ["PipelineOptions"]

ANSWER_S = 0.5
"""Time from an observation to its chunk that is well enough, where the settings do not say it: the last
action of a chunk is as old as the chunk is long, and this."""


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
        max_starved_share: share of the time that a robot may have no action, 0–1.
        max_age_s: age that an action may have when it is commanded; None: by the length of a chunk.
        limits_rate: robots are asked for pauses while there is too much to do.
    """

    max_batch: int
    max_sessions: int
    decode_workers: int
    profile: BatchProfile
    ends_when_broken: bool = False
    scheduler: Scheduler = deadline
    max_starved_share: float = 0.01
    max_age_s: float | None = None
    limits_rate: bool = True

    @classmethod
    def of(
        cls, config: ServeConfig, rows: Sequence[LatencyRow], *, max_batch: int, is_exclusive: bool
    ) -> PipelineOptions:
        """Return the options for a warm policy."""
        scheduler = SCHEDULERS[config.scheduler]
        return cls(
            max_batch=max_batch,
            max_sessions=1 if is_exclusive else config.max_sessions,
            decode_workers=config.decode_workers,
            profile=BatchProfile(rows),
            ends_when_broken=config.exit_on_broken_policy,
            scheduler=TenantShares(scheduler) if config.tenants else scheduler,
            max_starved_share=config.slo_starved_share,
            max_age_s=config.slo_age_s,
            limits_rate=config.rate_control,
        )

    def target(self, *, chunk_s: float) -> ServiceTarget:
        """Return the service level that the server should keep; `chunk_s` is the length of a chunk."""
        max_age_s = chunk_s + ANSWER_S if self.max_age_s is None else self.max_age_s
        return ServiceTarget(self.max_starved_share, max_age_s, limits_rate=self.limits_rate)
