"""What of a scheduler's decision can be done, whatever it is. Pure.

A scheduler can make robots wait, and no more: a batch holds only requests that are ready, each once, of one
key, and not more than the policy takes. What is wrong with a decision is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from vagus.server.batch_profile import BatchProfile
from vagus.server.scheduler import Batch, Candidate, Decision, Scheduler, Wait, round_robin

__all__ = ["Fault", "SchedulerQuestion", "decide"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong with a decision.

    Attributes:
        reason: one of a few fixed texts.
        error: what the scheduler raised, or None.
    """

    reason: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class SchedulerQuestion:
    """What a scheduler is asked.

    Attributes:
        ready: epoch → the request of the session with this epoch.
        expected: requests that will probably come.
        now_ns: monotonic time.
        max_batch: largest batch.
    """

    ready: Mapping[int, Candidate]
    expected: Sequence[Candidate]
    now_ns: int
    max_batch: int

    def put_to(self, scheduler: Scheduler, profile: BatchProfile) -> Decision:
        """Return the decision of a scheduler; it may raise anything."""
        return scheduler(
            tuple(self.ready.values()),
            profile,
            self.now_ns,
            max_batch=self.max_batch,
            expected=self.expected,
        )


def decide(
    scheduler: Scheduler, asked: SchedulerQuestion, profile: BatchProfile
) -> tuple[tuple[int, ...] | Wait, Fault | None]:
    """Return the epochs of the next batch, or how long to wait, and what was wrong, if something was.

    Where nothing of a decision can be done, round robin decides.

    Args:
        scheduler: asked for a decision; it may do anything.
        asked: the requests.
        profile: inference time by batch size and key.
    """
    try:
        decision: object = asked.put_to(scheduler, profile)
        if isinstance(decision, Wait) and isinstance(decision.until_ns, int | None):
            return decision, None
        epochs, fault = _possible(decision, asked.ready, asked.max_batch)
    except BaseException as error:  # noqa: BLE001 - a scheduler may raise anything; robots are served
        epochs, fault = (), Fault("raised", error)
    if epochs:
        return epochs, fault
    spare = asked.put_to(round_robin, profile)
    if isinstance(spare, Wait):
        return spare, fault
    return tuple(candidate.epoch for candidate in spare.candidates), fault


def _possible(
    decision: object, ready: Mapping[int, Candidate], max_batch: int
) -> tuple[tuple[int, ...], Fault | None]:
    """Return the part of a batch that can be served together, and the first fault of the rest."""
    if not isinstance(decision, Batch):
        return (), Fault("no_decision")
    epochs: dict[int, Candidate] = {}
    faults: list[str] = []
    for chosen in islice(decision.candidates, len(ready) + max_batch + 1):
        fault = _fault(chosen, epochs, ready, max_batch)
        if fault:
            faults.append(fault)
        else:
            epochs[chosen.epoch] = ready[chosen.epoch]
    if not epochs and not faults:
        faults.append("empty")
    return tuple(epochs), Fault(faults[0]) if faults else None


def _fault(
    chosen: object, epochs: Mapping[int, Candidate], ready: Mapping[int, Candidate], max_batch: int
) -> str:
    """Return why this choice cannot join those before it, or ""."""
    if not isinstance(chosen, Candidate) or chosen.epoch not in ready:
        return "not_ready"
    if chosen.epoch in epochs:
        return "twice"
    if len(epochs) >= max_batch:
        return "too_many"
    first = next(iter(epochs.values()), ready[chosen.epoch])
    return "" if first.batch_key == ready[chosen.epoch].batch_key else "mixed_keys"
