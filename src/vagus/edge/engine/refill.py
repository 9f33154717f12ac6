"""Decides when a request is due, and builds it: at most one for each time the worker asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.asking import observe_steps
from vagus.edge.config import AUTO, EdgeConfig, ExecuteHorizon
from vagus.edge.engine.plan import Plan
from vagus.edge.engine.playback import Playback
from vagus.edge.engine.tally import Tally
from vagus.edge.handoff import EngineContract, LinkView, Source
from vagus.types import FloatArray, Prefix, RequestDraft

__all__ = ["Conditioning", "Refill", "RequestRule", "condition"]


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


def condition(
    plan: Plan, *, latency_ns: int, step_ns: int, prefix_horizon: int, is_extended: bool = False
) -> Conditioning:
    """Return the conditioning of a request taken at the boundary of the plan's next step.

    The prefix holds planned actions, not limited commands: the policy continues its own intent.

    Args:
        plan: the running plan.
        latency_ns: expected time from the request to the merge of its reply.
        step_ns: length of a policy step.
        prefix_horizon: where guidance ends, in steps.
        is_extended: chunks that are awaited extend the plan, so the reply may act after its end.
    """
    expected_delay = -(-latency_ns // step_ns)
    prefix = plan.prefix(max(prefix_horizon, expected_delay))
    if prefix is None:
        return Conditioning()
    delay = expected_delay if is_extended else min(expected_delay, len(prefix))
    return Conditioning(prefix, delay, max(prefix_horizon, delay))


@dataclass(frozen=True, slots=True)
class RequestRule:
    """Rule by which a robot requests the next chunk. The server may ask for patience, within bounds.

    Attributes:
        buffer_ns: a plan that ends in less than this time is short.
        execute_horizon: a chunk of which so many actions were executed is used up; None: by buffer time only;
            auto: as soon as a fresher one is worth it, and the server has room.
        step_ns: length of a policy step.
        max_interval_ns: longest time between two requests that a server can ask for.
        continues_plan: chunks continue the running plan.
    """

    buffer_ns: int
    execute_horizon: ExecuteHorizon
    step_ns: int
    max_interval_ns: int
    continues_plan: bool

    @classmethod
    def of(cls, config: EdgeConfig, *, step_rate_hz: float, continues_plan: bool = False) -> RequestRule:
        """Return the rule of a robot with these settings."""
        return cls(
            buffer_ns=seconds_to_ns(config.buffer_time_s),
            execute_horizon=config.execute_horizon,
            step_ns=round(NS_PER_S / step_rate_hz),
            max_interval_ns=seconds_to_ns(config.max_action_age_s),
            continues_plan=continues_plan,
        )

    def is_due(
        self,
        link: LinkView,
        *,
        horizon: int,
        executed: int,
        playback_left_ns: int,
        since_request_ns: int | None,
    ) -> bool:
        """Whether a running plan needs its successor, and can have it before it ends.

        A reply that cannot be there in time finds a robot that came to a stand after its observation: it is
        void, and the server would be busy with it when it is asked again. Replies that are awaited make the
        plan longer, so another request is not in vain, and only sent for a fresher plan.

        Args:
            link: how the link stands, with what the server asks for.
            horizon: actions in the running chunk, those that came too late included.
            executed: actions of the running chunk that were executed.
            playback_left_ns: how long the plan can still be played.
            since_request_ns: time since the last request was captured; None: it does not count.
        """
        is_in_vain = playback_left_ns < link.fastest_ns and not link.in_flight
        if is_in_vain or not self.may_ask_again(link, since_request_ns):
            return False
        is_short = playback_left_ns <= self.buffer_ns and not link.in_flight
        is_short = is_short or self._is_used_up(link, horizon, executed, since_request_ns)
        if link.in_flight and since_request_ns is not None:
            return is_short and not self._asked_lately(link, since_request_ns)
        return is_short and not self._should_execute_more(link, executed, playback_left_ns)

    def _is_used_up(self, link: LinkView, horizon: int, executed: int, since_request_ns: int | None) -> bool:
        """Whether a plan that is not short is replaced all the same: by what was executed, or by its age."""
        if self.execute_horizon is None:
            return False
        if self.execute_horizon != AUTO:
            return executed >= self.execute_horizon
        wanted_ns = observe_steps(horizon, continues_plan=self.continues_plan) * self.step_ns
        interval_ns = max(wanted_ns - self.step_ns // 2, link.share_ns)  # half a step: ticks are not exact
        return since_request_ns is None or since_request_ns >= interval_ns

    def may_ask_again(self, link: LinkView, since_request_ns: int | None) -> bool:
        """Whether the server's shortest interval between two requests is over, as far as it is obeyed."""
        if since_request_ns is None:
            return True
        return since_request_ns >= min(link.min_interval_ns, self.max_interval_ns)

    def _asked_lately(self, link: LinkView, since_request_ns: int) -> bool:
        """Whether fewer steps passed since the last request than should be executed between two.

        Merges begin the count of executed actions anew, and here several requests fall between two merges.
        """
        return since_request_ns < link.least_executed * self.step_ns - self.step_ns // 2

    def _should_execute_more(self, link: LinkView, executed: int, playback_left_ns: int) -> bool:
        """Whether the horizon that was agreed on is not reached; a plan that could run dry does not wait."""
        is_safe = playback_left_ns > link.latency_ns + self.step_ns
        return is_safe and executed < link.least_executed


class Refill:
    """Holds a draft until it is taken. A draft that is not taken gives its ask back: no ask is lost."""

    def __init__(self, config: EdgeConfig, contract: EngineContract) -> None:
        self._contract = contract
        self.rule = RequestRule.of(
            config, step_rate_hz=contract.step_rate_hz, continues_plan=contract.uses_rtc
        )
        self._tally = Tally(steps_per_tick=contract.step_rate_hz / contract.tick_rate_hz)
        self._answered = 0
        self._captured_ns: int | None = None
        self._captured_before_ns: int | None = None
        self._has_merged_in_episode = False
        self._settled: Source | None = None
        self._draft: RequestDraft | None = None

    def begin_episode(self) -> None:
        """Mark drafts as the first of an episode from now on."""
        self._has_merged_in_episode = False

    def note_merge(self) -> None:
        """Note that a chunk was merged, in the running episode."""
        self._has_merged_in_episode = True

    def note_settled(self, source: Source) -> None:
        """Note that the chunk of this request was merged or kept out: nobody waits for it any longer."""
        last = self._settled
        if last is None or last.epoch != source.epoch or last.seq < source.seq:
            self._settled = source

    def note_play(self, age_ns: int) -> None:
        """Note that an action was commanded whose observation is of this age."""
        self._tally.play(age_ns)

    def note_starved(self) -> None:
        """Note a tick without an action; before the first chunk of an episode nothing is missed."""
        if self._has_merged_in_episode:
            self._tally.starve()

    def wants(self, ticket: int) -> bool:
        """Whether the worker's newest ask is still without a draft."""
        return ticket > self._answered

    def since_request_ns(self, now_ns: int) -> int | None:
        """Return the time since the last request was captured.

        None before the first chunk of an episode: no server holds back its request.
        """
        if self._captured_ns is None or not self._has_merged_in_episode:
            return None
        return now_ns - self._captured_ns

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
        conditioning, settled = self._condition(view, playback), self._settled
        playback.anchor_clock(now_ns)
        self._answered = view.ticket
        self._captured_before_ns, self._captured_ns = self._captured_ns, now_ns
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
            fared=self._tally.report(),
            settled_seq=0 if settled is None or settled.epoch != view.epoch else settled.seq,
        )

    def take(self) -> RequestDraft | None:
        """Take the draft, once. It must be offered or failed."""
        draft, self._draft = self._draft, None
        return draft

    def withdraw(self) -> None:
        """Withdraw a draft that was not taken, or is void: its ask stands again."""
        if self._draft is not None:
            self._answered = self._draft.ticket - 1
            self._captured_ns = self._captured_before_ns
            self._tally.give_back(self._draft.fared)
            self._draft = None

    def _condition(self, view: LinkView, playback: Playback) -> Conditioning:
        if not self._contract.uses_rtc:
            return Conditioning()
        return condition(
            playback.plan,
            latency_ns=view.latency_ns if view.delay_ns is None else view.delay_ns,
            step_ns=playback.step_ns,
            prefix_horizon=self._contract.prefix_horizon,
            is_extended=view.in_flight > 0,
        )
