"""Slot of one session: its newest request, the stage of it, and the policy's state for its robot."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from vagus.clock import NS_PER_MS
from vagus.server.awaited_chunks import UnderWay
from vagus.server.mailbox import Mailbox, QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.wire.schema import Header, ResetAck

__all__ = ["BatchRows", "EpisodeState", "PendingReset", "ReadyRequest", "Slot", "Stage", "gain_s"]

MAX_SLACK_MS = 60_000.0
"""Longest time after its arrival at which a request is due, whatever its robot says."""

BATCHES_SEEN = 7
"""Batches of a session whose slowness is known."""

MS_PER_S = 1000

SessionT = TypeVar("SessionT")


class Stage(enum.Enum):
    """Stage of the request that has left the mailbox."""

    IDLE = "idle"
    DECODING = "decoding"
    READY = "ready"
    INFERRING = "inferring"


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """Decoded request.

    Attributes:
        queued: the request as it was received.
        request: the same, decoded.
        decode_ns: time that decoding took.
        ready_ns: time at which it was decoded.
        batch_key: requests with the same key can share one forward pass.
        gain_s: time that the answer adds to what the robot can play; 0: not known.
        due_ns: time by which the answer must leave for the robot to have it before its plan ends. A robot is
            not believed beyond reason: no answer is due before its request came, nor so late that a scheduler
            could forget it.
    """

    queued: QueuedRequest
    request: DecodedRequest
    decode_ns: int
    ready_ns: int
    batch_key: Hashable = None
    gain_s: float = 0.0
    due_ns: int = field(init=False)

    def __post_init__(self) -> None:
        slack_ms = self.request.slack_ms - max(self.request.network_ms, 0.0)
        slack_ns = round(min(max(slack_ms, 0.0), MAX_SLACK_MS) * NS_PER_MS)
        object.__setattr__(self, "due_ns", self.queued.arrived_ns + slack_ns)

    @property
    def header(self) -> Header:
        """Header of the request."""
        return self.queued.header

    @property
    def plays_ns(self) -> int:
        """How long its robot plays a whole chunk; 0: not known."""
        slack_ms = min(max(self.request.slack_ms, 0.0), MAX_SLACK_MS)
        return round((self.gain_s * MS_PER_S + slack_ms) * NS_PER_MS) if self.gain_s else 0


def gain_s(request: DecodedRequest, *, horizon: int, rate_hz: float) -> float:
    """Return the time that an answer adds to what its robot can play, in seconds: a chunk, less what it has.

    Args:
        request: the request.
        horizon: actions in a chunk.
        rate_hz: actions that the robot executes per second; 0: not known, and so is the gain: 0.
    """
    if rate_hz <= 0:
        return 0.0
    left_s = min(max(request.slack_ms, 0.0), MAX_SLACK_MS) / MS_PER_S
    return min(max(horizon / rate_hz - left_s, 0.0), MAX_SLACK_MS / MS_PER_S)


@dataclass(frozen=True, slots=True)
class PendingReset:
    """Reset that the policy thread must apply and answer."""

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
        under_way: newest chunks of this episode, which its robot may not execute yet.
    """

    session: SessionT
    episode: int | None = None
    is_fresh: bool = False
    is_alone: bool = False
    under_way: UnderWay = field(default_factory=UnderWay)

    def has_begun(self, episode: int, *, is_start: bool) -> bool:
        """Return whether `episode` has begun, and nothing was inferred in it if a request says it starts."""
        return self.episode == episode and (self.is_fresh or not is_start)


@dataclass(slots=True, eq=False)
class Slot(Generic[SessionT]):
    """Slot of one session. All fields are used under the pipeline's lock, but `episode_state`.

    Attributes:
        session: the session of the slot.
        terms: terms of the session.
        last_served: number of the batch that served it last.
        episode: newest known episode; results of older episodes are not published.
        mailbox: mailbox with the newest request.
        stage: stage of the request that has left the mailbox.
        ready: this request, in stage READY.
        reset: boundary that the policy thread must apply, the newest.
        is_closed: the session is over; nothing is published any more.
        episode_state: the policy's state for this robot; the policy thread alone uses it.
        waits_since_ns: time since which its requests wait for a batch: a newer one that takes the place of
            another waits as long as both.
        slowness: times of its newest batches, each divided by what such a batch takes.
    """

    session: Session
    terms: Terms
    last_served: int
    episode: int = 0
    mailbox: Mailbox = field(default_factory=Mailbox)
    stage: Stage = Stage.IDLE
    ready: ReadyRequest | None = None
    reset: PendingReset | None = None
    is_closed: bool = False
    episode_state: EpisodeState[SessionT] | None = None
    waits_since_ns: int | None = None
    slowness: deque[float] = field(default_factory=lambda: deque(maxlen=BATCHES_SEEN))


BatchRows: TypeAlias = Sequence[tuple[Slot[SessionT], ReadyRequest]]
"""Rows of a batch: the slots, each with its request."""
