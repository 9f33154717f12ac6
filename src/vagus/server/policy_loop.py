"""Loop of the policy thread: preparations and batches, one after the other, and the answers to them."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S
from vagus.errors import PolicyError
from vagus.server.decision import Fault
from vagus.server.decoding import Decoding
from vagus.server.dispatch import Dispatcher, Preparation
from vagus.server.executor import BatchRun, Executor
from vagus.server.metrics import BusyMeter
from vagus.server.options import PipelineOptions
from vagus.server.policy_check import PolicyCheck
from vagus.server.replies import Replies, RowCost
from vagus.server.request_slots import Disposition
from vagus.server.scheduler import Wait
from vagus.server.served_policy import ServedPolicy
from vagus.server.shared_slots import SharedSlots
from vagus.server.slot import BatchRows, PendingReset, ReadyRequest, Slot
from vagus.threads import Threads
from vagus.types import ActionChunk
from vagus.wire.schema import EventCode, ResetAck

__all__ = ["PolicyLoop", "reset_refusal"]

SessionT = TypeVar("SessionT")

BUSY_WINDOW_NS = 5 * NS_PER_S
FOR_EVER_NS = 1 << 62

logger = logging.getLogger(__name__)


def reset_refusal(code: EventCode, reason: str) -> ResetAck:
    """Return the answer to a reset that was not applied."""
    return ResetAck(applied=False, code=code.value, error=reason)


class PolicyLoop(Generic[SessionT]):
    """Loop of the one thread that uses the policy.

    Args:
        model: the served policy.
        options: options of the pipeline.
        shared: slots of all sessions.
        decoding: decoder of the next request of a session that was answered.
        replies: sender of the answers, with the metrics.
        threads: the threads of the server, with their clock.
    """

    def __init__(
        self,
        model: ServedPolicy[SessionT],
        options: PipelineOptions,
        shared: SharedSlots[SessionT],
        decoding: Decoding[SessionT],
        *,
        replies: Replies,
        threads: Threads,
    ) -> None:
        self._shared = shared
        self._decoding = decoding
        self._replies = replies
        self._metrics = replies.metrics
        self._threads = threads
        self._clock = threads.clock
        self._executor = Executor(model, threads.clock)
        self._check = PolicyCheck(model, threads.clock, ends_when_broken=options.ends_when_broken)
        self._dispatcher = Dispatcher(shared.slots, options, self._note_fault)
        self._busy = BusyMeter(BUSY_WINDOW_NS)
        self._faults: set[str] = set()

    @property
    def failing(self) -> str:
        """Reason why the policy fails for every session; "": it works. Any thread may read it."""
        return self._check.failing

    def busy_share(self) -> float:
        """Return the share of the last seconds that inference took, 0–1; call it under the lock."""
        return self._busy.share(self._clock.now_ns())

    def serve(self) -> None:
        """Prepare and run batches until the slots say that it must end.

        Raises:
            PolicyError: the policy fails for every session, and the settings end the server then.
        """
        shared = self._shared
        while True:
            with shared.changed:
                shared.is_running = False
                shared.advanced.notify_all()
                shared.changed.wait_for(self._has_work, timeout=self._patience_s())
                if shared.is_stopping:
                    return
                shared.is_running = True
                work = self._dispatcher.next(self._clock.now_ns())
                if isinstance(work, Wait):
                    shared.not_before_ns = min(
                        FOR_EVER_NS if work.until_ns is None else work.until_ns, FOR_EVER_NS
                    )
            if isinstance(work, Preparation):
                self._prepare(work)
            elif not isinstance(work, Wait):
                self._run(work)
            self._check.test_if_due()

    def _has_work(self) -> bool:
        shared = self._shared
        is_due = shared.slots.has_work and self._clock.now_ns() >= shared.not_before_ns
        return shared.is_stopping or is_due

    def _patience_s(self) -> float | None:
        """Return the longest time until the policy thread must check its work again."""
        limits = [] if self._check.patience_s is None else [self._check.patience_s]
        if self._shared.slots.has_work and self._shared.not_before_ns < FOR_EVER_NS:
            limits.append(max(self._shared.not_before_ns - self._clock.now_ns(), 0) / NS_PER_S)
        return min(limits, default=None)

    def _note_fault(self, fault: Fault) -> None:
        """Count what was wrong with a decision of the scheduler; tell each fault once."""
        self._metrics.count("scheduler", fault.reason)
        if fault.reason not in self._faults:
            self._faults.add(fault.reason)
            logger.error(
                "a decision of the scheduler cannot be carried out (%s); further ones are only counted",
                fault.reason,
                exc_info=fault.error,
            )

    # preparations

    def _prepare(self, work: Preparation[SessionT]) -> None:
        begin_ns = self._clock.now_ns()
        failure = self._executor.begin_episode(work.slot, work.episode, is_start=work.is_start)
        end_ns = self._clock.now_ns()
        self._metrics.observe("preparation", (end_ns - begin_ns) / NS_PER_S)
        with self._shared.changed:
            self._dispatcher.prepared(work, begin_ns, end_ns)
            ready = work.ready
            has_failed = (
                failure is not None and ready is not None and self._shared.slots.withdraw(work.slot, ready)
            )
        if work.reset is not None:
            with self._threads.going_on("answering a reset"):
                self._answer(work.slot, work.reset, failure)
        elif has_failed and failure is not None and ready is not None:
            run = BatchRun((failure,), (RowCost(begin_ns, end_ns - begin_ns),), ())
            self._deliver([(work.slot, ready)], run)

    def _answer(self, slot: Slot[SessionT], reset: PendingReset, failure: PolicyError | None) -> None:
        if failure is None:
            reset.answer(ResetAck(applied=True))
            return
        self._check.tell(slot.session, 0, failure)
        reset.answer(reset_refusal(EventCode.POLICY_ERROR, str(failure)))

    # batches

    def _run(self, batch: BatchRows[SessionT]) -> None:
        run = self._executor.run(batch)
        self._metrics.observe("inference", run.inference_ns / NS_PER_S)
        self._metrics.observe_all("batch_size", run.forwards())
        begin_ns = run.costs[0].begin_ns
        late_ns = [max(begin_ns - ready.due_ns, 0) for _, ready in batch]
        self._metrics.observe_all("lateness", (late / NS_PER_S for late in late_ns))
        overdue = sum(late > 0 for late in late_ns)
        self._metrics.count("dispatched", "overdue", overdue)
        self._metrics.count("dispatched", "in_time", len(batch) - overdue)
        with self._shared.changed:
            end_ns = begin_ns + run.inference_ns
            self._busy.add(begin_ns, end_ns)
            self._dispatcher.ran(batch, run, end_ns)
        self._deliver(batch, run)

    def _deliver(self, batch: BatchRows[SessionT], run: BatchRun) -> None:
        with self._threads.going_on("telling of a policy's failures"):
            self._check.note(batch, run.results)
        for (slot, ready), result, cost in zip(batch, run.results, run.costs, strict=True):
            with self._threads.going_on("answering a request"):
                try:
                    self._finish(slot, ready, result, cost)
                finally:
                    self._decoding.release(slot)

    def _finish(
        self, slot: Slot[SessionT], ready: ReadyRequest, result: ActionChunk | PolicyError, cost: RowCost
    ) -> None:
        with self._shared.changed:
            verdict = self._shared.slots.inferred(slot, ready.header.episode)
        if verdict is not Disposition.PUBLISH:
            self._replies.dropped_row(slot.session, ready, verdict, cost)
        elif isinstance(result, PolicyError):
            self._replies.failed_row(slot.session, ready, EventCode.POLICY_ERROR, str(result), cost)
        else:
            self._replies.chunk(slot.session, ready, result, cost)
