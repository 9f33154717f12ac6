"""Scheduler: chooses the next batch from the ready sessions, the inference times, and the current time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from vagus.server.batch_profile import BatchProfile
from vagus.server.choice import Batch, Candidate, Decision, Wait, expected_after
from vagus.server.deadline import deadline

__all__ = [
    "SCHEDULERS",
    "Batch",
    "Candidate",
    "Decision",
    "Scheduler",
    "Wait",
    "deadline",
    "expected_after",
    "round_robin",
]


class Scheduler(Protocol):
    """Function that chooses the next batch. Pure: the same arguments give the same result."""

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        """Return the batch to run now, of at most `max_batch`, or how long to wait.

        Args:
            ready: sessions that can be served now, in any order.
            profile: inference time by batch size and key; it is read, not changed.
            now_ns: monotonic time.
            max_batch: largest batch that the policy takes.
            expected: sessions that will probably ask soon, with their guessed `ready_ns` and `due_ns`.
        """
        ...


def round_robin(
    ready: Sequence[Candidate],
    profile: BatchProfile,  # noqa: ARG001 - `deadline` needs it
    now_ns: int,  # noqa: ARG001 - likewise
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),  # noqa: ARG001 - likewise
) -> Decision:
    """Choose the session that was served longest ago, and the next sessions with the same key.

    A session that is always ready waits for at most as many batches as there were sessions before it. If all
    have the same key, no other session is served twice meanwhile.
    """
    if not ready:
        return Wait()
    waiting = sorted(ready, key=lambda candidate: candidate.turn)
    together = [candidate for candidate in waiting if candidate.batch_key == waiting[0].batch_key]
    return Batch(tuple(together[:max_batch]))


SCHEDULERS: Mapping[str, Scheduler] = {"deadline": deadline, "round_robin": round_robin}
"""Name in the settings → scheduler."""
