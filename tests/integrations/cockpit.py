"""A pilot under somebody else's loop, its time, and a server that answers when told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from control.rig import FakeClock, FaultyMotion
from edge.rig import EPOCH, HORIZON, RATE_HZ, S, proposal
from vagus.control.config import SensesConfig
from vagus.control.mapping import OrderMapping
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView
from vagus.integrations.lerobot.rollout.pilot import Pilot, PilotPorts
from vagus.specs import (
    ActionFeature,
    ActionKind,
    CameraSpec,
    DepthCameraSpec,
    Limits,
    PolicySpec,
    RobotSpec,
    StateFeature,
)
from vagus.types import Command, Image, LinkState, MotionState, Snapshot

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
        self,
        *,
        has_base: bool = True,
        limits: Limits | None = None,
        max_offline_s: float = 60.0,
        senses: SensesConfig | None = None,
        is_seen: bool = True,
        depth_cameras: tuple[DepthCameraSpec, ...] = (),
    ) -> None:
        arm = ActionFeature("a.pos", "deg", feedback="a.pos", limits=limits or Limits())
        own, theirs = ((arm, BASE), (BASE, ARM)) if has_base else ((arm,), (ARM,))
        self.spec = RobotSpec("fake", own, STATES[: len(own)], (EYE,), RATE_HZ, depth_cameras)
        policy = PolicySpec(
            "fake",
            theirs,
            self.spec.state[::-1],
            (EYE,),
            HORIZON,
            len(own),
            RATE_HZ,
            depth_cameras=depth_cameras,
        )
        self.clock = FakeClock()
        self.clock.now = S
        self.frames = 0
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
        ports = PilotPorts(
            self.spec,
            self.engine,
            self.client,
            mapping,
            motion,
            lambda reason: f"{reason}: because",
            config=senses or SensesConfig(),
        )
        self.pilot = Pilot(ports, self.clock)
        if is_seen:  # LeRobot has looked once before
            self.see()
        self.seq = 0
        self.width = len(own)

    def link(self, state: LinkState = LinkState.STREAMING, *, ticket: int = 1) -> None:
        self.engine.link_view = LinkView(state, EPOCH, ticket, 0)

    def see(self, **values: object) -> dict[str, object]:
        seen = {"a.pos": 0.0, "x.vel": 0.0, "eye": self.picture(), **values}
        self.clock.now += 1  # what is seen right after a resume is newer than the resume
        self.note(seen)
        return seen

    def picture(self) -> Image:
        """Return another picture than before."""
        self.frames += 1
        return np.full((2, 2, 3), self.frames % 256, dtype=np.uint8)

    def note(self, seen: Mapping[str, object]) -> None:
        """Take what the robot returns on the way that it goes in a rollout."""
        self.pilot.note(self.pilot.senses.observe(lambda: seen))

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
