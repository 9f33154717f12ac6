"""Values that the tests of the edge are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, RobotSpec, RtcSpec, StateFeature
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.types import ActionChunk, FloatArray, LinkState, Prefix, RequestDraft, Snapshot
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.contract import (
    to_wire_actions,
    to_wire_cameras,
    to_wire_depth_cameras,
    to_wire_rtc,
    to_wire_states,
)
from vagus.wire.schema import Capabilities, ChunkMessage, EventMessage, Header, Kind, Load

MS = NS_PER_MS
S = NS_PER_S
RATE_HZ = 30.0
STEP_NS = round(S / RATE_HZ)
EPOCH = 7
HORIZON = 50
ACTION_DIM = 2
MODEL_DIM = 3
STATE = np.zeros(2, dtype=np.float32)
SERVICE = ServiceKey.of("reach", "main")
SERVER = SERVICE.server("one")
OTHER = SERVICE.server("two")

ACTIONS = (ActionFeature("a.pos", "rad", feedback="a.pos"), ActionFeature("b.pos", "rad", feedback="b.pos"))
STATES = (StateFeature("a.pos", "rad"), StateFeature("b.pos", "rad"))
CAMERA = CameraSpec("front", 4, 6)
RTC = RtcSpec(prefix_horizon=10)
POLICY = PolicySpec("reach", ACTIONS, STATES, (CAMERA,), HORIZON, MODEL_DIM, RATE_HZ, RTC)
ROBOT = RobotSpec("sim", ACTIONS, STATES, (CAMERA,), 30.0)
FRAMES = {"front": np.full((4, 6, 3), 128, dtype=np.uint8)}


def capabilities(server: ServerKey = SERVER, policy: PolicySpec = POLICY) -> Capabilities:
    return Capabilities(
        server=server.server,
        model="reach",
        revision="main",
        model_hash="aa",
        policy_type=policy.policy_type,
        actions=to_wire_actions(policy.actions),
        state=to_wire_states(policy.state),
        cameras=to_wire_cameras(policy.cameras),
        depth_cameras=to_wire_depth_cameras(policy.depth_cameras),
        horizon=policy.horizon,
        model_dim=policy.model_dim,
        rate_hz=policy.rate_hz,
        rtc=to_wire_rtc(policy.rtc),
    )


def actions_of(step: int, length: int, width: int = ACTION_DIM) -> FloatArray:
    """Return rows that name their own step."""
    return np.repeat(np.arange(step, step + length, dtype=np.float32)[:, None], width, axis=1)


def chunk(step: int, length: int = HORIZON) -> ActionChunk:
    return ActionChunk(step, actions_of(step, length, MODEL_DIM), actions_of(step, length))


def draft(  # one default per field of a draft
    *,
    ticket: int = 1,
    episode: int = 0,
    step: int = 0,
    captured_ns: int = 0,
    slack_ns: int = 0,
    prefix: Prefix | None = None,
    inference_delay: int = 0,
) -> RequestDraft:
    return RequestDraft(
        ticket=ticket,
        episode=episode,
        step=step,
        state=STATE,
        captured_ns=captured_ns,
        prefix=prefix,
        inference_delay=inference_delay,
        episode_start=True,
        slack_ns=slack_ns,
    )


def snapshot(made: RequestDraft) -> Snapshot:
    return Snapshot(made, FRAMES)


def proposal(made: RequestDraft, *, seq: int = 1, epoch: int = EPOCH, length: int = HORIZON) -> Proposal:
    return Proposal(chunk(made.step, length), Source(epoch, seq, made.captured_ns), made)


def chunk_payload(
    step: int,
    length: int = HORIZON,
    *,
    queue_ms: float = 0.0,
    decode_ms: float = 0.0,
    inference_ms: float = 0.0,
    min_interval_ms: float = 0.0,
    batch_size: int = 1,
    sessions: int = 0,
) -> bytes:
    made = chunk(step, length)
    return encode(
        ChunkMessage(
            step=step,
            chunk_model=encode_tensor(made.model),
            chunk_robot=encode_tensor(made.robot),
            valid_len=length,
            queue_wait_ms=queue_ms,
            decode_ms=decode_ms,
            inference_ms=inference_ms,
            min_interval_ms=min_interval_ms,
            batch_size=batch_size,
            load=Load(sessions=sessions),
        )
    )


def event_payload(code: str, *, pause_ms: float = 0.0) -> bytes:
    return encode(EventMessage(code=code, message="why", pause_ms=pause_ms))


def echo(request: Header, kind: Kind = Kind.CHUNK) -> Header:
    return Header(kind, request.seq, request.episode, request.client_mono_ns, request.epoch)


class Drive:
    """An engine, its time, and a link that does what the test says."""

    def __init__(
        self,
        config: EdgeConfig | None = None,
        *,
        tick_rate_hz: float = RATE_HZ,
        uses_rtc: bool = False,
        prefix_horizon: int = 10,
    ) -> None:
        self.config = config or EdgeConfig()
        horizon = prefix_horizon if uses_rtc else 0
        self.engine = Engine(self.config, EngineContract(RATE_HZ, tick_rate_hz, uses_rtc, horizon))
        self.tick_ns = round(S / tick_rate_hz)
        self.now_ns = S
        self.seq = 0
        self.set_link()

    def set_link(
        self,
        state: LinkState = LinkState.STREAMING,
        *,
        epoch: int | None = EPOCH,
        ticket: int = 1,
        latency_ns: int = 0,
    ) -> None:
        self.engine.link_view = LinkView(state, epoch, ticket, latency_ns)

    def ask(self) -> None:
        """Put out one more ask."""
        view = self.engine.link_view
        self.engine.link_view = replace(view, ticket=view.ticket + 1)

    def tick(self, count: int = 1) -> list[int | None]:
        """Run ticks; return the step commanded in each."""
        steps = []
        for _ in range(count):
            self.directive = self.engine.advance(self.now_ns, STATE)
            steps.append(self.directive.provenance.step)
            self.now_ns += self.tick_ns
        return steps

    def reply(self, made: RequestDraft, *, epoch: int = EPOCH, length: int = HORIZON) -> Proposal:
        self.seq += 1
        answer = proposal(made, seq=self.seq, epoch=epoch, length=length)
        self.engine.propose(answer)
        return answer

    def take(self) -> RequestDraft:
        made = self.engine.take_draft()
        assert made is not None, "a request was due"
        return made

    def begin(self, length: int = HORIZON) -> None:
        """Get the first chunk and play its first action."""
        self.tick()
        self.reply(self.take(), length=length)
        assert self.tick() == [0]
