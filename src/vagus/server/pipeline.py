"""Pipeline from a received observation to its reply: mailbox, decode pool, one policy thread.

One lock protects the request slots. It is never held during numpy work, inference or network calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import structs

from vagus.server.decoding import Decoding
from vagus.server.mailbox import QueuedRequest
from vagus.server.options import PipelineOptions
from vagus.server.pacing import Pacing
from vagus.server.policy_loop import PolicyLoop, reset_refusal
from vagus.server.publisher import Publisher
from vagus.server.replies import OutcomeLog, Replies
from vagus.server.request_slots import Disposition
from vagus.server.served_policy import ServedPolicy
from vagus.server.sessions import Session
from vagus.server.shared_slots import SharedSlots
from vagus.server.slot import PendingReset, Slot
from vagus.server.validate import Terms
from vagus.threads import Threads
from vagus.wire.schema import Capabilities, EventCode, Header, Load, ResetAck

__all__ = ["Pipeline"]

SessionT = TypeVar("SessionT")


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
        self._options = options
        self._clock = threads.clock
        self._shared: SharedSlots[SessionT] = SharedSlots()
        self._demand = 0.0
        self._pacing = Pacing(options.target(chunk_s=model.spec.horizon / model.spec.rate_hz), threads.clock)
        outcomes.metrics.add_collect(self._pacing.families)
        self._replies = Replies(publisher, outcomes, self.load, self._pacing)
        self._decoding = Decoding(
            model, self._shared, self._replies, workers=options.decode_workers, threads=threads
        )
        self._loop = PolicyLoop(
            model, options, self._shared, self._decoding, replies=self._replies, threads=threads
        )

    def start(self) -> None:
        """Start the decode pool."""
        self._decoding.start()

    def serve(self) -> None:
        """Open sessions, begin episodes and run batches until `stop`.

        Raises:
            PolicyError: the policy fails for every session, and the settings end the server then.
        """
        self._loop.serve()

    def stop(self, timeout_s: float) -> None:
        """End `serve` and the decode pool; requests in work are dropped."""
        with self._shared.changed:
            resets = self._shared.slots.take_resets()
            self._shared.stop()
        for reset in resets:
            reset.answer(reset_refusal(EventCode.DRAINING, "the server has stopped"))
        self._decoding.stop(timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Answer new requests with `draining` and finish the accepted ones; return False if time ran out."""
        with self._shared.changed:
            self._shared.is_draining = True
            return self._shared.advanced.wait_for(lambda: self._shared.has_finished, timeout=timeout_s)

    @property
    def failing(self) -> str:
        """Reason why the policy fails for every session; "": it works. Any thread may read it."""
        return self._loop.failing

    @property
    def max_batch(self) -> int:
        """Largest batch."""
        return self._options.max_batch

    def note_demand(self, demand: float) -> None:
        """Note the share of the device that the open sessions are predicted to need."""
        self._demand = demand

    def load(self) -> Load:
        """Return the load of the server."""
        level = self._pacing.level
        with self._shared.changed:
            return Load(
                sessions=len(self._shared.slots),
                max_sessions=self._options.max_sessions,
                waiting=self._shared.slots.waiting,
                busy=round(self._loop.busy_share(), 3),
                demand=round(self._demand, 3),
                starved_share=round(level.starved_share, 4),
                age_p99_ms=round(level.age_p99_s * 1000, 1),
            )

    def present(self, capabilities: Capabilities) -> Capabilities:
        """Return `capabilities` with the present load, and the inference times as they are now."""
        with self._shared.changed:
            latency = self._options.profile.rows()
        return structs.replace(capabilities, load=self.load(), latency=latency)

    def open(self, session: Session, terms: Terms) -> None:
        """Make a slot for a session."""
        with self._shared.changed:
            self._shared.slots.open(session, terms)

    def close(self, session: Session) -> None:
        """Remove the slot of a session; nothing more is published to it."""
        with self._shared.changed:
            reset = self._shared.slots.close(session.epoch)
            self._shared.wake()
            self._shared.advanced.notify_all()
        if reset is not None:
            reset.answer(reset_refusal(EventCode.UNKNOWN_SESSION, "this session was closed meanwhile"))

    def submit(self, session: Session, header: Header, payload: bytes) -> None:
        """Accept an observation."""
        queued = QueuedRequest(header, payload, self._clock.now_ns())
        with self._shared.changed:
            slot = self._shared.slots.slot(session.epoch)
            is_draining = self._shared.is_closed
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
        verdict = self._shared.slots.submit(slot, queued)
        if verdict is Disposition.DECODE:
            self._decoding.put(slot)
        return verdict

    def reset(self, session: Session, episode: int, answer: Callable[[ResetAck], None]) -> None:
        """Begin an episode; older results are not published. The answer follows when it is applied."""
        replaced: PendingReset | None = None
        with self._shared.changed:
            slot = self._shared.slots.slot(session.epoch)
            refusal = self._refuse_reset(slot, episode)
            if slot is not None and refusal is None:
                replaced = self._shared.slots.put_reset(slot, PendingReset(episode, answer))
                self._shared.wake()
        if refusal is not None:
            answer(refusal)
        if replaced is not None:
            replaced.answer(
                reset_refusal(EventCode.OVERLOADED, "a newer reset of this session took its place")
            )

    def _refuse_reset(self, slot: Slot[SessionT] | None, episode: int) -> ResetAck | None:
        """Return the reason for a refusal, or None if the slots have begun the new episode."""
        if slot is None:
            return reset_refusal(EventCode.UNKNOWN_SESSION, "this session is closed; open a new one")
        if self._shared.is_closed:
            return reset_refusal(EventCode.DRAINING, "the server is draining; connect to another replica")
        if not self._shared.slots.begin_episode(slot, episode):
            return reset_refusal(
                EventCode.INVALID_INPUT, f"episode {episode} is over, {slot.episode} is running"
            )
        return None
