"""Values that the control thread and the worker exchange: immutable, each replaced whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from vagus.types import ActionChunk, LinkState, MotionState, RequestDraft

__all__ = ["EngineContract", "EngineSide", "LinkView", "PlanView", "Proposal", "Settled", "Source"]


@dataclass(frozen=True, slots=True)
class EngineContract:
    """What the engine must know of the policy.

    Attributes:
        step_rate_hz: policy steps per second.
        tick_rate_hz: robot ticks per second.
        uses_rtc: requests carry a prefix.
        prefix_horizon: where guidance ends, in steps.
    """

    step_rate_hz: float
    tick_rate_hz: float
    uses_rtc: bool
    prefix_horizon: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """Worker → control thread: how the link stands.

    Attributes:
        state: link state.
        epoch: session whose chunks may be merged; None while there is none.
        ticket: the worker's newest ask; a draft answers it at most once.
        latency_ns: worst round trip of the window.
        fastest_ns: best round trip of the window, 0 while there is none.
        least_executed: actions of a chunk that the server wants executed before the next request; 0: as it
            likes.
        min_interval_ns: shortest time between two requests that the server wants; 0: none.
        delay_ns: round trip that real-time chunking is told; None: the worst one.
        share_ns: time between two requests at which this robot uses no more than its part of the server; 0:
            not known.
        in_flight: requests whose replies are awaited. Another one is sent only for a fresher plan.
    """

    state: LinkState
    epoch: int | None
    ticket: int
    latency_ns: int
    fastest_ns: int = 0
    least_executed: int = 0
    min_interval_ns: int = 0
    delay_ns: int | None = None
    share_ns: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """The request behind a chunk: session epoch, request number, capture stamp."""

    epoch: int
    seq: int
    captured_ns: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """Worker → control thread: a validated chunk.

    Attributes:
        chunk: finite, of the contract's widths.
        source: the request it answers.
        draft: what that request was made of.
    """

    chunk: ActionChunk
    source: Source
    draft: RequestDraft


@dataclass(frozen=True, slots=True)
class Settled:
    """Engine → control thread: a chunk that was merged or kept out in this tick.

    Attributes:
        proposal: the chunk and its request.
        next_step: policy step that was to be commanded next.
        outcome: the counter that counted it: "merged", or the rule that kept it out.
    """

    proposal: Proposal
    next_step: int
    outcome: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """Control thread → worker: how the plan stands.

    Attributes:
        episode: episode number; requests of older ones are void.
        motion: motion state.
        not_before_ns: replies to observations captured up to here would be discarded.
        merges: chunks merged so far.
        gave_up: why the engine stopped for want of a server; "" while it did not.
        ends_ns: when the plan ends or grows stale, as of the last policy boundary; 0: there is none.
    """

    episode: int = 0
    motion: MotionState = MotionState.WAITING
    not_before_ns: int = -1
    merges: int = 0
    gave_up: str = ""
    ends_ns: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing will be commanded any more."""
        return self.motion is MotionState.STOPPED


class EngineSide(Protocol):
    """What the worker sees of the engine; each of these is replaced whole, and never waited for.

    Attributes:
        link_view: set by the worker.
        plan_view: set by the control thread.
        counters: what the engine has counted; copied before it is read.
    """

    link_view: LinkView
    plan_view: PlanView
    counters: Counter[str]

    def propose(self, proposal: Proposal) -> None:
        """Offer a chunk; a newer one takes the place of one that was not merged yet (worker)."""
        ...
