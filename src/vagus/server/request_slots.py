"""State machine of the requests: one slot per session.

Pure, and not thread-safe: its owner holds one lock around each call.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Generic, TypeVar

from vagus.server.mailbox import QueuedRequest
from vagus.server.sessions import Session
from vagus.server.slot import BatchRows, PendingReset, ReadyRequest, Slot, Stage
from vagus.server.validate import Terms

__all__ = ["Disposition", "RequestSlots"]

SessionT = TypeVar("SessionT")


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

    def __init__(self) -> None:
        self._slots: dict[int, Slot[SessionT]] = {}
        self._in_work: dict[int, Slot[SessionT]] = {}
        """By epoch: the slots with a request or a reset in work; the others cost nothing, however many."""
        self._batches = 0
        self.changes = 0
        """Number of changes after which another batch may be the best."""

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot[SessionT]]:
        """Return the slots with a request or a reset in work."""
        return iter(tuple(self._in_work.values()))

    def open(self, session: Session, terms: Terms) -> None:
        """Make a slot; its session counts as served in the last batch."""
        self._slots[session.epoch] = Slot(session, terms, last_served=self._batches)

    def close(self, epoch: int) -> PendingReset | None:
        """Close a slot, whose results are not published any more; return its reset, which must be answered.

        Unknown epochs are ignored.
        """
        slot = self._slots.pop(epoch, None)
        if slot is None:
            return None
        self.changes += 1
        slot.is_closed = True
        slot.ready = None
        slot.mailbox.take()
        return self.take_reset(slot)

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
            self._turn_into(Stage.IDLE, slot)
        return self._wake(slot)

    def take(self, slot: Slot[SessionT]) -> QueuedRequest | None:
        """Return the request to decode; None: it was withdrawn meanwhile, and the slot is idle."""
        queued = slot.mailbox.take()
        if queued is None:
            self._turn_into(Stage.IDLE, slot)
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
        if slot.waits_since_ns is None:
            slot.waits_since_ns = ready.ready_ns
        self._turn_into(Stage.READY, slot)
        self.changes += 1
        return Disposition.READY

    def start(self, batch: BatchRows[SessionT]) -> None:
        """Note that these requests, which are ready, go to the policy now as one batch."""
        self._batches += 1
        for slot, _ in batch:
            slot.ready, slot.waits_since_ns, slot.last_served = None, None, self._batches
            self._turn_into(Stage.INFERRING, slot)

    def withdraw(self, slot: Slot[SessionT], ready: ReadyRequest) -> bool:
        """Take back exactly this request, which failed before its batch; return False if it is not there."""
        if slot.ready is not ready:
            return False
        slot.ready = slot.waits_since_ns = None
        self._turn_into(Stage.INFERRING, slot)
        return True

    def inferred(self, slot: Slot[SessionT], episode: int) -> Disposition:
        """Return PUBLISH if the result of a request of `episode` may be sent, otherwise why not."""
        return self._verdict(slot, episode) or Disposition.PUBLISH

    def release(self, slot: Slot[SessionT]) -> Disposition:
        """Note that the request is finished; return DECODE if the mailbox holds another, otherwise WAIT."""
        self._turn_into(Stage.IDLE, slot)
        return self._wake(slot)

    def begin_episode(self, slot: Slot[SessionT], episode: int) -> bool:
        """Begin a new episode; return False, without a change, if a newer one has begun."""
        if episode < slot.episode:
            return False
        self._turn_to(slot, episode)
        return True

    def put_reset(self, slot: Slot[SessionT], reset: PendingReset) -> PendingReset | None:
        """Store the reset of a slot; return the one that it replaces."""
        replaced, slot.reset = slot.reset, reset
        self._turn_into(slot.stage, slot)
        return replaced

    def take_reset(self, slot: Slot[SessionT]) -> PendingReset | None:
        """Remove and return the reset of a slot."""
        reset, slot.reset = slot.reset, None
        self._turn_into(slot.stage, slot)
        return reset

    def take_resets(self) -> list[PendingReset]:
        """Remove and return the resets of all sessions."""
        resets = [self.take_reset(slot) for slot in tuple(self._in_work.values())]
        return [reset for reset in resets if reset is not None]

    @property
    def has_work(self) -> bool:
        """Whether a request is ready for a batch, or an episode must begin."""
        return any(slot.ready is not None or slot.reset is not None for slot in self._in_work.values())

    @property
    def waiting(self) -> int:
        """Number of sessions whose request waits for a batch."""
        return sum(slot.stage in (Stage.DECODING, Stage.READY) for slot in self._in_work.values())

    @property
    def is_idle(self) -> bool:
        """Whether no request and no reset is in work."""
        return not self._in_work

    def _turn_into(self, stage: Stage, slot: Slot[SessionT]) -> None:
        """Give a slot its stage, after its request or reset has changed."""
        slot.stage = stage
        if slot.is_closed or (stage is Stage.IDLE and slot.reset is None):
            self._in_work.pop(slot.session.epoch, None)
        else:
            self._in_work[slot.session.epoch] = slot

    def _turn_to(self, slot: Slot[SessionT], episode: int) -> None:
        """Drop waiting requests of older episodes."""
        if episode == slot.episode:
            return
        slot.episode, slot.waits_since_ns = episode, None
        if slot.ready is not None and slot.ready.header.episode < episode:
            slot.mailbox.pass_over(slot.ready.queued)
            slot.ready = None
            self._turn_into(Stage.IDLE, slot)
        queued = slot.mailbox.take()
        if queued is not None and queued.header.episode < episode:
            slot.mailbox.pass_over(queued)
        elif queued is not None:
            slot.mailbox.put_back(queued)

    def _wake(self, slot: Slot[SessionT]) -> Disposition:
        if slot.stage is not Stage.IDLE or slot.mailbox.is_empty:
            return Disposition.WAIT
        self._turn_into(Stage.DECODING, slot)
        return Disposition.DECODE

    def _verdict(self, slot: Slot[SessionT], episode: int) -> Disposition | None:
        if slot.is_closed:
            return Disposition.CLOSED
        return Disposition.OLD_EPISODE if episode < slot.episode else None
