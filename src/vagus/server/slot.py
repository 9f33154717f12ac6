"""Slot of one session: at most one request past the mailbox."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vagus.server.mailbox import Letter, Mailbox
from vagus.server.request import DecodedRequest
from vagus.server.sessions import Session
from vagus.server.validate import Terms
from vagus.wire.schema import Header, ResetAck

__all__ = ["EpisodeState", "PendingReset", "QueuedRequest", "ReadyRequest", "Slot", "Stage"]

SessionT = TypeVar("SessionT")


class Stage(enum.Enum):
    """Where the request past the mailbox is."""

    IDLE = "idle"
    DECODING = "decoding"
    READY = "ready"
    INFERRING = "inferring"


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request as it came."""

    header: Header
    payload: bytes


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """A request whose arrays are there; those of one `batch_key` can go through the network together."""

    letter: Letter[QueuedRequest]
    request: DecodedRequest
    decode_ns: int
    ready_ns: int
    batch_key: Hashable = None

    @property
    def header(self) -> Header:
        """The header that it came with."""
        return self.letter.item.header


@dataclass(frozen=True, slots=True)
class PendingReset:
    """An episode boundary that the policy thread is to apply and answer."""

    epoch: int
    episode: int
    answer: Callable[[ResetAck], None]


@dataclass(slots=True)
class EpisodeState(Generic[SessionT]):
    """The policy's state for one robot. Touched by the policy thread only.

    Attributes:
        session: made by the policy.
        episode: whose boundary was applied last, or None before the first.
        is_fresh: nothing was inferred since that boundary.
        is_alone: the policy raised for its last request; the next is no company for others.
    """

    session: SessionT
    episode: int | None = None
    is_fresh: bool = False
    is_alone: bool = False


@dataclass(slots=True, eq=False)
class Slot(Generic[SessionT]):
    """One session on its way through the server. All but `episode_state` is used under the pipeline's lock.

    Attributes:
        session: whose it is.
        terms: what was agreed.
        last_served: number of the batch that served it last.
        episode: newest episode heard of; results of older ones are not published.
        mailbox: the newest request that is not past it.
        stage: where the request past the mailbox is.
        ready: that request in stage READY.
        is_closed: the session is over; nothing is published any more.
        seat: the policy's state.
    """

    session: Session
    terms: Terms
    last_served: int
    episode: int = 0
    mailbox: Mailbox[QueuedRequest] = field(default_factory=Mailbox)
    stage: Stage = Stage.IDLE
    ready: ReadyRequest | None = None
    is_closed: bool = False
    episode_state: EpisodeState[SessionT] | None = None
