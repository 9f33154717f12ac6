"""Pipeline from a received observation to its reply: mailbox, decode pool, one policy thread.

One lock protects the request slots. It is never held during numpy work, inference or network calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from msgspec import structs

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import PolicyError, ProtocolError
from vagus.quoting import quoted
from vagus.server.executor import BatchRun, Executor
from vagus.server.fair_queue import DecodePool
from vagus.server.mailbox import QueuedRequest
from vagus.server.metrics import BusyMeter
from vagus.server.options import PipelineOptions
from vagus.server.policy_check import PolicyCheck
from vagus.server.publisher import Publisher
from vagus.server.replies import OutcomeLog, Replies, RowCost
from vagus.server.request import DecodedRequest, decode_request
from vagus.server.request_slots import (
    BatchRows,
    Disposition,
    PendingReset,
    ReadyRequest,
    RequestSlots,
    Slot,
)
from vagus.server.scheduler import Wait
from vagus.server.served_policy import ServedPolicy
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.threads import Threads
from vagus.types import ActionChunk
from vagus.wire.schema import Capabilities, EventCode, Header, Load, ResetAck

__all__ = ["Pipeline"]

SessionT = TypeVar("SessionT")

BUSY_WINDOW_NS = 5 * NS_PER_S
FOR_EVER_NS = 1 << 62
LEAST_WAIT_NS = NS_PER_MS
"""Shortest wait that a scheduler can ask for; a shorter one would call it without a pause."""


class Pipeline(Generic[SessionT]):
    """Pipeline of the requests through the server.

    Transport callbacks call `submit`, `reset`, `open` and `close`, which return at once; one thread calls
    `serve`.
    """

    def __init__(
        self,
        model: ServedPolicy[SessionT],
        options: PipelineOptions,
        *,
        publisher: Publisher,
        outcomes: OutcomeLog,
        threads: Threads,
    ) -> None:
        self._spec = model.spec
        self._batch_key_of = model.batch_key
        self._options = options
        self._clock = threads.clock
        self._metrics = outcomes.metrics
        self._executor = Executor(model, threads.clock)
        self._check = PolicyCheck(model, threads.clock, ends_when_broken=options.ends_when_broken)
        self._replies = Replies(publisher, outcomes, self.load)
        self._changed = threading.Condition()
        self._slots: RequestSlots[SessionT] = RequestSlots(options.scheduler)
        self._resets: dict[int, PendingReset] = {}
        """By epoch: the newest boundary of each session that waits for the policy thread."""
        self._busy = BusyMeter(BUSY_WINDOW_NS)
        self._not_before_ns = 0
        """The scheduler waits until then, unless something changes."""
        self._is_stopping = False
        self._is_draining = False
        self._is_running = False
        self._threads = threads
        self._decoders: DecodePool[Slot[SessionT]] = DecodePool(options.decode_workers, self._take, threads)

    def start(self) -> None:
        """Start the decode pool."""
        self._decoders.start()

    def stop(self, timeout_s: float) -> None:
        """End `serve` and the decode pool; requests in work are dropped."""
        with self._changed:
            self._is_stopping = True
            resets, self._resets = self._resets, {}
            self._changed.notify_all()
        for reset in resets.values():
            reset.answer(_refusal(EventCode.DRAINING, "the server has stopped"))
        self._decoders.stop(timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Answer new requests with `draining` and finish the accepted ones; return False if time ran out."""
        with self._changed:
            self._is_draining = True
            return self._changed.wait_for(self._has_finished, timeout=timeout_s)

    def open(self, session: Session, terms: Terms) -> None:
        """Make a slot for a session."""
        with self._changed:
            self._slots.open(session, terms)

    def close(self, session: Session) -> None:
        """Remove the slot of a session; nothing more is published to it."""
        with self._changed:
            self._slots.close(session.epoch)
            self._not_before_ns = 0
            self._changed.notify_all()

    def load(self) -> Load:
        """Return the load of the server."""
        with self._changed:
            return Load(
                sessions=len(self._slots),
                max_sessions=self._options.max_sessions,
                waiting=self._slots.waiting,
                busy=round(self._busy.share(self._clock.now_ns()), 3),
            )

    def present(self, capabilities: Capabilities) -> Capabilities:
        """Return `capabilities` with the present load, and the inference times as they are now."""
        with self._changed:
            latency = self._options.profile.rows()
        return structs.replace(capabilities, load=self.load(), latency=latency)

    def submit(self, session: Session, header: Header, payload: bytes) -> None:
        """Accept an observation."""
        queued = QueuedRequest(header, payload, self._clock.now_ns())
        with self._changed:
            slot = self._slots.slot(session.epoch)
            is_draining = self._is_draining or self._is_stopping
            verdict = Disposition.CLOSED
            if slot is not None and not is_draining:
                verdict = self._admit(slot, queued)
        if is_draining:
            self._replies.failed(
                session, queued, EventCode.DRAINING, "the server is draining; connect to another replica"
            )
        elif slot is not None and verdict is Disposition.TOO_LARGE:
            reason = f"observation: wanted at most {slot.terms.max_request_bytes} bytes, got {len(payload)}"
            self._replies.failed(session, queued, EventCode.INVALID_INPUT, reason)
        elif verdict not in (Disposition.DECODE, Disposition.WAIT):
            self._replies.dropped(session, queued, verdict)

    def _admit(self, slot: Slot[SessionT], queued: QueuedRequest) -> Disposition:
        if len(queued.payload) > slot.terms.max_request_bytes:
            return Disposition.TOO_LARGE
        verdict = self._slots.submit(slot, queued)
        if verdict is Disposition.DECODE:
            self._decoders.put(slot.session.client, slot)
        return verdict

    def reset(self, session: Session, episode: int, answer: Callable[[ResetAck], None]) -> None:
        """Begin an episode; older results are not published. The answer follows when it is applied."""
        replaced: PendingReset | None = None
        with self._changed:
            refusal = self._refuse_reset(self._slots.slot(session.epoch), episode)
            if refusal is None:
                replaced = self._resets.pop(session.epoch, None)
                self._resets[session.epoch] = PendingReset(session.epoch, episode, answer)
                self._changed.notify_all()
        if refusal is not None:
            answer(refusal)
        if replaced is not None:
            replaced.answer(_refusal(EventCode.OVERLOADED, "a newer reset of this session took its place"))

    def _refuse_reset(self, slot: Slot[SessionT] | None, episode: int) -> ResetAck | None:
        """Return the reason for a refusal, or None if the slots have begun the new episode."""
        if slot is None:
            return _refusal(EventCode.UNKNOWN_SESSION, "this session is closed; open a new one")
        if self._is_draining or self._is_stopping:
            return _refusal(EventCode.DRAINING, "the server is draining; connect to another replica")
        if not self._slots.begin_episode(slot, episode):
            return _refusal(EventCode.INVALID_INPUT, f"episode {episode} is over, {slot.episode} is running")
        return None

    # decode pool

    def _take(self, slot: Slot[SessionT]) -> None:
        with self._changed:
            queued = self._slots.take(slot)
            self._changed.notify_all()
        if queued is None:
            return
        is_ready = False
        try:
            is_ready = self._decode(slot, queued)
        finally:
            if not is_ready:
                self._release(slot)

    def _decode(self, slot: Slot[SessionT], queued: QueuedRequest) -> bool:
        """Decode a request; return whether it is ready for a batch."""
        begin_ns = self._clock.now_ns()
        request = self._request(slot, queued)
        if request is None:
            return False
        now_ns = self._clock.now_ns()
        key = self._batch_key(slot, request)
        ready = ReadyRequest(queued, request, now_ns - begin_ns, ready_ns=now_ns, batch_key=key)
        with self._changed:
            self._not_before_ns = 0
            verdict = self._slots.decoded(slot, ready)
            self._changed.notify_all()
        if verdict not in (Disposition.READY, Disposition.SUPERSEDED):
            self._replies.dropped(slot.session, queued, verdict)
        return verdict is Disposition.READY

    def _batch_key(self, slot: Slot[SessionT], request: DecodedRequest) -> Hashable:
        """Return the policy's batch key; if the policy fails, the request gets a batch of its own."""
        with self._threads.going_on("asking the policy which requests go together"):
            key = self._batch_key_of(request.observation)
            hash(key)
            return key
        return slot.session.epoch

    def _request(self, slot: Slot[SessionT], queued: QueuedRequest) -> DecodedRequest | None:
        """Return the decoded request, or None after an event with the error was sent."""
        try:
            stamp_ns = queued.header.client_mono_ns
            return decode_request(
                queued.payload, self._spec, slot.terms, stamp_ns, decode_all=self._decoders.helpers.map
            )
        except ProtocolError as error:
            self._replies.failed(slot.session, queued, EventCode.INVALID_INPUT, str(error))
        except BaseException as error:  # a decoder's bug is told in the log, and its client is answered
            message = f"{type(error).__name__}: {quoted(error)}"
            self._replies.failed(slot.session, queued, EventCode.INVALID_INPUT, message)
            raise
        return None

    def _release(self, slot: Slot[SessionT]) -> None:
        with self._changed:
            if not slot.is_closed and self._slots.release(slot) is Disposition.DECODE:
                self._decoders.put(slot.session.client, slot)
            self._changed.notify_all()

    # policy thread

    @property
    def failing(self) -> str:
        """Reason why the policy fails for every session; "": it works. Any thread may read it."""
        return self._check.failing

    def serve(self) -> None:
        """Apply resets and run batches until `stop`.

        Raises:
            PolicyError: the policy fails for every session, and the settings end the server then.
        """
        options = self._options
        while True:
            with self._changed:
                self._is_running = False
                self._changed.notify_all()
                self._changed.wait_for(self._has_work, timeout=self._patience_s())
                if self._is_stopping:
                    return
                self._is_running = True
                resets, self._resets = self._resets, {}
                batch = self._choose(options)
            for reset in resets.values():
                with self._threads.going_on("beginning an episode"):
                    self._apply(reset)
            if batch:
                self._run(batch)
            self._check.test_if_due()

    def _choose(self, options: PipelineOptions) -> BatchRows[SessionT]:
        """Return the batch that the scheduler chooses now; if it waits, store until when."""
        now_ns = self._clock.now_ns()
        chosen = self._slots.choose(options.profile, now_ns, options.max_batch)
        if not isinstance(chosen, Wait):
            return chosen
        until_ns = FOR_EVER_NS if chosen.until_ns is None else chosen.until_ns
        self._not_before_ns = max(until_ns, now_ns + LEAST_WAIT_NS)
        return []

    def _patience_s(self) -> float | None:
        """Return the longest time until the policy thread must check its work again."""
        limits = [] if self._check.patience_s is None else [self._check.patience_s]
        if self._slots.has_ready and self._not_before_ns < FOR_EVER_NS:
            limits.append(max(self._not_before_ns - self._clock.now_ns(), 0) / NS_PER_S)
        return min(limits, default=None)

    def _has_work(self) -> bool:
        is_due = self._slots.has_ready and self._clock.now_ns() >= self._not_before_ns
        return self._is_stopping or bool(self._resets) or is_due

    def _has_finished(self) -> bool:
        is_idle = self._slots.is_idle and not self._resets and not self._is_running
        return is_idle or self._is_stopping

    def _apply(self, reset: PendingReset) -> None:
        with self._changed:
            slot = self._slots.slot(reset.epoch)
        if slot is None:
            reset.answer(_refusal(EventCode.UNKNOWN_SESSION, "this session was closed meanwhile"))
            return
        failure = self._executor.begin_episode(slot, reset.episode)
        if failure is not None:
            self._check.tell(slot.session, 0, failure)
        reset.answer(
            ResetAck(applied=True) if failure is None else _refusal(EventCode.POLICY_ERROR, str(failure))
        )

    def _run(self, batch: BatchRows[SessionT]) -> None:
        run = self._executor.run(batch)
        with self._threads.going_on("telling of a policy's failures"):
            self._check.note(batch, run.results)
        self._metrics.observe("inference", run.inference_ns / NS_PER_S)
        for rows in run.forwards():
            self._metrics.observe("batch_size", rows)
        begin_ns = run.costs[0].begin_ns
        with self._changed:
            self._busy.add(begin_ns, begin_ns + run.inference_ns)
            self._note_calls(run, batch[0][1].batch_key)
        for (slot, ready), result, cost in zip(batch, run.results, run.costs, strict=True):
            with self._threads.going_on("answering a request"):
                try:
                    self._finish(slot, ready, result, cost)
                finally:
                    self._release(slot)

    def _note_calls(self, run: BatchRun, key: Hashable) -> None:
        """Note how long such batches take now. A call in which a row failed tells nothing of the others."""
        for call in run.calls:
            if call.is_complete:
                self._options.profile.note(call.rows, call.took_ms, key)

    def _finish(
        self, slot: Slot[SessionT], ready: ReadyRequest, result: ActionChunk | PolicyError, cost: RowCost
    ) -> None:
        with self._changed:
            verdict = self._slots.inferred(slot, ready.header.episode)
        if verdict is not Disposition.PUBLISH:
            self._replies.dropped_row(slot.session, ready, verdict, cost)
        elif isinstance(result, PolicyError):
            self._replies.failed_row(slot.session, ready, EventCode.POLICY_ERROR, str(result), cost)
        else:
            self._replies.chunk(slot.session, ready, result, cost)


def _refusal(code: EventCode, reason: str) -> ResetAck:
    return ResetAck(applied=False, code=code.value, error=reason)
