"""Where every request stands: the rules by which lanes move.

Pure, and not thread-safe: its owner holds one lock around each call.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Generic, TypeVar

from vagus.clock import NS_PER_MS
from vagus.server.mailbox import Letter
from vagus.server.scheduler import Candidate, Scheduler
from vagus.server.sessions import Session
from vagus.server.slot import QueuedRequest, ReadyRequest, Slot, Stage
from vagus.server.validate import Terms

__all__ = ["Disposition", "RequestSlots"]

SessionT = TypeVar("SessionT")


class Disposition(enum.Enum):
    """What becomes of a request at a step of its way. The values are the words of metrics and audit."""

    DECODE = "decode"
    """Its lane is to be decoded now."""
    WAIT = "wait"
    """It waits for the one before it."""
    READY = "ready"
    """It can go into a batch."""
    PUBLISH = "publish"
    """Its answer is to be sent."""
    DUPLICATE = "duplicate"
    """It, or a newer one, was here before."""
    SUPERSEDED = "superseded"
    """A newer one of this session is here."""
    OLD_EPISODE = "old_episode"
    """Its episode is over."""
    CLOSED = "closed"
    """Its session is over."""
    TOO_LARGE = "too_large"
    """It is larger than any request of its session has reason to be."""


class RequestSlots(Generic[SessionT]):
    """All lanes. At most one request per session is past its mailbox, and it is the newest known."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lanes: dict[int, Slot[SessionT]] = {}
        self._batches = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def open(self, session: Session, terms: Terms) -> None:
        """Make a lane; its session joins the round where those wait who were served last."""
        self._lanes[session.epoch] = Slot(session, terms, last_served=self._batches)

    def close(self, epoch: int) -> None:
        """End a lane; what is in flight on it is not published. Unknown epochs are ignored."""
        lane = self._lanes.pop(epoch, None)
        if lane is not None:
            lane.is_closed = True
            lane.ready = None
            lane.mailbox.take()

    def lane(self, epoch: int) -> Slot[SessionT] | None:
        """Return the lane of a session, or None when it is closed."""
        return self._lanes.get(epoch)

    def submit(self, lane: Slot[SessionT], parcel: QueuedRequest, now_ns: int) -> Disposition:
        """Put a request into the mailbox of its lane: DECODE, WAIT, or why it was not taken."""
        header = parcel.header
        if lane.is_closed:
            return Disposition.CLOSED
        if header.episode < lane.episode:
            return Disposition.OLD_EPISODE
        if not lane.mailbox.deposit(header.seq, parcel, now_ns):
            return Disposition.DUPLICATE
        self._turn_to(lane, header.episode)
        if lane.stage is Stage.READY and lane.ready is not None:
            lane.mailbox.pass_over(lane.ready.letter)
            lane.ready = None
            lane.stage = Stage.IDLE
        return self._wake(lane)

    def take(self, lane: Slot[SessionT]) -> Letter[QueuedRequest] | None:
        """Return the request to decode; None: it was taken back meanwhile, and the lane is idle."""
        letter = lane.mailbox.take()
        if letter is None:
            lane.stage = Stage.IDLE
        return letter

    def decoded(self, lane: Slot[SessionT], ready: ReadyRequest) -> Disposition:
        """Note that a request's arrays are there: READY, or why it is not wanted any more."""
        verdict = self._verdict(lane, ready.header.episode)
        if verdict is None and not lane.mailbox.is_empty:
            lane.mailbox.pass_over(ready.letter)
            verdict = Disposition.SUPERSEDED
        if verdict is not None:
            return verdict
        lane.ready = ready
        lane.stage = Stage.READY
        return Disposition.READY

    def choose(
        self, profile: Mapping[int, float], now_ns: int, max_batch: int
    ) -> list[tuple[Slot[SessionT], ReadyRequest]]:
        """Take the next batch out; empty if nobody is ready."""
        waiting = {
            lane.session.epoch: (lane, lane.ready) for lane in self._lanes.values() if lane.ready is not None
        }
        if not waiting:
            return []
        candidates = [_candidate(lane, ready) for lane, ready in waiting.values()]
        chosen = self._scheduler(candidates, profile, now_ns, max_batch=max_batch)
        self._batches += 1
        batch = [waiting[candidate.epoch] for candidate in chosen]
        for lane, _ in batch:
            lane.ready, lane.stage, lane.last_served = None, Stage.INFERRING, self._batches
        return batch

    def inferred(self, lane: Slot[SessionT], episode: int) -> Disposition:
        """Say whether the result of a request of `episode` may be sent: PUBLISH, or why not."""
        return self._verdict(lane, episode) or Disposition.PUBLISH

    def release(self, lane: Slot[SessionT]) -> Disposition:
        """Note that nothing is past the mailbox any more: DECODE if there is one in it, else WAIT."""
        lane.stage = Stage.IDLE
        return self._wake(lane)

    def begin_episode(self, lane: Slot[SessionT], episode: int) -> bool:
        """Turn to a new episode; False, and no change, if a newer one has begun."""
        if episode < lane.episode:
            return False
        self._turn_to(lane, episode)
        return True

    @property
    def has_ready(self) -> bool:
        """Somebody can go into a batch."""
        return any(lane.ready is not None for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """Sessions with a request that is not in a batch yet."""
        return sum(lane.stage in (Stage.DECODING, Stage.READY) for lane in self._lanes.values())

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way."""
        return all(lane.stage is Stage.IDLE for lane in self._lanes.values())

    def _turn_to(self, lane: Slot[SessionT], episode: int) -> None:
        """Forget what waits of older episodes."""
        if episode == lane.episode:
            return
        lane.episode = episode
        if lane.ready is not None and lane.ready.header.episode < episode:
            lane.mailbox.pass_over(lane.ready.letter)
            lane.ready = None
            lane.stage = Stage.IDLE
        letter = lane.mailbox.take()
        if letter is not None and letter.item.header.episode < episode:
            lane.mailbox.pass_over(letter)
        elif letter is not None:
            lane.mailbox.put_back(letter)

    def _wake(self, lane: Slot[SessionT]) -> Disposition:
        if lane.stage is not Stage.IDLE or lane.mailbox.is_empty:
            return Disposition.WAIT
        lane.stage = Stage.DECODING
        return Disposition.DECODE

    def _verdict(self, lane: Slot[SessionT], episode: int) -> Disposition | None:
        if lane.is_closed:
            return Disposition.CLOSED
        return Disposition.OLD_EPISODE if episode < lane.episode else None


def _candidate(lane: Slot[SessionT], ready: ReadyRequest) -> Candidate:
    due_ns = ready.letter.arrived_ns + round(ready.request.slack_ms * NS_PER_MS)
    return Candidate(lane.session.epoch, lane.last_served, ready.ready_ns, due_ns)
