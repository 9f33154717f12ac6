"""Dispatch: what the policy does next, a preparation, a batch, or nothing yet. For one thread only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median_low
from typing import Generic, TypeAlias, TypeVar

from vagus.clock import NS_PER_MS
from vagus.errors import PolicyError
from vagus.server.candidates import Candidates, ReadyRows
from vagus.server.decision import Fault, SchedulerQuestion, decide
from vagus.server.executor import BatchRun
from vagus.server.options import PipelineOptions
from vagus.server.preparations import PreparationPace
from vagus.server.request_slots import RequestSlots
from vagus.server.scheduler import Wait
from vagus.server.slot import BatchRows, PendingReset, ReadyRequest, Slot

__all__ = ["Dispatcher", "Preparation", "Work"]

SessionT = TypeVar("SessionT")

LEAST_WAIT_NS = NS_PER_MS
"""Shortest wait that a scheduler can ask for; a shorter one would call it without a pause."""
SLOW = 2.0
"""Factor above what such batches take from which on the batches of a session are slow, and not by chance."""


@dataclass(frozen=True, slots=True)
class Preparation(Generic[SessionT]):
    """Boundary that the policy must apply before it can serve a robot: a new session, or a new episode.

    Attributes:
        slot: slot of the robot.
        episode: episode to begin.
        is_start: whether it begins even if it has begun: the request says that its robot has no chunk yet.
        reset: the reset that asks for it, or None.
        ready: the request that needs it, or None.
        is_new: whether the policy makes the session first.
    """

    slot: Slot[SessionT]
    episode: int
    is_start: bool
    reset: PendingReset | None
    ready: ReadyRequest | None
    is_new: bool


Work: TypeAlias = Preparation[SessionT] | BatchRows[SessionT] | Wait


class Dispatcher(Generic[SessionT]):
    """Choice of the next work, with all that the scheduler must know.

    Args:
        slots: slots of all sessions.
        options: scheduler, profile and largest batch.
        on_fault: called with what is wrong with a decision of the scheduler.
    """

    def __init__(
        self, slots: RequestSlots[SessionT], options: PipelineOptions, on_fault: Callable[[Fault], None]
    ) -> None:
        self._slots = slots
        self._scheduler = options.scheduler
        self._profile = options.profile
        self._max_batch = options.max_batch
        self._on_fault = on_fault
        self._pace = PreparationPace()
        self._candidates: Candidates[SessionT] = Candidates(slots)
        self._wait: Wait = Wait()
        self._changes_seen = -1

    def next(self, now_ns: int) -> Work[SessionT]:
        """Return the next work; the requests of a batch are taken from their slots, and a reset from its."""
        preparations: dict[int, Preparation[SessionT]] = {}
        ready: dict[int, tuple[Slot[SessionT], ReadyRequest]] = {}
        for slot in self._slots:
            if slot.ready is None and slot.reset is None:
                continue
            preparation = _preparation(slot)
            if preparation is not None:
                preparations[slot.session.epoch] = preparation
            elif slot.ready is not None:
                ready[slot.session.epoch] = (slot, slot.ready)
        if preparations:
            waiting = {epoch: preparation.is_new for epoch, preparation in preparations.items()}
            tenants = {epoch: one.slot.session.tenant.name for epoch, one in preparations.items()}
            chosen = self._pace.choose(waiting, self._room_ns(ready, now_ns), now_ns, tenants)
            if chosen is not None:
                self._slots.take_reset(preparations[chosen].slot)
                return preparations[chosen]
        wait = self._batch_or_wait(ready, now_ns) if ready else Wait()
        if not isinstance(wait, Wait) or not preparations:
            return wait
        return Wait(min(t for t in (wait.until_ns, self._pace.next_ns) if t is not None))

    def prepared(self, done: Preparation[SessionT], begin_ns: int, end_ns: int) -> None:
        """Note that a preparation was made."""
        session = done.slot.session
        self._pace.ran(session.epoch, is_new=done.is_new, begin_ns=begin_ns, end_ns=end_ns)
        self._candidates.charge(session, end_ns - begin_ns, end_ns)
        self._slots.changes += 1

    def ran(self, batch: BatchRows[SessionT], run: BatchRun, now_ns: int) -> None:
        """Note the time of a batch: for the predictions, and for the share of each tenant."""
        key = batch[0][1].batch_key
        for call in run.calls:
            if call.is_complete:
                self._profile.note(call.rows, call.took_ms, key)
        self._pace.batch_ran(run.inference_ns)
        costs_ns = _costs_ns(batch, run, self._profile.ms(len(batch), key))
        for (slot, _), cost_ns in zip(batch, costs_ns, strict=True):
            self._candidates.answered(slot.session.epoch, now_ns)
            self._candidates.charge(slot.session, cost_ns, now_ns)

    def _batch_or_wait(self, ready: ReadyRows[SessionT], now_ns: int) -> BatchRows[SessionT] | Wait:
        """Ask the scheduler, unless it said to wait and nothing has changed since."""
        is_over = self._wait.until_ns is not None and now_ns >= self._wait.until_ns
        if self._slots.changes == self._changes_seen and not is_over:
            return self._wait
        candidates = self._candidates.of(ready, now_ns)
        asked = SchedulerQuestion(candidates, self._candidates.expected(now_ns), now_ns, self._max_batch)
        decided, fault = decide(self._scheduler, asked, self._profile)
        if fault is not None:
            self._on_fault(fault)
        if isinstance(decided, Wait):
            self._changes_seen = self._slots.changes
            until_ns = decided.until_ns
            self._wait = Wait(None if until_ns is None else max(until_ns, now_ns + LEAST_WAIT_NS))
            return self._wait
        self._changes_seen = -1
        batch = [ready[epoch] for epoch in decided]
        self._slots.start(batch)
        return batch

    def _room_ns(self, ready: ReadyRows[SessionT], now_ns: int) -> int | None:
        """Return the time until the tightest of these requests must be in a batch; None: there is none."""
        if not ready:
            return None
        batch_ms = self._profile.ms(min(len(ready), self._max_batch))
        return min(request.due_ns for _, request in ready.values()) - now_ns - round(batch_ms * NS_PER_MS)


def _costs_ns(batch: BatchRows[SessionT], run: BatchRun, usual_ms: float) -> list[int]:
    """Return what each row cost, as far as its session is to blame.

    Where a row fails, all others may be run once more, alone. These are charged what they cost in such a
    batch, and the rows that failed share the rest.
    """
    size, took_ns = len(batch), run.inference_ns
    has_failed = [isinstance(result, PolicyError) for result in run.results]
    failed = sum(has_failed)
    if not failed:
        return [_cost_ns(slot, run, usual_ms) // size for slot, _ in batch]
    innocent_ns = min(took_ns, round(usual_ms * NS_PER_MS) or took_ns) // size
    guilty_ns = (took_ns - innocent_ns * (size - failed)) // failed
    return [guilty_ns if is_guilty else innocent_ns for is_guilty in has_failed]


def _cost_ns(slot: Slot[SessionT], run: BatchRun, usual_ms: float) -> int:
    """Return what a batch cost, as far as a session in it is to blame.

    A batch that was slow by chance costs its robots what such batches take: otherwise whoever had luck could
    claim to be urgent until it has used as much as the unlucky. Robots whose batches are slow as a rule, and
    those in a batch whose call failed although each succeeded alone, are charged what they took.
    """
    if usual_ms <= 0 or not all(call.is_complete for call in run.calls):
        return run.inference_ns
    usual_ns = usual_ms * NS_PER_MS
    slot.slowness.append(run.inference_ns / usual_ns)
    slowness = median_low(slot.slowness)
    return round(usual_ns * (slowness if slowness >= SLOW else 1.0))


def _preparation(slot: Slot[SessionT]) -> Preparation[SessionT] | None:
    """Return what the policy must do before it can serve this robot, or None."""
    state, reset, ready = slot.episode_state, slot.reset, slot.ready
    is_new = state is None
    if reset is not None:
        return Preparation(slot, reset.episode, is_start=False, reset=reset, ready=None, is_new=is_new)
    if ready is None:
        return None
    episode, is_start = ready.header.episode, ready.request.is_episode_start
    if state is not None and state.has_begun(episode, is_start=is_start):
        return None
    return Preparation(slot, episode, is_start=is_start, reset=None, ready=ready, is_new=is_new)
