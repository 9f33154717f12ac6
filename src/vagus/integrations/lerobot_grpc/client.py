"""Connection to LeRobot's policy server over gRPC."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import grpc
import numpy as np

from vagus.clock import NS_PER_S, monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_server import Asked
from vagus.gateways.grpc_channel import GrpcChannel
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, WirePath
from vagus.gateways.profile import Profile
from vagus.integrations.lerobot_grpc.dialect import (
    MUST_GO,
    TIMESTAMP,
    TIMESTEP,
    decode_reply,
    encode_request,
    encode_setup,
)
from vagus.integrations.lerobot_grpc.messages import HelpersModule, RemotePolicyConfig, RobotFeature
from vagus.integrations.lerobot_grpc.options import LeRobotGrpcOptions
from vagus.policies.policy import ServingMode
from vagus.specs import RtcSpec

__all__ = ["LeRobotGrpcClient"]

SERVICE: Final = "transport.AsyncInference"
FIRST_TIMESTEPS: Final = 1 << 40
"""Timesteps among which the first is drawn."""
STATE: Final = ("observation.state",)
IMAGES: Final = "observation.images."


class LeRobotGrpcClient:
    """Connection to a LeRobot policy server, a `ForeignServer`.

    Each connection tells the server to load its checkpoint. Each request has a timestep of its own, later
    than all before, and must be answered.

    Args:
        address: where it listens.
        options: settings; they choose the model.
        profile: names of the state, and the cameras.
    """

    wanted = "a LeRobot policy server (gRPC)"
    loads_when_opened = True
    serving_mode = ServingMode.EXCLUSIVE
    serving_reason = "LeRobot's policy server answers the newest observation only, whoever sent it"
    has_reset = True
    max_rows = 1
    model_dim = 0

    def __init__(self, address: ForeignAddress, options: LeRobotGrpcOptions, profile: Profile) -> None:
        self.address = address
        chosen = options.policy_type, options.checkpoint
        self.settings = repr((options.actions_per_chunk or profile.horizon, options.device))
        self.identity = repr(chosen)
        self._names = tuple(name for span in profile.state for name in span.names)
        self._setup = encode_setup(
            RemotePolicyConfig(
                *chosen,
                lerobot_features=_features_of(profile, self._names),
                actions_per_chunk=options.actions_per_chunk or profile.horizon,
                device=options.device,
            )
        )
        self._envelope = Envelope("lerobot_grpc", version=HelpersModule.SINCE_0_4.value)
        self._ready_timeout_s = options.timeout_s
        # where nobody else begins: a robot that asks the same server would get answers of equal numbers
        self._timestep = secrets.randbelow(FIRST_TIMESTEPS)
        self._line: GrpcChannel | None = None

    @property
    def is_open(self) -> bool:
        """Whether the connection of `open` still stands; another process would have no policy."""
        return self._line is not None and not self._line.is_lost

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew and have the checkpoint loaded; return nothing: the server says nothing about itself.

        Raises:
            LinkError: no connection, or the checkpoint is not loaded in time.
            ProtocolError: what answers is no policy server, or it refuses the checkpoint.
        """
        self.close()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        line = self._line = GrpcChannel(grpc, self.address, SERVICE)
        line.call("Ready", b"", min(timeout_s, self._ready_timeout_s))
        line.call("SendPolicyInstructions", self._setup, seconds_left(end_ns))
        return {}

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return None: the wire has no words for real-time chunking."""
        del said, horizon
        return None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return the reply to the one request.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none, or to another question.
            PolicyError: the server answers without actions, as it does when its inference fails.
        """
        line = self._opened()
        (request, _), *_ = requests
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        self._timestep += 1
        line.stream("SendObservations", encode_request(self._told(request)), timeout_s)
        reply = decode_reply(line.call("GetActions", b"", seconds_left(end_ns)))
        if not reply.actions:
            raise PolicyError(f"{self.address} answers 0 bytes: its inference failed; its own log says why")
        if reply.extra.get(TIMESTEP) != self._timestep:
            raise ProtocolError("the server answers another question: does another robot ask it, too?")
        return [reply]

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: the server refuses.
        """
        self._opened().call("Ready", b"", timeout_s)

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> GrpcChannel:
        if self._line is None:
            raise LinkError("not connected")
        return self._line

    def _told(self, request: ForeignRequest) -> ForeignRequest:
        """Return the request with a number per joint, as LeRobot's robots say it."""
        observation: dict[WirePath, Value] = {}
        for path, value in request.observation.items():
            if path == STATE and isinstance(value, np.ndarray):
                observation.update({(name,): float(x) for name, x in zip(self._names, value, strict=True)})
            else:
                observation[(str(path[0]).removeprefix(IMAGES),)] = value
        beside: dict[WirePath, Value] = {
            (TIMESTAMP,): monotonic_ns() / NS_PER_S,
            (TIMESTEP,): self._timestep,
            (MUST_GO,): True,
        }
        return replace(request, envelope=self._envelope, observation=observation, beside=beside)


def _features_of(profile: Profile, names: tuple[str, ...]) -> dict[str, RobotFeature]:
    """Return what a robot client would say that its robot offers."""
    features = {".".join(STATE): RobotFeature("float32", (len(names),), names)} if names else {}
    axes = ("height", "width", "channels")
    for image in profile.images:
        features[str(image.key[0])] = RobotFeature("image", (image.height, image.width, 3), axes)
    return features
