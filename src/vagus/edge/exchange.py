"""What the control thread and the worker tell each other: immutable values, each replaced whole."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.edge.buffer import Source
from vagus.types import ActionChunk, LinkState, MotionState, SnapshotDraft

__all__ = ["LinkView", "PlanView", "Proposal"]


@dataclass(frozen=True, slots=True)
class LinkView:
    """Worker → control thread: how the link stands.

    Attributes:
        state: link state.
        epoch: session whose chunks may be merged; None before the first.
        ticket: the worker's newest ask; a draft answers it at most once.
        latency_ns: worst round trip of the window.
    """

    state: LinkState
    epoch: int | None
    ticket: int
    latency_ns: int


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
    draft: SnapshotDraft


@dataclass(frozen=True, slots=True)
class PlanView:
    """Control thread → worker: how the plan stands.

    Attributes:
        now_ns: time of the tick.
        episode: episode number; requests of older ones are void.
        motion: motion state.
        not_before_ns: replies to observations captured up to here would be discarded.
        merged: request behind the newest merge.
        merges: how many there were.
        playback_left_ns: playback left in the plan.
        step: next step to be commanded.
        is_over: nothing will be commanded any more.
    """

    now_ns: int
    episode: int
    motion: MotionState
    not_before_ns: int
    merged: Source | None
    merges: int
    playback_left_ns: int
    step: int
    is_over: bool
