"""Chooses the next batch from the ready sessions, the time per batch size, and the time now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Candidate", "Scheduler", "round_robin"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session with a request that can go into a batch now.

    Attributes:
        epoch: names the session.
        last_served: number of the batch that served it last; for a new session, of the last batch before it.
        ready_ns: when its request became ready.
        due_ns: when its robot's plan runs out.
    """

    epoch: int
    last_served: int
    ready_ns: int
    due_ns: int


class Scheduler(Protocol):
    """Picks the next batch. Pure: the same arguments give the same batch."""

    def __call__(
        self, ready: Sequence[Candidate], profile: Mapping[int, float], now_ns: int, *, max_batch: int
    ) -> Sequence[Candidate]:
        """Return at most `max_batch` of `ready`, at least one if there is one.

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
) -> Sequence[Candidate]:
    """Serve whoever was served longest ago, then whoever became ready first.

    Between two servings of a session that is ready all the time, nobody else is served twice.
    """
    return sorted(ready, key=lambda c: (c.last_served, c.ready_ns, c.epoch))[:max_batch]
