"""The plan and what to do in each tick: owned by the control thread, never waiting for anybody."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.buffer import Plan, PlanAction, Source
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.exchange import LinkView, PlanView, Proposal
from vagus.edge.phase import StepClock, TickPhase
from vagus.edge.prefix import Conditioning, condition
from vagus.edge.states import MOTION_TABLE, MotionEvent, next_state
from vagus.types import (
    ActionArray,
    Directive,
    FloatArray,
    LinkState,
    MotionState,
    Provenance,
    SnapshotDraft,
)

__all__ = ["Engine", "EngineContract"]


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


class Engine:
    """Plan, step and motion state of one robot.

    All methods but `propose` and the attributes `link_view` and `plan_view` belong to the control thread.
    """

    def __init__(self, config: EdgeConfig, contract: EngineContract) -> None:
        """Start with an empty plan, waiting for the first chunk.

        Raises:
            ConfigError: the robot ticks slower than the policy steps.
        """
        self._config = config
        self._contract = contract
        rates = {"step_rate_hz": contract.step_rate_hz, "tick_rate_hz": contract.tick_rate_hz}
        self._phase = TickPhase(**rates)
        self._step_clock = StepClock(**rates)
        self._step_ns = round(NS_PER_S / contract.step_rate_hz)
        self._max_age_ns = seconds_to_ns(config.max_action_age_s)
        self._buffer_ns = seconds_to_ns(config.buffer_time_s)
        self._max_offline_ns = seconds_to_ns(config.max_offline_s)
        self._merge_mode = self._resolve_merge_mode()
        self._proposals: deque[Proposal] = deque(maxlen=1)
        self._plan = Plan()
        self._motion = MotionState.WAITING
        self._step = 0
        self._episode = 0
        self._current: PlanAction | None = None
        self._last_knot: ActionArray | None = None
        self._executed = 0
        self._merged: Source | None = None
        self._merges = 0
        self._episode_merged = False
        self._last_ticket = 0
        self._draft: SnapshotDraft | None = None
        self._not_before_ns = -1
        self._is_moving = False
        self._hold_ticks = 0
        self._reseed = True
        self._offline_since_ns: int | None = None
        self._paused_at_ns = 0
        self._playback_left_ns = 0
        self.counters: Counter[str] = Counter()
        self.stop_reason = ""
        self.link_view = LinkView(LinkState.STREAMING, None, 0, 0)
        self.plan_view = self._view(0)

    # -- what others may read ---------------------------------------------------------------------------

    @property
    def motion(self) -> MotionState:
        """What the robot is doing."""
        return self._motion

    @property
    def link(self) -> LinkState:
        """How the link stands."""
        return self.link_view.state

    @property
    def step(self) -> int:
        """Next policy step to be commanded."""
        return self._step

    @property
    def episode(self) -> int:
        """Episode number, raised by every reset."""
        return self._episode

    @property
    def playback_left_ns(self) -> int:
        """Playback left in the plan at the last policy boundary."""
        return self._playback_left_ns

    def propose(self, proposal: Proposal) -> None:
        """Hand over a validated chunk (worker thread); the newest wins."""
        self._proposals.append(proposal)

    # -- every tick -------------------------------------------------------------------------------------

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        """Return what to do in this tick.

        Args:
            now_ns: monotonic time of the tick.
            state: measured state in the policy's order, (state_dim,), float32; copied where it is kept.
        """
        view = self.link_view  # read before the proposals: a new ticket is published after its proposal
        self._draft = None
        self._check_offline(view, now_ns)
        self._merge(view, now_ns)
        directive = self._direct(view, now_ns, state)
        self._is_moving = False
        self.plan_view = self._view(now_ns)
        return directive

    def take_draft(self) -> SnapshotDraft | None:
        """Return the request that became due in the last `advance`, once."""
        draft, self._draft = self._draft, None
        return draft

    def fallback_moved(self, now_ns: int) -> None:
        """A fallback command moved the robot: what was captured up to now no longer describes it."""
        self._not_before_ns = now_ns
        self._is_moving = True

    # -- events -----------------------------------------------------------------------------------------

    def reset(self, *, was_moved: bool = False) -> None:
        """Begin a new episode: the plan is empty, the next request carries the boundary.

        Args:
            was_moved: the robot was put elsewhere without us; start afresh from measured feedback.
        """
        self._transit(MotionEvent.RESET)
        self._episode += 1
        self._episode_merged = False
        self._step = 0
        self._reseed = self._reseed or was_moved
        self._drop_plan()
        self._last_knot = None
        self._step_clock.restart()

    def pause(self, now_ns: int) -> None:
        """A human takes over: nothing is commanded, replies are discarded, the offline budget freezes."""
        self._transit(MotionEvent.PAUSED)
        self._paused_at_ns = now_ns

    def resume(
        self, now_ns: int, *, measured: ActionArray | None = None, keep_plan_within: float | None = None
    ) -> bool:
        """Go on after a pause, with a fresh chunk unless the plan may be kept.

        Args:
            now_ns: monotonic time.
            measured: measured pose in action order, NaN where nothing measures it; needed to keep the plan.
            keep_plan_within: largest difference to the last planned action, in each feature's unit, at which
                the plan is kept; None: never.

        Returns:
            Whether the plan was kept.
        """
        is_kept = self._can_keep(measured, keep_plan_within)
        self._transit(MotionEvent.KEPT if is_kept else MotionEvent.RESUMED)
        if self._offline_since_ns is not None:
            self._offline_since_ns += now_ns - self._paused_at_ns
        self._not_before_ns = now_ns
        self._reseed = True
        if not is_kept:
            self._drop_plan()
            self._step_clock.restart()
        return is_kept

    def stop(self, reason: str) -> None:
        """Stop for good; nothing is commanded afterwards. Twice does nothing."""
        if self._motion is MotionState.STOPPED:
            return
        self._transit(MotionEvent.STOPPED)
        self.stop_reason = reason
        self._drop_plan()
        self.plan_view = self._view(self.plan_view.now_ns)

    # -- merge ------------------------------------------------------------------------------------------

    def _merge(self, view: LinkView, now_ns: int) -> None:
        if not self._proposals:
            return
        proposal = self._proposals.popleft()
        self._follow_clock(now_ns)
        reason = self._why_discarded(proposal, view, now_ns)
        if reason:
            self.counters[reason] += 1
            return
        chunk, source, draft = proposal.chunk, proposal.source, proposal.draft
        if draft.prefix is not None and self._step - draft.step > draft.inference_delay:
            self.counters["delay_underestimated"] += 1
        if self._merge_mode is MergeMode.FINISH:
            self._plan.finish(
                chunk,
                source,
                next_step=self._step,
                now_ns=now_ns,
                max_age_ns=self._max_age_ns,
                step_ns=self._step_ns,
            )
        else:
            self._plan.replace(chunk, source, next_step=self._step)
        if self._motion is not MotionState.PLAYING:
            self._phase.restart()
        self._transit(MotionEvent.MERGED)
        self._merged = source
        self._merges += 1
        self._episode_merged = True
        self._executed = 0
        self._offline_since_ns = None
        self.counters["merged"] += 1

    def _why_discarded(self, proposal: Proposal, view: LinkView, now_ns: int) -> str:
        source, draft = proposal.source, proposal.draft
        rules = (
            ("discarded_paused", self._motion in (MotionState.PAUSED, MotionState.STOPPED)),
            ("old_epoch", source.epoch != view.epoch),
            ("old_episode", draft.episode != self._episode),
            ("moved_since_capture", source.captured_ns <= self._not_before_ns),
            ("superseded", self._is_superseded(source)),
            ("too_late", proposal.chunk.step + len(proposal.chunk) <= self._step),
            ("stale_chunk", now_ns - source.captured_ns > self._max_age_ns),
        )
        return next((name for name, applies in rules if applies), "")

    def _is_superseded(self, source: Source) -> bool:
        merged = self._merged
        return merged is not None and source.epoch == merged.epoch and source.seq <= merged.seq

    # -- motion -----------------------------------------------------------------------------------------

    def _direct(self, view: LinkView, now_ns: int, state: FloatArray) -> Directive:
        if self._motion in (MotionState.PAUSED, MotionState.STOPPED):
            return self._hold(view)
        if self._current is None or self._is_overtaken(self._current, now_ns):
            self._begin_step(view, now_ns, state)
        elif self._current.is_stale(now_ns, self._max_age_ns):
            self._run_out("stale")
        if self._current is None:
            return self._hold(view)
        return self._play(self._current, view, now_ns)

    def _begin_step(self, view: LinkView, now_ns: int, state: FloatArray) -> None:
        """At a policy boundary: ask if it is time to, then take the next action."""
        self._current = None
        self._follow_clock(now_ns)
        playable = self._plan.playable(now_ns, self._max_age_ns, self._step_ns)
        self._playback_left_ns = playable * self._step_ns
        self._draft_if_due(view, now_ns, state)
        if self._motion is not MotionState.PLAYING:
            return
        action = self._plan.peek()
        if action is None:
            self._run_out("starved")
        elif action.is_stale(now_ns, self._max_age_ns):
            self._run_out("stale")
        else:
            self._current = self._plan.pop()
            self._step = action.step + 1
            self._executed += 1

    def _play(self, action: PlanAction, view: LinkView, now_ns: int) -> Directive:
        begin, end, is_done = self._phase.tick()
        if is_done:
            self._current = None
        following = self._plan.peek()
        self._hold_ticks = 0
        self._last_knot = action.robot
        reseed, self._reseed = self._reseed, False
        return Directive(
            motion=MotionState.PLAYING,
            provenance=Provenance(
                epoch=action.source.epoch,
                seq=action.source.seq,
                episode=self._episode,
                step=action.step,
                index=action.index,
                age_ns=now_ns - action.source.captured_ns,
                link=view.state,
                motion=MotionState.PLAYING,
            ),
            knot=action.robot,
            next_knot=None if following is None else following.robot,
            begin=begin,
            end=end,
            step_s=self._step_ns / NS_PER_S,
            reseed=reseed,
        )

    def _hold(self, view: LinkView) -> Directive:
        if self._motion is MotionState.FALLBACK:
            self._hold_ticks += 1
            self.counters["fallback_ticks"] += 1
        reseed = self._reseed and self._motion in (MotionState.WAITING, MotionState.FALLBACK)
        if reseed:
            self._reseed = False
        provenance = Provenance(None, None, self._episode, None, None, None, view.state, self._motion)
        return Directive(self._motion, provenance, step_s=self._step_ns / NS_PER_S, reseed=reseed)

    def _run_out(self, why: str) -> None:
        self.counters[why] += 1
        self._drop_plan()
        self._transit(MotionEvent.RAN_OUT)

    def _drop_plan(self) -> None:
        self._plan.clear()
        self._current = None
        self._draft = None
        self._phase.restart()
        self._hold_ticks = 0
        self._playback_left_ns = 0

    # -- plan clock -------------------------------------------------------------------------------------

    def _follow_clock(self, now_ns: int) -> None:
        """With plan clock `time`, let the actions that fell due pass."""
        due = self._due_step(now_ns)
        if due is None or due <= self._step:
            return
        self.counters["passed_by_clock"] += self._plan.drop_before(due)
        self._step = due

    def _is_overtaken(self, action: PlanAction, now_ns: int) -> bool:
        due = self._due_step(now_ns)
        if due is None or due <= action.step:
            return False
        self._phase.restart()
        return True

    def _due_step(self, now_ns: int) -> int | None:
        if self._config.plan_clock is PlanClock.STEP:
            return None
        return self._step_clock.due_step(now_ns)

    # -- requests ---------------------------------------------------------------------------------------

    def _draft_if_due(self, view: LinkView, now_ns: int, state: FloatArray) -> None:
        if view.ticket <= self._last_ticket or not self._is_due():
            return
        conditioning = self._condition(view)
        self._step_clock.anchor(self._step, now_ns)
        self._last_ticket = view.ticket
        self._draft = SnapshotDraft(
            ticket=view.ticket,
            episode=self._episode,
            step=self._step,
            state=np.array(state, dtype=np.float32),
            captured_ns=now_ns,
            prefix=conditioning.prefix,
            inference_delay=conditioning.inference_delay,
            episode_start=not self._episode_merged,
            slack_ns=self._playback_left_ns,
            prefix_horizon=conditioning.prefix_horizon,
        )

    def _is_due(self) -> bool:
        if self._motion is MotionState.FALLBACK:
            return self._hold_ticks > 0 and not self._is_moving  # while it moves, the answer would be void
        if self._motion is MotionState.WAITING:
            return True
        limit = self._config.execute_horizon
        has_executed = limit is not None and self._executed >= limit
        return has_executed or self._playback_left_ns <= self._buffer_ns

    def _condition(self, view: LinkView) -> Conditioning:
        if not self._contract.uses_rtc:
            return Conditioning()
        return condition(
            self._plan,
            latency_ns=view.latency_ns,
            step_ns=self._step_ns,
            prefix_horizon=self._contract.prefix_horizon,
        )

    # -- the rest ---------------------------------------------------------------------------------------

    def _check_offline(self, view: LinkView, now_ns: int) -> None:
        if self._motion is MotionState.STOPPED:
            return
        if view.state is LinkState.DEAD:
            self.stop("the link is dead")
            return
        if self._motion is MotionState.PAUSED:
            return
        is_in_trouble = view.state is not LinkState.STREAMING or self._motion is not MotionState.PLAYING
        if is_in_trouble and self._offline_since_ns is None:
            self._offline_since_ns = now_ns
        since = self._offline_since_ns
        if since is not None and now_ns - since > self._max_offline_ns:
            self.stop(f"no chunk could be merged for {self._config.max_offline_s:g} s")

    def _can_keep(self, measured: ActionArray | None, tolerance: float | None) -> bool:
        if tolerance is None or measured is None or self._last_knot is None or not len(self._plan):
            return False
        known = np.isfinite(measured)
        return bool(known.any() and (np.abs(measured - self._last_knot)[known] <= tolerance).all())

    def _transit(self, event: MotionEvent) -> None:
        self._motion = next_state(MOTION_TABLE, self._motion, event)

    def _resolve_merge_mode(self) -> MergeMode:
        if self._config.merge is not MergeMode.AUTO:
            return self._config.merge
        return MergeMode.RTC if self._contract.uses_rtc else MergeMode.SWITCH

    def _view(self, now_ns: int) -> PlanView:
        return PlanView(
            now_ns=now_ns,
            episode=self._episode,
            motion=self._motion,
            not_before_ns=self._not_before_ns,
            merged=self._merged,
            merges=self._merges,
            playback_left_ns=self._playback_left_ns,
            step=self._step,
            is_over=self._motion is MotionState.STOPPED,
        )
