"""Chooses the next batch from the ready sessions, the time per batch size, and the time now."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = ["SCHEDULERS", "Batch", "Candidate", "Decision", "Scheduler", "Wait", "round_robin"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session with a request that can go into a batch now.

    Attributes:
        epoch: names the session.
        last_served: number of the batch that served it last; for a new session, of the last batch before it.
        ready_ns: when its request became ready.
        due_ns: when its robot's plan runs out.
        batch_key: requests of one key can go through the network together.
        tenant: who the request is served for; shares are counted by tenant.
    """

    epoch: int
    last_served: int
    ready_ns: int
    due_ns: int
    batch_key: Hashable = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Serve these now, in one forward pass: at least one, and all of one key."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Serve nobody yet: decide again when something has changed, or at this time.

    Attributes:
        until_ns: monotonic time; None: only when something has changed.
    """

    until_ns: int | None = None


Decision: TypeAlias = Batch | Wait


class Scheduler(Protocol):
    """Decides on the next batch. Pure: the same arguments give the same decision."""

    def __call__(
        self, ready: Sequence[Candidate], profile: Mapping[int, float], now_ns: int, *, max_batch: int
    ) -> Decision:
        """Return the batch to run now, of at most `max_batch`, or how long to wait.

        Args:
            ready: sessions that can be served now, in any order.
            profile: batch size → measured inference time in milliseconds.
            now_ns: monotonic time.
            max_batch: largest batch that the policy takes.
        """
        ...


def round_robin(
    ready: Sequence[Candidate],
    profile: Mapping[int, float],  # noqa: ARG001 - a deadline-aware scheduler needs it
    now_ns: int,  # noqa: ARG001 - likewise
    *,
    max_batch: int,
) -> Decision:
    """Serve the session that was served longest ago, and with it the next ones of its key.

    A session that is ready all the time is served after at most as many batches as sessions were before it.
    Where all have one key, nobody else is served twice meanwhile.
    """
    if not ready:
        return Wait()
    waiting = sorted(ready, key=lambda c: (c.last_served, c.ready_ns, c.epoch))
    together = [candidate for candidate in waiting if candidate.batch_key == waiting[0].batch_key]
    return Batch(tuple(together[:max_batch]))


SCHEDULERS: Mapping[str, Scheduler] = {"round_robin": round_robin}
"""Name in the settings → scheduler."""
