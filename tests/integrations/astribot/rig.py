"""A gateway for Astribot robots in this process, a policy that tells what it was asked, and stubs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import cast

import grpc
import numpy as np

import vagus
from integrations.astribot.stubs import (
    lerobot_inference_pb2,
    lerobot_inference_pb2_grpc,
    openpi_inference_pb2,
    openpi_inference_pb2_grpc,
)
from integrations.lerobot_grpc.rig import FAILS, HORIZON, PATIENCE_S, WAITS, Echo
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.astribot.gateway import AstribotListener
from vagus.integrations.astribot.layout import names_of
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import Image
from vagus.wire.images import encode_image

__all__ = [
    "FAILS",
    "FRAME",
    "HORIZON",
    "PATIENCE_S",
    "WAITS",
    "Robot",
    "Stand",
    "expected",
    "gateway_profile",
    "standing",
]

MODEL = "pi05_astribot_lora"
NAMES = names_of(25)
CAMERAS = ("head", "wrist_left", "wrist_right")
FRAME: Image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def gateway_profile(width: int = 25) -> Profile:
    """Return a profile of small pictures, all units radians."""
    names = names_of(width)
    return Profile(
        name="tiny",
        protocol="astribot",
        robot_type="astribot",
        rate_hz=30,
        horizon=HORIZON,
        state=(WireSpan(key=("state",), names=names, unit="rad"),),
        images=tuple(
            WireImage(key=("images", name), name=name, height=4, width=6, required=name == "head")
            for name in CAMERAS
        ),
        instruction=("prompt",),
        actions=(WireSpan(key=("actions",), names=names, unit="rad"),),
    )


def echo_of(width: int) -> Echo:
    """Return a policy that answers with the state, and a step more with every action."""
    policy = Echo()
    names = names_of(width)
    policy.spec = vagus.PolicySpec(
        "echo",
        actions=tuple(vagus.ActionFeature(name, "rad") for name in names),
        state=tuple(vagus.StateFeature(name, "rad") for name in names),
        cameras=(vagus.CameraSpec("head", 4, 6),),
        horizon=HORIZON,
        model_dim=len(names),
        rate_hz=30,
        default_instruction="tidy up",
    )
    return policy


@dataclass
class Robot:
    """A robot of Google's protobuf and gRPC alone, on a connection of its own."""

    address: str
    messages: ModuleType = openpi_inference_pb2
    channel: grpc.Channel = field(init=False)
    calls: openpi_inference_pb2_grpc.OpenPiInferenceServiceStub = field(init=False)

    def __post_init__(self) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.max_send_message_length", 200 << 20),
            ("grpc.max_receive_message_length", 200 << 20),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
        ]
        self.channel = grpc.insecure_channel(self.address, options)
        stub = (
            openpi_inference_pb2_grpc.OpenPiInferenceServiceStub
            if self.messages is openpi_inference_pb2
            else lerobot_inference_pb2_grpc.LeRobotInferenceServiceStub
        )
        self.calls = cast("openpi_inference_pb2_grpc.OpenPiInferenceServiceStub", stub(self.channel))
        grpc.channel_ready_future(self.channel).result(PATIENCE_S)

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def configure(
        self, name: str = MODEL, prompt: str = "", checkpoint: str = ""
    ) -> openpi_inference_pb2.ServiceStatus:
        config = openpi_inference_pb2.PolicyConfig(
            config_name=name, default_prompt=prompt, checkpoint_dir=checkpoint, device="cuda"
        )
        status: openpi_inference_pb2.ServiceStatus = self.calls.Configure(config, timeout=PATIENCE_S)
        return status

    def chunk(self, first: float, prompt: str = "", width: int = 25) -> openpi_inference_pb2.ActionChunk:
        asked = observation(first, prompt, width)
        chunk: openpi_inference_pb2.ActionChunk = self.calls.PredictChunk(asked, timeout=PATIENCE_S)
        return chunk

    def action(self, first: float) -> openpi_inference_pb2.Action:
        action: openpi_inference_pb2.Action = self.calls.Predict(observation(first), timeout=PATIENCE_S)
        return action

    def status(self) -> openpi_inference_pb2.ServiceStatus:
        empty = openpi_inference_pb2.Empty()
        status: openpi_inference_pb2.ServiceStatus = self.calls.GetStatus(empty, timeout=PATIENCE_S)
        return status

    def reset(self) -> openpi_inference_pb2.ServiceStatus:
        empty = openpi_inference_pb2.Empty()
        status: openpi_inference_pb2.ServiceStatus = self.calls.Reset(empty, timeout=PATIENCE_S)
        return status

    def control(self, kind: int, **params: str) -> openpi_inference_pb2.ServiceStatus:
        command = openpi_inference_pb2.ControlCommand(type=kind, params=params)  # type: ignore[arg-type]
        status: openpi_inference_pb2.ServiceStatus = self.calls.Control(command, timeout=PATIENCE_S)
        return status

    def raw(self, method: str, message: bytes) -> bytes:
        """Return the answer to any bytes."""
        place = f"/{openpi_inference_pb2.DESCRIPTOR.package}.OpenPiInferenceService/{method}"
        answer = self.channel.unary_unary(place)(message, timeout=PATIENCE_S)
        assert isinstance(answer, bytes)
        return answer


def observation(first: float, prompt: str = "", width: int = 25) -> openpi_inference_pb2.Observation:
    """Return what a robot observes; `first` is its first joint."""
    head = openpi_inference_pb2.ImageData(
        camera_name="head", data=bytes(encode_image(FRAME, "png").data), width=6, height=4, encoding="png"
    )
    state = first + np.arange(width)
    return openpi_inference_pb2.Observation(state=state, images=[head], prompt=prompt)


def lerobot_observation(first: float) -> lerobot_inference_pb2.Observation:
    """Return the same for the LeRobot variant."""
    head = lerobot_inference_pb2.ImageData(
        camera_name="head", data=FRAME.tobytes(), width=6, height=4, encoding="raw"
    )
    return lerobot_inference_pb2.Observation(joint_positions=first + np.arange(25), images=[head])


def expected(first: float, width: int = 25) -> np.ndarray:
    """Return the actions that answer it, (HORIZON, width)."""
    return first + np.arange(width, dtype=np.float32)[None] + np.arange(HORIZON, dtype=np.float32)[:, None]


@dataclass
class Stand:
    """A policy, its server, and a gateway that listens."""

    policy: Echo
    gateway: Gateway
    listener: AstribotListener

    def robot(self, messages: ModuleType = openpi_inference_pb2) -> Robot:
        return Robot(self.listener.address, messages)


@contextmanager
def standing(
    *, width: int = 25, is_served: bool = True, **settings: int | float | str | Mapping[str, str]
) -> Iterator[Stand]:
    """Serve the policy, and let a gateway listen on a free port."""
    network = MemoryNetwork()
    policy = echo_of(width)
    given: dict[str, object] = {"listen": "127.0.0.1:0", "name": "s1", **settings}
    config = GatewayConfig(protocol="astribot", profile="tiny", **given)  # type: ignore[arg-type] # by name
    with Server(network.link("server"), lambda: policy, ServeConfig(model=MODEL, warm_up=False)) as server:
        assert server.wait_ready(PATIENCE_S)
        link = network.link("gateway") if is_served else MemoryNetwork().link("nobody")
        gateway = Gateway(config, gateway_profile(width), link)
        listener = AstribotListener(gateway)
        listener.start()
        try:
            yield Stand(policy, gateway, listener)
        finally:
            policy.gate.set()
            listener.close()
