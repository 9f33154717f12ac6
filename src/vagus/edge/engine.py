"""What to do in each tick: owned by the control thread, never waiting for anybody."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.buffer import Source
from vagus.edge.config import EdgeConfig, MergeMode
from vagus.edge.exchange import LinkView, PlanView, Proposal
from vagus.edge.offline import OfflineBudget
from vagus.edge.playhead import Playhead, Shortage
from vagus.edge.prefix import Conditioning, condition
from vagus.edge.states import MOTION_TABLE, MotionEvent, next_state
from vagus.types import ActionArray, Directive, FloatArray, LinkState, MotionState, Provenance, SnapshotDraft

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
    """Motion state, requests and merges of one robot.

    All belongs to the control thread but `propose`, `link_view` (set by the worker), and `plan_view` (read
    by it).
    """

    def __init__(self, config: EdgeConfig, contract: EngineContract) -> None:
        """Start with an empty plan, waiting for the first chunk.

        Raises:
            ConfigError: the robot ticks slower than the policy steps.
        """
        self._config = config
        self._contract = contract
        self._playhead = Playhead(
            config, step_rate_hz=contract.step_rate_hz, tick_rate_hz=contract.tick_rate_hz
        )
        self._offline = OfflineBudget(seconds_to_ns(config.max_offline_s))
        self._max_age_ns = seconds_to_ns(config.max_action_age_s)
        self._buffer_ns = seconds_to_ns(config.buffer_time_s)
        self._proposals: deque[Proposal] = deque(maxlen=1)
        self._motion = MotionState.WAITING
        self._episode = 0
        self._has_merged_in_episode = False
        self._last_knot: ActionArray | None = None
        self._merged: Source | None = None
        self._merges = 0
        self._last_ticket = 0
        self._draft: SnapshotDraft | None = None
        self._not_before_ns = -1
        self._hold_ticks = 0
        self._is_moving = False
        self._must_reseed = True
        self._playback_left_ns = 0
        self.counters: Counter[str] = self._playhead.counters
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
        return self._playhead.step

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
        """Return the request that became due in the last `advance`, once. It must be offered or failed."""
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
        self._has_merged_in_episode = False
        self._must_reseed = self._must_reseed or was_moved
        self._last_knot = None
        self._playhead.begin_episode()
        self._after_drop()

    def pause(self, now_ns: int) -> None:
        """A human takes over: nothing is commanded, replies are discarded, the offline budget freezes."""
        self._transit(MotionEvent.PAUSED)
        self._offline.freeze(now_ns)

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
        self._offline.thaw(now_ns)
        self._not_before_ns = now_ns
        self._must_reseed = True
        if not is_kept:
            self._playhead.drop_plan()
            self._playhead.restart_clock()
            self._after_drop()
        return is_kept

    def stop(self, reason: str) -> None:
        """Stop for good; nothing is commanded afterwards. Twice does nothing."""
        if self._motion is MotionState.STOPPED:
            return
        self._transit(MotionEvent.STOPPED)
        self.stop_reason = reason
        self._playhead.drop_plan()
        self._after_drop()
        self.plan_view = self._view(self.plan_view.now_ns)

    # -- merge ------------------------------------------------------------------------------------------

    def _merge(self, view: LinkView, now_ns: int) -> None:
        if not self._proposals:
            return
        proposal = self._proposals.popleft()
        self._playhead.follow_clock(now_ns)
        reason = self._why_discarded(proposal, view, now_ns)
        if reason:
            self.counters[reason] += 1
            return
        draft = proposal.draft
        if draft.prefix is not None and self.step - draft.step > draft.inference_delay:
            self.counters["delay_underestimated"] += 1
        self._playhead.merge(proposal.chunk, proposal.source, self._merge_mode, now_ns)
        self._transit(MotionEvent.MERGED)
        self._merged = proposal.source
        self._merges += 1
        self._has_merged_in_episode = True
        self._offline.clear()
        self.counters["merged"] += 1

    def _why_discarded(self, proposal: Proposal, view: LinkView, now_ns: int) -> str:
        source, draft, merged = proposal.source, proposal.draft, self._merged
        is_superseded = merged is not None and source.epoch == merged.epoch and source.seq <= merged.seq
        rules = (
            ("discarded_paused", self._motion in (MotionState.PAUSED, MotionState.STOPPED)),
            ("old_epoch", source.epoch != view.epoch),
            ("old_episode", draft.episode != self._episode),
            ("moved_since_capture", source.captured_ns <= self._not_before_ns),
            ("superseded", is_superseded),
            ("too_late", proposal.chunk.step + len(proposal.chunk) <= self.step),
            ("stale_chunk", now_ns - source.captured_ns > self._max_age_ns),
        )
        return next((name for name, applies in rules if applies), "")

    @property
    def _merge_mode(self) -> MergeMode:
        if self._config.merge is not MergeMode.AUTO:
            return self._config.merge
        return MergeMode.RTC if self._contract.uses_rtc else MergeMode.SWITCH

    # -- motion -----------------------------------------------------------------------------------------

    def _direct(self, view: LinkView, now_ns: int, state: FloatArray) -> Directive:
        if self._motion in (MotionState.PAUSED, MotionState.STOPPED):
            return self._hold(view)
        is_boundary = self._playhead.is_at_boundary(now_ns)
        if is_boundary:
            self._playhead.follow_clock(now_ns)
            self._playback_left_ns = self._playhead.playback_left_ns(now_ns)
        shortage = self._playhead.shortage(now_ns) if self._motion is MotionState.PLAYING else None
        if shortage is not None:
            self._run_out(shortage)
        elif is_boundary:
            self._draft_if_due(view, now_ns, state)  # before the action is taken: the prefix begins with it
        if self._motion is not MotionState.PLAYING:
            return self._hold(view)
        if is_boundary:
            self._playhead.take()
        return self._play(view, now_ns)

    def _play(self, view: LinkView, now_ns: int) -> Directive:
        playing = self._playhead.play()
        action, source = playing.action, playing.action.source
        self._hold_ticks = 0
        self._last_knot = action.robot
        reseed, self._must_reseed = self._must_reseed, False
        age_ns = now_ns - source.captured_ns
        provenance = Provenance(
            source.epoch,
            source.seq,
            self._episode,
            action.step,
            action.index,
            age_ns,
            view.state,
            self._motion,
        )
        return Directive(
            motion=self._motion,
            provenance=provenance,
            knot=action.robot,
            next_knot=playing.next_knot,
            begin=playing.begin,
            end=playing.end,
            step_s=self._playhead.step_ns / NS_PER_S,
            reseed=reseed,
        )

    def _hold(self, view: LinkView) -> Directive:
        if self._motion is MotionState.FALLBACK:
            self._hold_ticks += 1
            self.counters["fallback_ticks"] += 1
        is_idle = self._motion in (MotionState.PAUSED, MotionState.STOPPED)
        reseed = self._must_reseed and not is_idle
        self._must_reseed = self._must_reseed and is_idle
        provenance = Provenance(None, None, self._episode, None, None, None, view.state, self._motion)
        return Directive(self._motion, provenance, step_s=self._playhead.step_ns / NS_PER_S, reseed=reseed)

    def _run_out(self, shortage: Shortage) -> None:
        self.counters[shortage.value] += 1
        self._playhead.drop_plan()
        self._after_drop()
        self._transit(MotionEvent.RAN_OUT)

    def _after_drop(self) -> None:
        self._draft = None
        self._hold_ticks = 0
        self._playback_left_ns = 0

    # -- requests ---------------------------------------------------------------------------------------

    def _draft_if_due(self, view: LinkView, now_ns: int, state: FloatArray) -> None:
        if view.ticket <= self._last_ticket or not self._is_due():
            return
        conditioning = self._condition(view)
        self._playhead.anchor_clock(now_ns)
        self._last_ticket = view.ticket
        self._draft = SnapshotDraft(
            ticket=view.ticket,
            episode=self._episode,
            step=self.step,
            state=np.array(state, dtype=np.float32),
            captured_ns=now_ns,
            prefix=conditioning.prefix,
            inference_delay=conditioning.inference_delay,
            episode_start=not self._has_merged_in_episode,
            slack_ns=self._playback_left_ns,
            prefix_horizon=conditioning.prefix_horizon,
        )

    def _is_due(self) -> bool:
        if self._motion is MotionState.FALLBACK:
            return self._hold_ticks > 0 and not self._is_moving  # while it moves, the answer would be void
        if self._motion is MotionState.WAITING:
            return True
        limit = self._config.execute_horizon
        has_executed = limit is not None and self._playhead.executed >= limit
        return has_executed or self._playback_left_ns <= self._buffer_ns

    def _condition(self, view: LinkView) -> Conditioning:
        if not self._contract.uses_rtc:
            return Conditioning()
        return condition(
            self._playhead.plan,
            latency_ns=view.latency_ns,
            step_ns=self._playhead.step_ns,
            prefix_horizon=self._contract.prefix_horizon,
        )

    # -- the rest ---------------------------------------------------------------------------------------

    def _check_offline(self, view: LinkView, now_ns: int) -> None:
        if view.state is LinkState.DEAD:
            self.stop("the link is dead")
            return
        if self._motion in (MotionState.PAUSED, MotionState.STOPPED):
            return
        if view.state is not LinkState.STREAMING or self._motion is not MotionState.PLAYING:
            self._offline.note_trouble(now_ns)
        if self._offline.is_spent(now_ns):
            self.stop(f"no chunk could be merged for {self._config.max_offline_s:g} s")

    def _can_keep(self, measured: ActionArray | None, tolerance: float | None) -> bool:
        if tolerance is None or measured is None or self._last_knot is None or not len(self._playhead.plan):
            return False
        known = np.isfinite(measured)
        return bool(known.any() and (np.abs(measured - self._last_knot)[known] <= tolerance).all())

    def _transit(self, event: MotionEvent) -> None:
        self._motion = next_state(MOTION_TABLE, self._motion, event)

    def _view(self, now_ns: int) -> PlanView:
        return PlanView(
            now_ns=now_ns,
            episode=self._episode,
            motion=self._motion,
            not_before_ns=self._not_before_ns,
            merged=self._merged,
            merges=self._merges,
            playback_left_ns=self._playback_left_ns,
            step=self.step,
            is_over=self._motion is MotionState.STOPPED,
        )
