"""The controller decides one tick, with the real engine, motion and gate, and no clock, thread or robot."""

from __future__ import annotations

import numpy as np
import pytest

from control.rig import HORIZON, STEP_HZ, AnsweringClient, FakeClock, FakeRobot, FaultyMotion
from vagus.control.controller import Controller, ControllerTick
from vagus.control.loop_stats import EndReason
from vagus.control.mapping import OrderMapping
from vagus.control.readings import Reading
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, Proposal, Source
from vagus.errors import GateError
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, MotionState, Snapshot

TICK_NS = 10_000_000


class Stand:
    """A controller whose policy has the joints the other way round, and an answer for each request."""

    def __init__(self, *, max_limited_s: float = 5.0) -> None:
        spec = FakeRobot(FakeClock(), 100.0).spec
        policy = PolicySpec("fake", spec.actions[::-1], spec.state, (), HORIZON, 2, STEP_HZ)
        mapping = OrderMapping(spec, policy)
        self.motion = FaultyMotion(
            mapping.actions, mapping.state_names, tick_s=0.01, max_limited_s=max_limited_s
        )
        self.engine = Engine(EdgeConfig(), EngineContract(STEP_HZ, 100.0, uses_rtc=False, prefix_horizon=0))
        self.client = AnsweringClient(self.engine, pace=0.01)
        self.controller = Controller(spec, self.engine, mapping, self.motion)
        self.now_ns = 1_000_000_000
        self.joints = np.zeros(2)
        self.ticks: list[ControllerTick] = []

    def tick(self, *, is_trusted: bool = True) -> ControllerTick:
        state = self.joints.astype(np.float32)
        tick = self.controller.advance(self.now_ns, Reading(state, state, is_trusted))
        self.now_ns += TICK_NS
        if tick.draft is not None:
            self.client.offer(Snapshot(tick.draft, {}))
        if tick.action is not None:
            self.joints = tick.action
        self.ticks.append(tick)
        return tick

    def drive(self, ticks: int = 20) -> ControllerTick:
        for _ in range(ticks):
            tick = self.tick()
        return tick


def test_a_command_comes_in_both_orders() -> None:
    stand = Stand()
    tick = stand.drive()
    assert tick.command is not None
    assert tick.action is not None
    assert tick.command.action is not None
    assert tick.action.tolist() == tick.command.action.tolist()[::-1]
    assert tick.command.provenance.motion is stand.controller.standing.motion is MotionState.PLAYING
    assert (tick.end, tick.error) == (None, "")


def test_without_a_reading_nothing_begins_and_nothing_is_asked() -> None:
    stand = Stand()
    assert stand.tick(is_trusted=False) == ControllerTick()
    assert stand.engine.link_view.ticket == 1
    assert stand.tick().draft is not None
    stand.drive()
    blind = [stand.tick(is_trusted=False) for _ in range(30)]
    assert all(tick.action is not None and tick.draft is None for tick in blind)


def test_a_pause_brings_to_rest_without_a_reading() -> None:
    stand = Stand()
    stand.engine.pause(stand.now_ns)
    tick = stand.tick(is_trusted=False)
    assert tick.command is not None
    assert (tick.action, tick.command.provenance.motion) == (None, MotionState.PAUSED)


def test_a_stopped_engine_ends_the_run_with_its_reason() -> None:
    stand = Stand()
    stand.drive()
    stand.engine.stop("enough")
    assert stand.tick() == ControllerTick(end=EndReason.DEAD, error="enough")


def test_limits_that_last_end_the_run() -> None:
    stand = Stand(max_limited_s=0.05)
    stand.client.pace = 100.0
    ends = [tick.end for tick in (stand.tick() for _ in range(40)) if tick.end is not None]
    assert ends[0] is EndReason.LIMITED
    assert "was limited for longer than allowed" in next(t.error for t in stand.ticks if t.end is not None)


@pytest.mark.parametrize("is_returning", [False, True])
def test_a_fault_of_the_limiter_reaches_nobody(is_returning: bool) -> None:
    stand = Stand()
    stand.drive()
    if is_returning:
        assert stand.controller.begin_return(1.0)
    stand.motion.fault = lambda action: action + 1.0
    with pytest.raises(GateError, match="nothing was commanded"):
        stand.tick()


def test_the_way_back_ends_where_the_robot_began() -> None:
    stand = Stand()
    stand.drive(60)
    away = np.abs(stand.joints).max()
    assert not stand.controller.is_returning
    assert stand.controller.begin_return(0.5)
    assert stand.controller.is_returning
    asked = stand.engine.link_view.ticket
    way = [stand.tick() for _ in range(50)]
    assert all(tick.command is not None and tick.end is None for tick in way)
    assert {tick.command.provenance.motion for tick in way if tick.command} == {MotionState.FALLBACK}
    assert stand.engine.link_view.ticket == asked
    assert away > 0.05
    assert np.abs(stand.joints).max() < 0.02
    assert stand.tick() == ControllerTick(end=EndReason.FINISHED)


def test_in_a_pause_nobody_begins_a_way_back() -> None:
    stand = Stand()
    stand.drive()
    stand.engine.pause(stand.now_ns)
    assert stand.motion.is_driven
    assert not stand.controller.begin_return(1.0)
    assert not stand.controller.is_returning


def test_a_robot_that_was_never_driven_has_no_way_back() -> None:
    stand = Stand()
    stand.client.is_answering = False
    stand.drive()
    assert not stand.controller.begin_return(1.0)
    assert not stand.controller.is_returning


def test_what_moves_without_a_plan_makes_older_replies_void() -> None:
    stand = Stand()
    stand.drive()
    stand.client.is_answering = False
    stand.drive(150)  # the plan runs out, and the robot brakes
    moved_ns = stand.engine.plan_view.not_before_ns
    assert moved_ns > 0
    draft = stand.client.unanswered[0]
    assert draft.captured_ns < moved_ns
    chunk = np.zeros((HORIZON, 2), np.float32)
    stand.engine.propose(
        Proposal(ActionChunk(draft.step, chunk, chunk), Source(7, 99, draft.captured_ns), draft)
    )
    stand.tick()
    assert stand.engine.counters["moved_since_capture"] == 1
