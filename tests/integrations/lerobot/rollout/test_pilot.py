"""The pilot under somebody else's loop: what it commands, and that nothing old survives."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rig import MS, S
from integrations.cockpit import TICK_NS, Cockpit, value
from vagus.control.loop_stats import EndReason
from vagus.specs import Limits
from vagus.types import LinkState, MotionState


def test_nothing_is_commanded_before_the_first_resume() -> None:
    cockpit = Cockpit()
    cockpit.pilot.reset()
    assert cockpit.tick() is None
    assert cockpit.engine.motion is MotionState.PAUSED
    assert cockpit.client.offered == []


def test_nothing_is_commanded_without_an_observation() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    assert cockpit.pilot.act() is None


def test_a_base_is_told_to_stand_while_there_is_no_plan() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    assert value(cockpit.tick())[0] == 0.0


def test_the_plan_is_played_from_the_robots_state_in_the_policys_order() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    cockpit.tick(**{"a.pos": 4.0})
    asked = cockpit.client.offered[-1]
    assert asked.draft.state.tolist() == [0.0, 4.0]
    cockpit.answer()
    played = [value(cockpit.tick()) for _ in range(3)]
    assert played == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    assert cockpit.pilot.to_robot(np.array([7.0, 8.0])).tolist() == [8.0, 7.0]


def test_a_reset_drops_plan_observation_and_what_is_in_flight() -> None:
    cockpit = Cockpit()
    cockpit.play()
    while len(cockpit.client.offered) < 2:
        cockpit.tick()
    late = cockpit.client.offered[-1]
    cockpit.pilot.reset()
    assert cockpit.pilot.act() is None
    cockpit.answer(late)
    cockpit.tick()  # compared with the next one
    command = cockpit.tick()
    assert command is not None
    assert command.provenance.motion is MotionState.WAITING
    assert cockpit.client.offered[-1].draft.episode == late.draft.episode + 1
    assert cockpit.client.offered[-1].draft.episode_start


def test_a_long_reset_phase_is_no_time_offline() -> None:
    cockpit = Cockpit(max_offline_s=5.0)
    cockpit.play()
    cockpit.link(LinkState.DEGRADED)
    cockpit.tick()
    cockpit.clock.now += 60 * S
    cockpit.pilot.reset()
    cockpit.pilot.resume()
    cockpit.tick()
    assert cockpit.tick() is not None
    assert cockpit.pilot.failure == ""


def test_no_plan_survives_a_human() -> None:
    cockpit = Cockpit()
    cockpit.play()
    while len(cockpit.client.offered) < 2:
        cockpit.tick()
    late = cockpit.client.offered[-1]
    cockpit.pilot.pause()
    cockpit.pilot.pause()
    assert cockpit.tick() is None
    cockpit.clock.now += 2 * S
    cockpit.pilot.reset()
    cockpit.pilot.resume()
    cockpit.pilot.resume()
    cockpit.answer(late)
    cockpit.tick(**{"a.pos": 50.0})
    command = cockpit.tick(**{"a.pos": 50.0})
    assert command is not None
    assert command.provenance.step is None
    newest = cockpit.client.offered[-1].draft
    assert newest.captured_ns > late.draft.captured_ns
    assert newest.state.tolist() == [0.0, 50.0]


def test_a_dead_link_stops_for_good_and_says_why() -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.tick()
    cockpit.link(LinkState.DEAD)
    assert cockpit.tick() is None
    assert cockpit.pilot.failure == "the link is dead: because"
    for event in (cockpit.pilot.pause, cockpit.pilot.reset, cockpit.pilot.resume, cockpit.pilot.halted):
        event()
    assert cockpit.tick() is None


def test_a_command_limited_for_too_long_stops_for_good() -> None:
    cockpit = Cockpit(limits=Limits(upper=0.5))
    cockpit.play()
    for _ in range(20):
        cockpit.tick()
    assert "limited for longer" in cockpit.pilot.failure


@pytest.mark.parametrize(("extra", "said"), [(np.nan, "got nan"), (np.inf, "got inf")])
def test_a_command_that_must_not_reach_the_robot_stops_for_good(extra: float, said: str) -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.motion.fault = lambda action: action + extra
    assert cockpit.tick() is None
    assert "a.pos: wanted" in cockpit.pilot.failure
    assert said in cockpit.pilot.failure
    assert cockpit.pilot.failed_as is EndReason.ERROR
    assert cockpit.engine.motion is MotionState.STOPPED


def test_an_arm_alone_stands_by_itself() -> None:
    assert Cockpit(has_base=False).pilot.at_rest == {}
    assert Cockpit().pilot.at_rest == {"x.vel": 0.0}


def test_after_a_halt_the_plan_goes_on() -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.tick()
    cockpit.pilot.halted()
    command = cockpit.tick()
    assert command is not None
    assert command.provenance.step == 2


@pytest.mark.parametrize("seen", [{"a.pos": np.nan}, {"a.pos": None}])
def test_a_halt_needs_no_state(seen: Mapping[str, object], caplog: pytest.LogCaptureFixture) -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.see(**seen)
    with caplog.at_level(logging.WARNING):
        cockpit.pilot.halted()
    assert "not known" in caplog.text
    assert cockpit.tick() is not None


def test_two_calls_upon_one_observation_are_two_ticks() -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.see()
    first = cockpit.pilot.act()
    cockpit.clock.now += 5 * MS
    second = cockpit.pilot.act()
    assert first is not None
    assert second is not None
    assert (first.provenance.step, second.provenance.step) == (1, 2)


def test_after_a_stop_nothing_is_commanded() -> None:
    cockpit = Cockpit()
    cockpit.play()
    cockpit.pilot.stop("over")
    assert cockpit.tick() is None
    assert cockpit.pilot.failure == ""


EVENTS = st.lists(st.sampled_from(["tick", "answer", "pause", "reset", "resume", "wait"]), max_size=60)


@given(EVENTS)
def test_in_no_order_of_events_is_an_action_from_before_a_pause_or_reset_commanded(events: list[str]) -> None:
    cockpit = Cockpit()
    barrier_ns = 0
    for event in events:
        if event == "tick":
            command = cockpit.tick()
            if command is not None and command.provenance.age_ns is not None:
                captured_ns = cockpit.clock.now - TICK_NS - command.provenance.age_ns
                assert captured_ns >= barrier_ns
        elif event == "answer" and cockpit.client.offered:
            cockpit.answer()
        elif event == "wait":
            cockpit.clock.now += 100 * MS
        elif event in ("pause", "reset", "resume"):
            getattr(cockpit.pilot, event)()
            barrier_ns = cockpit.clock.now if event != "resume" else barrier_ns
