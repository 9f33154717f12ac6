"""The engine: decides what to do in each tick. It belongs to the control thread and never waits."""

from __future__ import annotations

from collections import Counter

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.acceptance import Acceptance
from vagus.edge.engine.offline_budget import OfflineBudget
from vagus.edge.engine.playback import Gap, Playback, Shortage, hold_directive, plain_gap, play_directive
from vagus.edge.engine.refill import Refill
from vagus.edge.handoff import EngineContract, LinkView, PlanView, Proposal, Settled
from vagus.edge.states import MOTION_TABLE, MotionEvent, next_state
from vagus.types import ActionArray, Directive, FloatArray, LinkState, MotionState, RequestDraft

__all__ = ["Engine"]


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
        self._playback = Playback(
            config,
            step_rate_hz=contract.step_rate_hz,
            tick_rate_hz=contract.tick_rate_hz,
            prefix_horizon=contract.prefix_horizon,
        )
        self._step_s = self._playback.step_ns / NS_PER_S
        self._offline = OfflineBudget(seconds_to_ns(config.max_offline_s))
        self._acceptance = Acceptance(seconds_to_ns(config.max_action_age_s))
        self._refill = Refill(config, contract)
        self._motion = MotionState.WAITING
        self._episode = 0
        self._not_before_ns = -1
        self._has_held = False
        self._is_moving = False
        self._must_reseed = True
        self._playback_left_ns = 0
        self._ends_ns = 0
        self._settled: tuple[Settled, ...] = ()
        self.counters: Counter[str] = self._playback.counters
        self._gave_up = ""
        self.stop_reason = ""
        self.link_view = LinkView(LinkState.CONNECTING, None, 0, 0)
        self.plan_view = PlanView()

    # -- what others may read ---------------------------------------------------------------------------

    @property
    def motion(self) -> MotionState:
        """Motion state."""
        return self._motion

    @property
    def link(self) -> LinkState:
        """State of the link."""
        return self.link_view.state

    @property
    def step(self) -> int:
        """Next policy step to be commanded."""
        return self._playback.step

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
        self._acceptance.put(proposal)

    # -- every tick -------------------------------------------------------------------------------------

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        """Return the directive of this tick.

        Args:
            now_ns: monotonic time of the tick.
            state: measured state in the policy's order, (state_dim,), float32; copied where it is kept.
        """
        view = self.link_view  # read before the proposals: a new ticket is published after its proposal
        self._refill.withdraw()
        self._playback.follow_clock(now_ns)
        self._check_offline(view, now_ns)
        self._merge(view, now_ns)
        directive = self._direct(view, now_ns, state)
        self._is_moving = False
        self._publish()
        return directive

    def take_draft(self) -> RequestDraft | None:
        """Return the request that became due in the last `advance`, once. It must be offered or failed."""
        return self._refill.take()

    def take_settled(self) -> tuple[Settled, ...]:
        """Return the chunks that the last `advance` merged or kept out, once, the newest last."""
        settled, self._settled = self._settled, ()
        return settled

    def fallback_moved(self, now_ns: int) -> None:
        """Note that a fallback command moved the robot: observations up to now do not describe it."""
        self._not_before_ns = now_ns
        self._is_moving = True
        self._refill.withdraw()

    # -- events -----------------------------------------------------------------------------------------

    def reset(self, *, was_moved: bool = False) -> None:
        """Begin a new episode: the plan is empty, the next request carries the boundary.

        Args:
            was_moved: the robot was put elsewhere without us; start afresh from measured feedback.
        """
        self._transit(MotionEvent.RESET)
        self._episode += 1
        self._refill.begin_episode()
        self._must_reseed = self._must_reseed or was_moved
        self._playback.begin_episode()
        self._after_drop()
        self._publish()

    def pause(self, now_ns: int) -> None:
        """Pause for a human: nothing is commanded, replies are discarded, the offline budget freezes."""
        self._transit(MotionEvent.PAUSED)
        self._refill.withdraw()
        self._offline.freeze(now_ns)
        self._publish()

    def resume(
        self,
        now_ns: int,
        *,
        measured: ActionArray | None = None,
        keep_plan_within: float | None = None,
        gap: Gap = plain_gap,
    ) -> bool:
        """Go on after a pause, with a fresh chunk unless the plan may be kept.

        Args:
            now_ns: monotonic time.
            measured: measured pose in action order, NaN where nothing measures it; needed to keep the plan.
            keep_plan_within: largest difference to the last planned action, in each feature's unit, at which
                the plan is kept; None: never.
            gap: how far apart two actions are, which is not their difference for angles and orientations.

        Returns:
            Whether the plan was kept.
        """
        is_kept = (
            measured is not None
            and keep_plan_within is not None
            and self._playback.is_near(measured, tolerance=keep_plan_within, gap=gap)
        )
        self._transit(MotionEvent.KEPT if is_kept else MotionEvent.RESUMED)
        self._offline.thaw(now_ns)
        self._not_before_ns = now_ns
        self._must_reseed = True
        if not is_kept:
            self._playback.drop_plan()
            self._playback.restart_clock()
            self._after_drop()
        self._publish()
        return is_kept

    def stop(self, reason: str) -> None:
        """Stop for good; nothing is commanded afterwards. Twice does nothing."""
        if self._motion is MotionState.STOPPED:
            return
        self._transit(MotionEvent.STOPPED)
        self.stop_reason = reason
        self._after_drop()
        self._publish()

    # -- merge ------------------------------------------------------------------------------------------

    def _merge(self, view: LinkView, now_ns: int) -> None:
        proposal = self._acceptance.take()
        replaced = self._acceptance.replaced
        self._settled = tuple(self._settle(old, "discarded_superseded") for old in replaced)
        if replaced:
            self.counters["discarded_superseded"] += len(replaced)
        if proposal is None:
            return
        self._refill.note_settled(proposal.source)
        reason = self._acceptance.why_discarded(
            proposal, self._view(), epoch=view.epoch, step=self._playback.step, now_ns=now_ns
        )
        self._settled += (self._settle(proposal, reason or "merged"),)
        if reason:
            self.counters[reason] += 1
            return
        draft = proposal.draft
        if draft.prefix is not None and self.step - draft.step > draft.inference_delay:
            self.counters["delay_underestimated"] += 1
        self._playback.merge(proposal.chunk, proposal.source, self._config.merge, now_ns)
        if self._motion is MotionState.WAITING:
            self._must_reseed = True  # nothing held the robot meanwhile: it may have sagged
        self._transit(MotionEvent.MERGED)
        self._acceptance.accept(proposal.source)
        self._refill.note_merge()
        self._offline.clear()
        self.counters["merged"] += 1

    def _settle(self, proposal: Proposal, outcome: str) -> Settled:
        return Settled(proposal, self._playback.step, outcome)

    # -- motion -----------------------------------------------------------------------------------------

    def _direct(self, view: LinkView, now_ns: int, state: FloatArray) -> Directive:
        if self._motion in (MotionState.PAUSED, MotionState.STOPPED):
            return self._hold(view)
        is_boundary = self._playback.is_at_boundary
        if is_boundary:
            self._playback_left_ns = self._playback.playback_left_ns(now_ns)
            self._ends_ns = now_ns + self._playback_left_ns if self._playback_left_ns else 0
        shortage = self._playback.shortage(now_ns) if self._motion is MotionState.PLAYING else None
        if shortage is not None:
            self._run_out(shortage)
        elif is_boundary:
            self._draft_if_due(view, now_ns, state)  # before the action is taken: the prefix begins with it
        if self._motion is not MotionState.PLAYING:
            return self._hold(view)
        if is_boundary:
            self._refill.note_play(now_ns - self._playback.take().source.captured_ns)
        return self._play(view, now_ns)

    def _play(self, view: LinkView, now_ns: int) -> Directive:
        reseed, self._must_reseed = self._must_reseed, False
        playing = self._playback.play()
        return play_directive(
            playing, now_ns=now_ns, episode=self._episode, link=view.state, step_s=self._step_s, reseed=reseed
        )

    def _hold(self, view: LinkView) -> Directive:
        if self._motion is MotionState.FALLBACK:
            self._has_held = True
            self.counters["fallback_ticks"] += 1
            self._refill.note_starved()
        is_idle = self._motion in (MotionState.PAUSED, MotionState.STOPPED)
        reseed = self._must_reseed and not is_idle
        self._must_reseed = self._must_reseed and is_idle
        return hold_directive(
            self._motion, episode=self._episode, link=view.state, step_s=self._step_s, reseed=reseed
        )

    def _run_out(self, shortage: Shortage) -> None:
        self.counters[shortage.value] += 1
        self._playback.drop_plan()
        self._after_drop()
        self._transit(MotionEvent.RAN_OUT)

    def _after_drop(self) -> None:
        self._refill.withdraw()
        self._has_held = False
        self._playback_left_ns = self._ends_ns = 0

    # -- requests ---------------------------------------------------------------------------------------

    def _draft_if_due(self, view: LinkView, now_ns: int, state: FloatArray) -> None:
        if not self._refill.wants(view.ticket) or not self._is_due(view, now_ns):
            return
        self._refill.draft(
            view, self._playback, now_ns, state, episode=self._episode, slack_ns=self._playback_left_ns
        )

    def _is_due(self, view: LinkView, now_ns: int) -> bool:
        rule, since_request_ns = self._refill.rule, self._refill.since_request_ns(now_ns)
        if self._motion is MotionState.PLAYING:
            return rule.is_due(
                view,
                horizon=self._playback.horizon,
                executed=self._playback.executed,
                playback_left_ns=self._playback_left_ns,
                since_request_ns=since_request_ns,
            )
        is_settling = self._motion is MotionState.FALLBACK and not self._has_held
        if is_settling or self._is_moving or view.in_flight:  # while it moves, the answer would be void
            return False
        return rule.may_ask_again(view, since_request_ns)

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
            self._gave_up = f"no chunk could be merged for {self._config.max_offline_s:g} s"
            self.stop(self._gave_up)

    def _transit(self, event: MotionEvent) -> None:
        self._motion = next_state(MOTION_TABLE, self._motion, event)

    def _view(self) -> PlanView:
        return PlanView(
            self._episode,
            self._motion,
            self._not_before_ns,
            self._acceptance.merges,
            self._gave_up,
            self._ends_ns,
        )

    def _publish(self) -> None:
        self.plan_view = self._view()
