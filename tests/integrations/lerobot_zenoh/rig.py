"""A gateway for remote inference in this process: a policy, its server, and clients of lines of code."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

import vagus
from vagus.clock import Clock, seconds_to_ns
from vagus.errors import PolicyError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import ValueMap
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.lerobot_zenoh.gateway import LeRobotZenohListener
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, picture_of
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import RtcSpec
from vagus.transport.link import Delivery, Sample
from vagus.transport.memory import MemoryNetwork
from vagus.transport.plain_link import PlainLink
from vagus.types import ActionChunk

PATIENCE_S = 30.0
"""Longest wait for what must happen; the machine may be busy with others."""
HORIZON = 40
RATE_HZ = 20.0
JOINTS = ("pan", "tilt")
PROFILE = Profile(
    name="two_joints",
    protocol="lerobot_zenoh",
    robot_type="two_joints",
    semantics="two joints in degrees",
    rate_hz=RATE_HZ,
    horizon=HORIZON,
    state=(WireSpan(key=("observation.state",), names=JOINTS, unit="rad", wire_unit="deg"),),
    images=(WireImage(key=("observation.images.front",), name="front", height=16, width=24),),
    instruction=("task",),
    actions=(WireSpan(key=("action",), names=JOINTS, unit="rad", wire_unit="deg"),),
)
DEGREE = np.float32(np.pi / 180)
WAITS, FAILS = 77.0, 88.0
"""First joint of the state, in degrees: the policy waits for the test, or fails."""
FRONT = np.full((16, 24, 3), 99, np.uint8)


class Climbing:
    """Answers with the state, and a degree more with every action; continues a prefix that it is given."""

    serving_mode = ServingMode.SHARED
    model_hash = "climbing"
    spec = vagus.PolicySpec(
        "climbing",
        actions=tuple(vagus.ActionFeature(name, "rad") for name in JOINTS),
        state=tuple(vagus.StateFeature(name, "rad") for name in JOINTS),
        cameras=(vagus.CameraSpec("front", 16, 24),),
        horizon=HORIZON,
        model_dim=2,
        rate_hz=RATE_HZ,
        rtc=RtcSpec(prefix_horizon=10),
    )

    def __init__(self) -> None:
        self.rows: list[Row[None]] = []
        self.batches: list[int] = []
        self.episodes = 0
        self.opened = 0
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def open_session(self) -> None:
        self.opened += 1

    def begin_episode(self, session: None) -> None:
        self.episodes += 1

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self.batches.append(len(batch))
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        self.gate.set()

    def _answer(self, row: Row[None]) -> ActionChunk | PolicyError:
        state = row.observation.state
        first = round(float(state[0] / DEGREE))
        if first == WAITS:
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if first == FAILS:
            return PolicyError("the policy does not know this place")
        self.rows.append(row)
        actions = state[None] + DEGREE * np.arange(HORIZON, dtype=np.float32)[:, None]
        if row.prefix is not None:
            kept = min(len(row.prefix.robot), HORIZON)
            actions[:kept] = row.prefix.robot[:kept]
            actions[kept:] = actions[kept - 1]
        return ActionChunk(row.step, 10.0 * actions, actions)


class HandClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self._ns = 1

    def now_ns(self) -> int:
        return self._ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        while self._ns < deadline_ns and not stop.wait(0.001):
            pass

    def advance(self, seconds: float) -> None:
        self._ns += seconds_to_ns(seconds)


@dataclass
class RawRobot:
    """A client of nothing but a link and the codec."""

    link: PlainLink
    name: str = "two_joints"
    deployment: Deployment | None = None
    session: str = ""
    accepted: AcceptedSession | None = None
    generation: int = 0
    sequence: int = 0
    got: queue.SimpleQueue[tuple[RemotePlace, MessageHead, ValueMap]] = field(
        default_factory=queue.SimpleQueue
    )

    def query(
        self, place: RemotePlace, kind: MessageType, body: RemoteMap, *, request: str = ""
    ) -> tuple[MessageHead, ValueMap]:
        """Ask, until somebody serves the key."""
        instance = "" if self.deployment is None else self.deployment.instance_id
        head = MessageHead(kind, instance, self.session, self.generation, request or secrets.token_hex(16))
        (answer,) = self.link.query(self.key(place), encode_message(head, body), timeout_s=PATIENCE_S)
        found = decode_message(answer)
        assert found[0].request_id == head.request_id
        return found

    def key(self, place: RemotePlace) -> str:
        if place is RemotePlace.DESCRIBE:
            return str(RemoteKey(place, self.name))
        assert self.deployment is not None
        session = self.session if place not in (RemotePlace.OPEN, RemotePlace.SERVER_ALIVE) else ""
        return str(RemoteKey(place, self.name, self.deployment.instance_id, session))

    def describe(self) -> Deployment:
        wait_until(lambda: self.link.is_served(self.key(RemotePlace.DESCRIBE)))
        head, body = self.query(RemotePlace.DESCRIBE, MessageType.DESCRIBE, {})
        assert head.kind is MessageType.DESCRIPTOR
        self.deployment = Deployment.from_wire(body)
        return self.deployment

    def open_as(self, request: str, **changes: object) -> tuple[MessageHead, ValueMap]:
        """Open with this request id; `changes` are fields of the request."""
        return self.query(
            RemotePlace.OPEN, MessageType.OPEN, self.wanted(**changes).to_wire(), request=request
        )

    def open(self, **changes: object) -> tuple[MessageHead, ValueMap]:
        """Open; `changes` are fields of the request."""
        return self.open_as("", **changes)

    def wanted(self, **changes: object) -> OpenRequest:
        told = self.deployment or self.describe()
        asked = OpenRequest(
            expected_artifact=told.artifact_identity,
            features=told.capabilities.features,
            action_feature=told.capabilities.action_feature,
            semantics=told.semantics,
            action_interval_s=told.capabilities.action_interval_s,
            mode=InferenceMode.CHUNK,
            chunk_settings=ChunkSettings(ChunkMerge.ALIGNED),
            required_capabilities=("chunk_alignment_v2",),
        )
        return replace(asked, **changes)  # type: ignore[arg-type] # by name

    def admit(self, **changes: object) -> RawRobot:
        """Open, listen, show the token, reset: as a client begins."""
        head, body = self.open(**changes)
        assert head.kind is MessageType.ACCEPTED, body
        self.session, self.accepted = head.session_id, AcceptedSession.from_wire(body)
        for place in (RemotePlace.ACTION, RemotePlace.LANGUAGE_RESULT):
            self.link.subscribe(self.key(place), partial(self.note, place))
        self.show_token()
        assert self.control("reset")[0].kind is MessageType.ACK
        return self

    def show_token(self) -> None:
        self.token = self.link.token(self.key(RemotePlace.CLIENT_ALIVE))

    def note(self, place: RemotePlace, sample: Sample) -> None:
        self.got.put((place, *decode_message(sample.payload)))

    def control(self, operation: str) -> tuple[MessageHead, ValueMap]:
        return self.query(RemotePlace.CONTROL, MessageType.CONTROL, {"operation": operation})

    def observe(self, state: Sequence[float] = (0.0, 0.0), **changes: object) -> MessageHead:
        """Put an observation; return its head."""
        self.sequence += 1
        body = self.observation(state, **changes).to_wire()
        head = self.head(MessageType.OBSERVATION)
        self.put(RemotePlace.OBSERVATION, encode_message(head, body))
        return head

    def head(self, kind: MessageType) -> MessageHead:
        assert self.deployment is not None
        return MessageHead(
            kind, self.deployment.instance_id, self.session, self.generation, f"r{self.sequence}"
        )

    def observation(self, state: Sequence[float], **changes: object) -> RemoteObservation:
        assert self.deployment is not None
        assert self.accepted is not None
        seen = RemoteObservation(
            sequence=self.sequence,
            identity=FrameIdentity(self.deployment.artifact_identity, f"o{self.sequence}", 1.5, "climb", 0),
            features={
                "observation.state": np.array(state, np.float32),
                "observation.images.front": picture_of(FRONT, PictureEncoding.JPEG),
            },
            observation_cursor=0 if self.accepted.is_aligned else None,
        )
        return replace(seen, **changes)  # type: ignore[arg-type] # by name

    def put(self, place: RemotePlace, payload: bytes) -> None:
        self.link.publish(self.key(place), header=b"", payload=payload, delivery=Delivery.OBSERVATION)

    def next(self, timeout_s: float = PATIENCE_S) -> tuple[MessageHead, ValueMap]:
        """Return what comes next on the keys of actions and answers."""
        _, head, body = self.got.get(timeout=timeout_s)
        return head, body

    def actions(self) -> RemoteActions:
        head, body = self.next()
        assert head.kind is MessageType.ACTION, body
        assert (head.session_id, head.generation) == (self.session, self.generation)
        return RemoteActions.from_wire(body)

    def error(self) -> tuple[str, str]:
        head, body = self.next()
        assert head.kind is MessageType.ERROR, head
        return str(body["code"]), str(body["message"])


@dataclass
class Stand:
    """A policy, its server, and a gateway."""

    policy: Climbing
    gateway: Gateway
    listener: LeRobotZenohListener
    vagus_network: MemoryNetwork
    robots_network: MemoryNetwork

    def robot(self) -> RawRobot:
        return RawRobot(self.robots_network.link("robot"))

    def events(self) -> dict[str, int]:
        return self.gateway.metrics.events()


@contextmanager
def serving(network: MemoryNetwork, policy: Climbing | None = None) -> Iterator[Climbing]:
    """Serve the policy on a network in memory."""
    served = policy or Climbing()
    with Server(network.link("server"), lambda: served, ServeConfig(model="climb", warm_up=False)) as server:
        assert server.wait_ready(PATIENCE_S)
        try:
            yield served
        finally:
            served.gate.set()


def listener_on(
    vagus_network: MemoryNetwork,
    robots_network: MemoryNetwork,
    profile: Profile = PROFILE,
    *,
    clock: Clock | None = None,
    **given: object,
) -> LeRobotZenohListener:
    """Return a gateway's listener that has started."""
    settings: dict[str, object] = {"name": "arm", **given}
    config = GatewayConfig(protocol="lerobot_zenoh", profile="two_joints", **settings)  # type: ignore[arg-type] # by name
    gateway = Gateway(config, profile, vagus_network.link("gateway"))
    listener = LeRobotZenohListener(gateway, robots_network.link("gateway"), clock)
    listener.start()
    return listener


@contextmanager
def standing(
    profile: Profile = PROFILE,
    *,
    policy: Climbing | None = None,
    clock: Clock | None = None,
    **given: object,
) -> Iterator[Stand]:
    """Serve the policy, and let a gateway wait for robots."""
    vagus_network, robots_network = MemoryNetwork(), MemoryNetwork()
    with serving(vagus_network, policy) as served:
        listener = listener_on(vagus_network, robots_network, profile, clock=clock, **given)
        try:
            yield Stand(served, listener._gateway, listener, vagus_network, robots_network)
        finally:
            served.gate.set()
            listener.close()


def wait_until(is_so: object) -> None:
    """Wait until something is so."""
    moment = threading.Event()
    for _ in range(round(PATIENCE_S / 0.005)):
        if is_so():  # type: ignore[operator] # a function
            return
        moment.wait(0.005)
    raise AssertionError("it never was so")
