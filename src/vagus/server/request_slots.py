"""State machine of the requests: one slot per session.

Pure, and not thread-safe: its owner holds one lock around each call.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from vagus.clock import NS_PER_MS
from vagus.server.batch_profile import BatchProfile
from vagus.server.mailbox import Mailbox, QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.scheduler import Candidate, Scheduler, Wait
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.wire.schema import Header, ResetAck

__all__ = [
    "BatchRows",
    "Disposition",
    "EpisodeState",
    "PendingReset",
    "ReadyRequest",
    "RequestSlots",
    "Slot",
    "Stage",
]

MAX_SLACK_MS = 60_000.0
"""Longest time after its arrival at which a request is due, whatever its robot says."""

SessionT = TypeVar("SessionT")


class Stage(enum.Enum):
    """Stage of the request that has left the mailbox."""

    IDLE = "idle"
    DECODING = "decoding"
    READY = "ready"
    INFERRING = "inferring"


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """Decoded request; requests with the same `batch_key` can share one forward pass."""

    queued: QueuedRequest
    request: DecodedRequest
    decode_ns: int
    ready_ns: int
    batch_key: Hashable = None

    @property
    def header(self) -> Header:
        """Header of the request."""
        return self.queued.header

    @property
    def due_ns(self) -> int:
        """Time by which the answer must leave for the robot to have it before its plan ends.

        A robot is not believed beyond reason: no answer is due before its request came, nor so late that a
        scheduler could forget it.
        """
        slack_ms = self.request.slack_ms - max(self.request.network_ms, 0.0)
        return self.queued.arrived_ns + round(min(max(slack_ms, 0.0), MAX_SLACK_MS) * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class PendingReset:
    """Reset that the policy thread must apply and answer."""

    epoch: int
    episode: int
    answer: Callable[[ResetAck], None]


@dataclass(slots=True)
class EpisodeState(Generic[SessionT]):
    """State of the policy for one robot. Used by the policy thread only.

    Attributes:
        session: session state made by the policy.
        episode: episode that was begun last, or None before the first.
        is_fresh: nothing was inferred in this episode yet.
        is_alone: the policy raised for the last request, so the next request is not batched.
    """

    session: SessionT
    episode: int | None = None
    is_fresh: bool = False
    is_alone: bool = False


@dataclass(slots=True, eq=False)
class Slot(Generic[SessionT]):
    """Slot of one session. All fields except `episode_state` are used under the pipeline's lock.

    Attributes:
        session: the session of the slot.
        terms: terms of the session.
        last_served: number of the batch that served it last.
        episode: newest known episode; results of older episodes are not published.
        mailbox: mailbox with the newest request.
        stage: stage of the request that has left the mailbox.
        ready: this request, in stage READY.
        is_closed: the session is over; nothing is published any more.
        episode_state: the policy's state for this robot.
    """

    session: Session
    terms: Terms
    last_served: int
    episode: int = 0
    mailbox: Mailbox = field(default_factory=Mailbox)
    stage: Stage = Stage.IDLE
    ready: ReadyRequest | None = None
    is_closed: bool = False
    episode_state: EpisodeState[SessionT] | None = None


BatchRows: TypeAlias = Sequence[tuple[Slot[SessionT], ReadyRequest]]
"""Rows of a batch: the slots, each with its request."""


class Disposition(enum.Enum):
    """Result of one step of a request. The values are names in metrics and audit."""

    DECODE = "decode"
    """The request must be decoded now."""
    WAIT = "wait"
    """The request waits for an earlier one."""
    READY = "ready"
    """The request is ready for a batch."""
    PUBLISH = "publish"
    """The answer must be sent."""
    DUPLICATE = "duplicate"
    """This request or a newer one was received before."""
    SUPERSEDED = "superseded"
    """A newer request of this session was received."""
    OLD_EPISODE = "old_episode"
    """The episode of the request is over."""
    CLOSED = "closed"
    """The session of the request is over."""
    TOO_LARGE = "too_large"
    """The request is larger than the limit of its session."""


class RequestSlots(Generic[SessionT]):
    """Slots of all sessions. At most one request per session has left its mailbox."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._slots: dict[int, Slot[SessionT]] = {}
        self._batches = 0

    def __len__(self) -> int:
        return len(self._slots)

    def open(self, session: Session, terms: Terms) -> None:
        """Make a slot; its session counts as served in the last batch."""
        self._slots[session.epoch] = Slot(session, terms, last_served=self._batches)

    def close(self, epoch: int) -> None:
        """Close a slot; results that are still in work are not published. Unknown epochs are ignored."""
        slot = self._slots.pop(epoch, None)
        if slot is not None:
            slot.is_closed = True
            slot.ready = None
            slot.mailbox.take()

    def slot(self, epoch: int) -> Slot[SessionT] | None:
        """Return the slot of a session, or None if it is closed."""
        return self._slots.get(epoch)

    def submit(self, slot: Slot[SessionT], queued: QueuedRequest) -> Disposition:
        """Store a request in the mailbox of its slot; return DECODE, WAIT, or why it was refused."""
        header = queued.header
        if slot.is_closed:
            return Disposition.CLOSED
        if header.episode < slot.episode:
            return Disposition.OLD_EPISODE
        if not slot.mailbox.deposit(queued):
            return Disposition.DUPLICATE
        self._turn_to(slot, header.episode)
        if slot.stage is Stage.READY and slot.ready is not None:
            slot.mailbox.pass_over(slot.ready.queued)
            slot.ready = None
            slot.stage = Stage.IDLE
        return self._wake(slot)

    def take(self, slot: Slot[SessionT]) -> QueuedRequest | None:
        """Return the request to decode; None: it was withdrawn meanwhile, and the slot is idle."""
        queued = slot.mailbox.take()
        if queued is None:
            slot.stage = Stage.IDLE
        return queued

    def decoded(self, slot: Slot[SessionT], ready: ReadyRequest) -> Disposition:
        """Note that a request is decoded; return READY, or why it is not needed any more."""
        verdict = self._verdict(slot, ready.header.episode)
        if verdict is None and not slot.mailbox.is_empty:
            slot.mailbox.pass_over(ready.queued)
            verdict = Disposition.SUPERSEDED
        if verdict is not None:
            return verdict
        slot.ready = ready
        slot.stage = Stage.READY
        return Disposition.READY

    def choose(
        self, profile: BatchProfile, now_ns: int, max_batch: int
    ) -> list[tuple[Slot[SessionT], ReadyRequest]] | Wait:
        """Return the next batch, or how long the scheduler waits."""
        waiting = {
            slot.session.epoch: (slot, slot.ready) for slot in self._slots.values() if slot.ready is not None
        }
        candidates = [_candidate(slot, ready) for slot, ready in waiting.values()]
        decision = self._scheduler(candidates, profile, now_ns, max_batch=max_batch)
        if isinstance(decision, Wait):
            return decision
        self._batches += 1
        batch = [waiting[candidate.epoch] for candidate in decision.candidates]
        for slot, _ in batch:
            slot.ready, slot.stage, slot.last_served = None, Stage.INFERRING, self._batches
        return batch

    def inferred(self, slot: Slot[SessionT], episode: int) -> Disposition:
        """Return PUBLISH if the result of a request of `episode` may be sent, otherwise why not."""
        return self._verdict(slot, episode) or Disposition.PUBLISH

    def release(self, slot: Slot[SessionT]) -> Disposition:
        """Note that the request is finished; return DECODE if the mailbox holds another, otherwise WAIT."""
        slot.stage = Stage.IDLE
        return self._wake(slot)

    def begin_episode(self, slot: Slot[SessionT], episode: int) -> bool:
        """Begin a new episode; return False, without a change, if a newer one has begun."""
        if episode < slot.episode:
            return False
        self._turn_to(slot, episode)
        return True

    @property
    def has_ready(self) -> bool:
        """Whether a request is ready for a batch."""
        return any(slot.ready is not None for slot in self._slots.values())

    @property
    def waiting(self) -> int:
        """Number of sessions whose request waits for a batch."""
        return sum(slot.stage in (Stage.DECODING, Stage.READY) for slot in self._slots.values())

    @property
    def is_idle(self) -> bool:
        """Whether no request is in work."""
        return all(slot.stage is Stage.IDLE for slot in self._slots.values())

    def _turn_to(self, slot: Slot[SessionT], episode: int) -> None:
        """Drop waiting requests of older episodes."""
        if episode == slot.episode:
            return
        slot.episode = episode
        if slot.ready is not None and slot.ready.header.episode < episode:
            slot.mailbox.pass_over(slot.ready.queued)
            slot.ready = None
            slot.stage = Stage.IDLE
        queued = slot.mailbox.take()
        if queued is not None and queued.header.episode < episode:
            slot.mailbox.pass_over(queued)
        elif queued is not None:
            slot.mailbox.put_back(queued)

    def _wake(self, slot: Slot[SessionT]) -> Disposition:
        if slot.stage is not Stage.IDLE or slot.mailbox.is_empty:
            return Disposition.WAIT
        slot.stage = Stage.DECODING
        return Disposition.DECODE

    def _verdict(self, slot: Slot[SessionT], episode: int) -> Disposition | None:
        if slot.is_closed:
            return Disposition.CLOSED
        return Disposition.OLD_EPISODE if episode < slot.episode else None


def _candidate(slot: Slot[SessionT], ready: ReadyRequest) -> Candidate:
    return Candidate(
        slot.session.epoch,
        slot.last_served,
        ready.ready_ns,
        ready.due_ns,
        batch_key=ready.batch_key,
        tenant=slot.session.client,
    )
