"""Decides which chunks may enter the plan: the last check before one can move the robot."""

from __future__ import annotations

from collections import deque

from vagus.edge.handoff import PlanView, Proposal, Source
from vagus.types import MotionState

__all__ = ["Acceptance"]

MAX_WAITING = 16
"""Proposals that may wait for a tick; the worker makes one per request, and has few requests in flight."""


class Acceptance:
    """Slot for one proposal, and the rules that decide whether it may be merged.

    Attributes:
        replaced: proposals that the last `take` left out, because a newer one had come.
        merges: chunks merged so far.
    """

    def __init__(self, max_age_ns: int) -> None:
        self._max_age_ns = max_age_ns
        self._slot: deque[Proposal] = deque(maxlen=MAX_WAITING)
        self._newest: Source | None = None
        self.replaced: tuple[Proposal, ...] = ()
        self.merges = 0

    def put(self, proposal: Proposal) -> None:
        """Hand over a proposal (worker thread); the last one put wins."""
        self._slot.append(proposal)

    def take(self) -> Proposal | None:
        """Take the newest proposal out of the slot, or None; older ones are in `replaced`."""
        waiting: list[Proposal] = []
        while self._slot:
            waiting.append(self._slot.popleft())
        self.replaced = tuple(waiting[:-1])
        return waiting[-1] if waiting else None

    def accept(self, source: Source) -> None:
        """Note that the chunk of this request was merged."""
        self._newest = source
        self.merges += 1

    def why_discarded(
        self, proposal: Proposal, plan: PlanView, *, epoch: int | None, step: int, now_ns: int
    ) -> str:
        """Return the counter of the rule that keeps this chunk out, or "" if it may be merged.

        Args:
            proposal: the chunk and its request.
            plan: episode, motion, and up to when captures no longer describe the robot.
            epoch: session whose chunks may be merged; None while there is none.
            step: next policy step to be commanded.
            now_ns: time of the tick.
        """
        source, chunk, newest = proposal.source, proposal.chunk, self._newest
        is_superseded = newest is not None and source.epoch == newest.epoch and source.seq <= newest.seq
        is_idle = plan.motion in (MotionState.PAUSED, MotionState.STOPPED)
        rules = (
            ("discarded_paused", is_idle),
            ("discarded_epoch", source.epoch != epoch),
            ("discarded_episode", proposal.draft.episode != plan.episode),
            ("moved_since_capture", source.captured_ns <= plan.not_before_ns),
            ("discarded_superseded", is_superseded),
            ("too_late", chunk.step + len(chunk) <= step),
            ("stale_chunk", now_ns - source.captured_ns > self._max_age_ns),
        )
        return next((name for name, applies in rules if applies), "")
