"""Shares of the device between tenants, around any scheduler: in overload, who used least is first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vagus.clock import NS_PER_MS
from vagus.server.batch_profile import BatchProfile
from vagus.server.scheduler import Batch, Candidate, Decision, Scheduler, Wait

__all__ = ["TenantShares"]


@dataclass(frozen=True, slots=True)
class TenantShares:
    """Scheduler that gives each tenant its share of the device in overload.

    It is overloaded when not all requests can be answered in time. Then those of the tenant that used the
    least, divided by its weight, are scheduled as if there were no others; others fill the batch as far as
    those can bear. So a tenant that uses less than its share waits for one batch at most, whatever the others
    ask for. Where there is enough for all, only `scheduler` decides.

    Attributes:
        scheduler: the scheduler that decides between the requests of one tenant.
    """

    scheduler: Scheduler

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        """Return the batch to run now, or how long to wait; arguments as of every scheduler."""
        decide = partial(self.scheduler, profile=profile, now_ns=now_ns, max_batch=max_batch)
        first = ready if _is_enough(ready, profile, now_ns, max_batch) else _first(ready)
        if len(first) == len(ready):
            return decide(ready, expected=expected)
        chosen = decide(first, expected=[c for c in expected if c.tenant == first[0].tenant])
        if isinstance(chosen, Wait):
            return decide(ready, expected=expected)
        taken = {candidate.epoch for candidate in first}
        others = sorted(
            (candidate for candidate in ready if candidate.epoch not in taken),
            key=lambda c: (c.share, c.due_ns, c.last_served, c.epoch),
        )
        return _filled(chosen, others, profile, now_ns, max_batch)


def _is_enough(ready: Sequence[Candidate], profile: BatchProfile, now_ns: int, max_batch: int) -> bool:
    """Return whether each of these requests can be answered in time, the most urgent first."""
    urgent = sorted(ready, key=lambda candidate: candidate.due_ns)
    end_ns = now_ns
    for begin in range(0, len(urgent), max_batch):
        rows = urgent[begin : begin + max_batch]
        end_ns = _end_ns(profile, len(rows), rows[0], end_ns)
        if rows[0].due_ns < end_ns:
            return False
    return True


def _first(ready: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return the candidates of the tenant that comes first."""
    shares = {candidate.tenant: candidate.share for candidate in ready}
    least = min(shares, key=lambda tenant: (shares[tenant], tenant))
    return [candidate for candidate in ready if candidate.tenant == least]


def _filled(
    chosen: Batch, others: Sequence[Candidate], profile: BatchProfile, now_ns: int, max_batch: int
) -> Batch:
    """Return the batch with as many others as fit, without making a row of it late that is in time."""
    rows = list(chosen.candidates)
    if not rows:
        return chosen
    key, alone_ns = rows[0].batch_key, _end_ns(profile, len(rows), rows[0], now_ns)
    due_ns = min((row.due_ns for row in rows if row.due_ns >= alone_ns), default=None)
    for other in others:
        fits = due_ns is None or _end_ns(profile, len(rows) + 1, rows[0], now_ns) <= due_ns
        if other.batch_key == key and len(rows) < max_batch and fits:
            rows.append(other)
    return Batch(tuple(rows))


def _end_ns(profile: BatchProfile, size: int, row: Candidate, now_ns: int) -> int:
    return now_ns + round(profile.ms(size, row.batch_key) * NS_PER_MS)
