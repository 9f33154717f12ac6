"""The pilot under somebody else's loop: what it commands, and that nothing old survives."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.rig import FakeClock, FaultyMotion
from edge.rig import EPOCH, HORIZON, MS, RATE_HZ, S, proposal
from vagus.control.mapping import OrderMapping
from vagus.control.tally import EndReason
from vagus.edge.config import EdgeConfig
from vagus.edge.engine import Engine, EngineContract
from vagus.edge.exchange import LinkView
from vagus.errors import RobotError
from vagus.integrations.lerobot_pilot import Pilot, PilotParts
from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, PolicySpec, RobotSpec, StateFeature
from vagus.types import Command, LinkState, MotionState, Snapshot

ARM = ActionFeature("a.pos", "deg", feedback="a.pos")
BASE = ActionFeature("x.vel", "m/s", kind=ActionKind.VELOCITY, feedback="x.vel")
STATES = (StateFeature("a.pos", "deg"), StateFeature("x.vel", "m/s"))
EYE = CameraSpec("eye", 2, 2)
TICK_NS = round(S / RATE_HZ)


class Client:
    """Takes what a pilot hands over."""

    def __init__(self) -> None:
        self.offered: list[Snapshot] = []
        self.failed: list[int] = []

    def offer(self, snapshot: Snapshot) -> None:
        self.offered.append(snapshot)

    def draft_failed(self, ticket: int) -> None:
        self.failed.append(ticket)


class Cockpit:
    """A pilot, its time, and a server that answers when told."""

    def __init__(
        self, *, has_base: bool = True, limits: Limits | None = None, max_offline_s: float = 60.0
    ) -> None:
        arm = ActionFeature("a.pos", "deg", feedback="a.pos", limits=limits or Limits())
        own, theirs = ((arm, BASE), (BASE, ARM)) if has_base else ((arm,), (ARM,))
        self.spec = RobotSpec("fake", own, STATES[: len(own)], (EYE,), RATE_HZ)
        policy = PolicySpec("fake", theirs, self.spec.state[::-1], (EYE,), HORIZON, len(own), RATE_HZ)
        self.clock = FakeClock()
        self.clock.now = S
        self.client = Client()
        self.engine = Engine(
            EdgeConfig(max_offline_s=max_offline_s),
            EngineContract(RATE_HZ, RATE_HZ, uses_rtc=False, prefix_horizon=0),
        )
        self.link()
        mapping = OrderMapping(self.spec, policy)
        motion = self.motion = FaultyMotion(
            mapping.actions, mapping.state_names, tick_s=1 / RATE_HZ, max_limited_s=0.2
        )
        parts = PilotParts(
            self.spec, self.engine, self.client, mapping, motion, lambda reason: f"{reason}: because"
        )
        self.pilot = Pilot(parts, self.clock)
        self.seq = 0
        self.width = len(own)

    def link(self, state: LinkState = LinkState.STREAMING, *, ticket: int = 1) -> None:
        self.engine.link_view = LinkView(state, EPOCH, ticket, 0)

    def see(self, **values: object) -> dict[str, object]:
        seen = {"a.pos": 0.0, "x.vel": 0.0, "eye": np.zeros((2, 2, 3), dtype=np.uint8), **values}
        self.clock.now += 1  # what is seen right after a resume is newer than the resume
        self.pilot.note(seen)
        return seen

    def tick(self, **values: object) -> Command | None:
        self.see(**values)
        command = self.pilot.act()
        self.clock.now += TICK_NS
        return command

    def answer(self, snapshot: Snapshot | None = None) -> None:
        """Answer the newest request, and ask for the next."""
        self.seq += 1
        asked = snapshot or self.client.offered[-1]
        self.engine.propose(proposal(asked.draft, seq=self.seq))
        self.link(ticket=self.engine.link_view.ticket + 1)

    def play(self) -> Command:
        """Resume and get as far as the first plan action."""
        self.pilot.resume()
        self.tick()
        self.answer()
        command = self.tick()
        assert command is not None
        assert command.provenance.motion is MotionState.PLAYING
        return command


def value(command: Command | None) -> list[float]:
    assert command is not None
    assert command.action is not None
    return [float(number) for number in command.action]


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


def test_pictures_are_copied_when_they_are_sent() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    eye = np.zeros((2, 2, 3), dtype=np.uint8)
    cockpit.tick(eye=eye)
    eye[:] = 9
    assert not cockpit.client.offered[-1].images["eye"].any()


def test_a_missing_picture_costs_one_request() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    cockpit.pilot.note({"a.pos": 0.0, "x.vel": 0.0})
    cockpit.pilot.act()
    assert (cockpit.client.offered, cockpit.client.failed) == ([], [1])


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"a.pos": 1.0}, "lacks"),
        ({"a.pos": 1.0, "x.vel": np.nan}, "finite"),
        ({"a.pos": 1.0, "x.vel": None}, "numbers"),
    ],
)
def test_a_state_that_cannot_be_used_is_said(seen: Mapping[str, object], why: str) -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    cockpit.pilot.note(seen)
    with pytest.raises(RobotError, match=why):
        cockpit.pilot.act()


def test_a_reset_drops_plan_observation_and_what_is_in_flight() -> None:
    cockpit = Cockpit()
    cockpit.play()
    while len(cockpit.client.offered) < 2:
        cockpit.tick()
    late = cockpit.client.offered[-1]
    cockpit.pilot.reset()
    assert cockpit.pilot.act() is None
    cockpit.answer(late)
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
