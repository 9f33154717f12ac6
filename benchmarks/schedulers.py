"""Schedulers to compare with: first come first served, earliest deadline, and a look ahead."""

from __future__ import annotations

from collections.abc import Sequence

from vagus.clock import NS_PER_MS
from vagus.server.batch_profile import BatchProfile
from vagus.server.scheduler import Batch, Candidate, Decision, Wait

__all__ = ["earliest_deadline", "first_come", "look_ahead"]


def first_come(
    ready: Sequence[Candidate],
    profile: BatchProfile,  # noqa: ARG001 - it does not look at times
    now_ns: int,  # noqa: ARG001 - likewise
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),  # noqa: ARG001 - likewise
) -> Decision:
    """Serve in the order of arrival."""
    waiting = sorted(ready, key=lambda one: (one.ready_ns, one.epoch))
    return Batch(tuple(waiting[:max_batch])) if waiting else Wait()


def earliest_deadline(
    ready: Sequence[Candidate],
    profile: BatchProfile,  # noqa: ARG001 - it takes as many as there are
    now_ns: int,  # noqa: ARG001 - likewise
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),  # noqa: ARG001 - likewise
) -> Decision:
    """Serve whoever is due first."""
    waiting = sorted(ready, key=_by_deadline)
    return Batch(tuple(waiting[:max_batch])) if waiting else Wait()


def look_ahead(
    ready: Sequence[Candidate],
    profile: BatchProfile,
    now_ns: int,
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),  # noqa: ARG001 - it looks at those who wait
) -> Decision:
    """Serve whoever is due first, in the batch size with the least weighted lateness of all that wait."""
    if not ready:
        return Wait()
    waiting = sorted(ready, key=_by_deadline)

    def lateness(first: int) -> tuple[float, int]:
        end_ns, cost, place, size = now_ns, 0.0, 0, first
        while place < len(waiting):
            end_ns += round(profile.ms(size) * NS_PER_MS)
            rows = waiting[place : place + size]
            cost += sum(one.weight * max(0, end_ns - one.due_ns) for one in rows)
            place, size = place + size, min(max_batch, len(waiting) - place - size)
        return cost, -first

    size = min(range(1, min(len(waiting), max_batch) + 1), key=lateness)
    return Batch(tuple(waiting[:size]))


def _by_deadline(one: Candidate) -> tuple[int, int, int]:
    return one.due_ns, one.ready_ns, one.epoch
