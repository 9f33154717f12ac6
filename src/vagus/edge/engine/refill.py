"""Builds the request at a policy step, at most one for each time the worker asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vagus.clock import seconds_to_ns
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.plan import Plan
from vagus.edge.engine.playback import Playback
from vagus.edge.handoff import EngineContract, LinkView
from vagus.types import FloatArray, Prefix, RequestDraft

__all__ = ["Conditioning", "Refill", "condition"]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Prefix of one request.

    Attributes:
        prefix: the running plan from s0 on, real length, never padded; None: nothing to continue.
        inference_delay: steps that will be executed before the reply can act; 0 without a prefix.
        prefix_horizon: where guidance ends, in steps after s0; 0 without a prefix.
    """

    prefix: Prefix | None = None
    inference_delay: int = 0
    prefix_horizon: int = 0


def condition(plan: Plan, *, latency_ns: int, step_ns: int, prefix_horizon: int) -> Conditioning:
    """Return the conditioning of a request taken at the boundary of the plan's next step.

    The prefix holds planned actions, not limited commands: the policy continues its own intent.
    """
    expected_delay = -(-latency_ns // step_ns)
    prefix = plan.prefix(max(prefix_horizon, expected_delay))
    if prefix is None:
        return Conditioning()
    delay = min(expected_delay, len(prefix))
    return Conditioning(prefix, delay, max(prefix_horizon, delay))


class Refill:
    """Holds a draft until it is taken. A draft that is not taken gives its ask back: no ask is lost."""

    def __init__(self, config: EdgeConfig, contract: EngineContract) -> None:
        self._contract = contract
        self._buffer_ns = seconds_to_ns(config.buffer_time_s)
        self._execute_horizon = config.execute_horizon
        self._answered = 0
        self._has_merged_in_episode = False
        self._draft: RequestDraft | None = None

    def begin_episode(self) -> None:
        """Mark drafts as the first of an episode from now on."""
        self._has_merged_in_episode = False

    def note_merge(self) -> None:
        """Note that a chunk of the running episode was merged."""
        self._has_merged_in_episode = True

    def wants(self, ticket: int) -> bool:
        """Whether the worker's newest ask is still without a draft."""
        return ticket > self._answered

    def is_plan_short(self, *, executed: int, playback_left_ns: int, fastest_ns: int = 0) -> bool:
        """Whether a running plan needs its successor, and can have it before it ends.

        A reply that cannot be there in time finds a robot that came to a stand after its observation: it is
        void, and the server would be busy with it when it is asked again.
        """
        has_executed = self._execute_horizon is not None and executed >= self._execute_horizon
        return fastest_ns <= playback_left_ns and (has_executed or playback_left_ns <= self._buffer_ns)

    def draft(
        self,
        view: LinkView,
        playback: Playback,
        now_ns: int,
        state: FloatArray,
        *,
        episode: int,
        slack_ns: int,
    ) -> None:
        """Answer the worker's newest ask with the step that begins now.

        Args:
            view: how the link stands, with that ask.
            playback: the plan and its next step.
            now_ns: time of the tick.
            state: measured state, (state_dim,); copied.
            episode: running episode.
            slack_ns: how long the plan can still be played.
        """
        conditioning = self._condition(view, playback)
        playback.anchor_clock(now_ns)
        self._answered = view.ticket
        self._draft = RequestDraft(
            ticket=view.ticket,
            episode=episode,
            step=playback.step,
            state=np.array(state, dtype=np.float32),
            captured_ns=now_ns,
            prefix=conditioning.prefix,
            inference_delay=conditioning.inference_delay,
            episode_start=not self._has_merged_in_episode,
            slack_ns=slack_ns,
            prefix_horizon=conditioning.prefix_horizon,
        )

    def take(self) -> RequestDraft | None:
        """Take the draft, once. It must be offered or failed."""
        draft, self._draft = self._draft, None
        return draft

    def withdraw(self) -> None:
        """Withdraw a draft that was not taken, or is void: its ask stands again."""
        if self._draft is not None:
            self._answered = self._draft.ticket - 1
            self._draft = None

    def _condition(self, view: LinkView, playback: Playback) -> Conditioning:
        if not self._contract.uses_rtc:
            return Conditioning()
        return condition(
            playback.plan,
            latency_ns=view.latency_ns,
            step_ns=playback.step_ns,
            prefix_horizon=self._contract.prefix_horizon,
        )
