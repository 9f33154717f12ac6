"""A gateway for LeRobot in this process: a policy that tells what it was asked, a server, and raw clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import grpc
import numpy as np

import vagus
from lerobot_pickles import golden
from vagus.errors import PolicyError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.neutral import ForeignReply
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.lerobot_grpc.dialect import decode_reply, decode_setup, encode_setup
from vagus.integrations.lerobot_grpc.gateway import LeRobotGrpcListener
from vagus.integrations.lerobot_grpc.messages import (
    HelpersModule,
    ObservationValue,
    RemotePolicyConfig,
    TimedObservation,
)
from vagus.integrations.lerobot_grpc.pickle_writer import write_observation
from vagus.integrations.lerobot_grpc.protobuf import encode_part, parts_of
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk

PATIENCE_S = 30.0
"""Longest wait for what must happen; the machine may be busy with others."""
HORIZON = 5
SETUP = decode_setup(golden("policy_setup.grpcmsg.bin"))
"""What a real RobotClient said: six joints, cameras `front` and `wrist` of 4×6, the model `user/model`."""
MODEL = SETUP.pretrained_name_or_path
JOINTS = SETUP.lerobot_features["observation.state"].names
CAMERAS = ("front", "wrist")
PROFILE = Profile(
    name="tiny",
    protocol="lerobot_grpc",
    robot_type="so100_follower",
    rate_hz=30,
    horizon=HORIZON,
    state=(WireSpan(key=("observation.state",), names=JOINTS, unit="deg"),),
    images=tuple(
        WireImage(key=(f"observation.images.{name}",), name=name, height=4, width=6) for name in CAMERAS
    ),
    instruction=("task",),
    actions=(WireSpan(key=("actions",), names=JOINTS, unit="deg"),),
)
WAITS, FAILS = 777.0, -777.0
"""First joint of the state: the policy waits for the test, or fails."""


class Echo:
    """Answers with the state, and a step more with every action."""

    serving_mode = ServingMode.SHARED
    model_hash = "echo"
    spec = vagus.PolicySpec(
        "echo",
        actions=tuple(vagus.ActionFeature(name, "deg") for name in JOINTS),
        state=tuple(vagus.StateFeature(name, "deg") for name in JOINTS),
        cameras=tuple(vagus.CameraSpec(name, 4, 6) for name in CAMERAS),
        horizon=HORIZON,
        model_dim=len(JOINTS),
        rate_hz=30,
    )

    def __init__(self) -> None:
        self.rows: list[Row[None]] = []
        self.episodes = 0
        self.opened = 0
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def open_session(self) -> None:
        self.opened += 1

    def begin_episode(self, session: None) -> None:
        self.episodes += 1

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        self.gate.set()

    def _answer(self, row: Row[None]) -> ActionChunk | PolicyError:
        state = row.observation.state
        if state[0] == WAITS:
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if state[0] == FAILS:
            return PolicyError("the policy does not know this place")
        self.rows.append(row)
        actions = state[None] + np.arange(HORIZON, dtype=np.float32)[:, None]
        return ActionChunk(row.step, actions, actions)


@dataclass
class RawClient:
    """A robot client of nothing but gRPC and bytes, on a connection of its own."""

    address: str
    timeout_s: float = PATIENCE_S
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(self.address, options)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, method: str, message: bytes = b"") -> bytes:
        place = f"/transport.AsyncInference/{method}"
        answer = self.channel.unary_unary(place)(message, timeout=self.timeout_s, wait_for_ready=True)
        assert isinstance(answer, bytes)
        return answer

    def later(self, method: str) -> grpc.Future:
        place = f"/transport.AsyncInference/{method}"
        return self.channel.unary_unary(place).future(b"", timeout=self.timeout_s, wait_for_ready=True)

    def stream(self, messages: Iterator[bytes], timeout_s: float | None = None) -> None:
        send = self.channel.stream_unary("/transport.AsyncInference/SendObservations")
        assert send(messages, timeout=timeout_s or self.timeout_s, wait_for_ready=True) == b""

    def set_up(self, config: RemotePolicyConfig = SETUP) -> None:
        assert self.call("Ready") == b""
        assert self.call("SendPolicyInstructions", encode_setup(config)) == b""

    def observe(self, first: float, timestep: int = 0, **more: ObservationValue) -> None:
        payload = write_observation(observation(first, timestep, **more))
        self.stream(encode_part(part) for part in parts_of(payload))

    def actions(self) -> ForeignReply:
        return decode_reply(self.call("GetActions"))

    def refused(self, method: str, message: bytes = b"") -> tuple[str, str]:
        """Return the status and the sentence with which a call is refused."""
        return refusal(lambda: self.call(method, message))


def refusal(call: object) -> tuple[str, str]:
    """Return the status and the sentence with which `call` is refused."""
    try:
        call()  # type: ignore[operator] # a function
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("it was not refused")


def observation(first: float, timestep: int = 0, **more: ObservationValue) -> TimedObservation:
    """Return what a robot client observes; `first` is its first joint."""
    picture = np.full((4, 6, 3), timestep % 256, np.uint8)
    joints = {name: first + at for at, name in enumerate(JOINTS)}
    values: dict[str, ObservationValue] = {
        **joints,
        "front": picture,
        "wrist": picture,
        "task": "pick",
        **more,
    }
    return TimedObservation(1000.0 + timestep, timestep, values, must_go=True)


def expected(first: float, count: int = 2) -> np.ndarray:
    """Return the actions that answer it, (count, 6)."""
    joints = first + np.arange(len(JOINTS), dtype=np.float32)
    return joints[None] + np.arange(count, dtype=np.float32)[:, None]


@dataclass
class Stand:
    """A policy, its server, and a gateway that listens."""

    policy: Echo
    gateway: Gateway
    listener: LeRobotGrpcListener

    def client(self, timeout_s: float = PATIENCE_S) -> RawClient:
        return RawClient(self.listener.address, timeout_s)


@contextmanager
def standing(
    *, profile: Profile = PROFILE, is_served: bool = True, **settings: int | float | str | Mapping[str, str]
) -> Iterator[Stand]:
    """Serve the policy, and let a gateway listen on a free port."""
    network = MemoryNetwork()
    policy = Echo()
    given: dict[str, object] = {"listen": "127.0.0.1:0", "name": "arm", **settings}
    config = GatewayConfig(protocol="lerobot_grpc", profile="tiny", **given)  # type: ignore[arg-type] # by name
    with Server(network.link("server"), lambda: policy, ServeConfig(model=MODEL, warm_up=False)) as server:
        assert server.wait_ready(PATIENCE_S)
        link = network.link("gateway") if is_served else MemoryNetwork().link("nobody")
        listener = LeRobotGrpcListener(Gateway(config, profile, link))
        listener.start()
        try:
            yield Stand(policy, listener._gateway, listener)
        finally:
            policy.gate.set()
            listener.close()


def newer(config: RemotePolicyConfig = SETUP, **changes: object) -> RemotePolicyConfig:
    """Return a setup with some fields changed."""
    return replace(config, **changes)  # type: ignore[arg-type] # by name


OLD = HelpersModule.UNTIL_0_3
