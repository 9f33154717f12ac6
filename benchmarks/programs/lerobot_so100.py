"""SO-100 robot clients of LeRobot, and its server: `client FRAMES ROBOTS PORT…` or `server DEVICE`.

Neither needs LeRobot: both read and write its pickles with vagus's own code, so that this part costs both
servers the same; a robot writes each of its observations once and sends it again and again. The server has
four workers and one inference at a time, as LeRobot's; kinder than that one, it keeps an observation for each
robot, waits for no queue and does not sleep after an inference.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.closed_loop import Ask, actions_for, drive_robots, pictures
from benchmarks.programs.device import Accelerator, accelerator_called
from benchmarks.programs.driver import announce
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.lerobot_grpc.dialect import (
    ACTIONS,
    MUST_GO,
    STEP_S,
    TASK,
    TIMESTAMP,
    TIMESTEP,
    decode_reply,
    decode_request,
    decode_setup,
    encode_reply,
    encode_request,
    encode_setup,
    images_of,
    state_of,
)
from vagus.integrations.lerobot_grpc.messages import HelpersModule, RemotePolicyConfig, RobotFeature
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part

SERVICE = "transport.AsyncInference"
WORKERS = 4
MAX_BYTES = 64 << 20
MOTORS = tuple(
    f"{motor}.pos"
    for motor in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)
CAMERAS = ("front", "wrist")
HORIZON = 50
MODEL = "device/main/default"
"""Service that a robot must name at a gateway."""
STEP = 1 / 30


def config(model: str) -> RemotePolicyConfig:
    """Return what a robot client says of itself before anything else."""
    axes = ("height", "width", "channels")
    cameras = {f"observation.images.{name}": RobotFeature("image", (480, 640, 3), axes) for name in CAMERAS}
    state = {"observation.state": RobotFeature("float32", (len(MOTORS),), MOTORS)}
    return RemotePolicyConfig("act", model, state | cameras, HORIZON)


Written = dict[bytes, list[bytes]]
"""State → messages of its observation."""


class Call(Protocol):
    """What is used of gRPC's context."""

    def peer(self) -> str: ...


class ReferenceServer:
    """Answers robots one at a time."""

    def __init__(self, device: Accelerator) -> None:
        self._configs: dict[str, RemotePolicyConfig] = {}
        self._observed: dict[str, ForeignRequest] = {}
        self._device = device
        self._is_free = threading.Lock()

    def handlers(self) -> object:
        """Return the service, with bytes as its messages."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Ready": unary(self._begin),
                "SendPolicyInstructions": unary(self._set_up),
                "SendObservations": grpc.stream_unary_rpc_method_handler(self._observe),
                "GetActions": unary(self._act),
            },
        )

    def _begin(self, _: bytes, call: Call) -> bytes:
        self._observed.pop(call.peer(), None)
        return b""

    def _set_up(self, message: bytes, call: Call) -> bytes:
        self._configs[call.peer()] = decode_setup(message)
        return b""

    def _observe(self, messages: Iterator[bytes], call: Call) -> bytes:
        parts = ObservationParts(MAX_BYTES)
        for message in messages:
            whole = parts.add(decode_part(message))
            if whole is not None:
                self._observed[call.peer()] = decode_request(whole)
        return b""

    def _act(self, _: bytes, call: Call) -> bytes:
        request, told = self._observed.pop(call.peer()), self._configs[call.peer()]
        with self._is_free:
            state = state_of(request, told)
            if len(images_of(request, told)) != len(CAMERAS):
                raise ValueError("another number of cameras")
            self._device.infer(1)
            beside = request.beside
            extra: dict[Key, Value] = {
                TIMESTAMP: beside[TIMESTAMP,],
                TIMESTEP: beside[TIMESTEP,],
                STEP_S: STEP,
            }
            return encode_reply(ForeignReply({ACTIONS: actions_for(state, HORIZON)}, extra), request.envelope)


def run_server(device: Accelerator) -> None:
    server = grpc.server(ThreadPoolExecutor(WORKERS), handlers=[ReferenceServer(device).handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce(port=port)
    sys.stdin.read()
    server.stop(None).wait()


def observation_of(state: NDArray[np.float64], frames: Mapping[str, NDArray[np.uint8]]) -> list[bytes]:
    """Return the messages of an observation."""
    observed: dict[WirePath, Value] = {
        **{(name,): float(value) for name, value in zip(MOTORS, state, strict=True)},
        **{(name,): frame for name, frame in frames.items()},
        (TASK,): "put the cup on the shelf",
    }
    beside: dict[WirePath, Value] = {(TIMESTAMP,): 1.0, (TIMESTEP,): 1, (MUST_GO,): True}
    envelope = Envelope("lerobot_grpc", version=HelpersModule.SINCE_0_4.value)
    return encode_request(ForeignRequest(Operation.INFER, envelope, observed, beside))


def robot(frames: Mapping[str, NDArray[np.uint8]], written: Written, port: int) -> Ask:
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own, as a process of its own has
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
    send_observations = channel.stream_unary(f"/{SERVICE}/SendObservations")
    calls = {
        name: channel.unary_unary(f"/{SERVICE}/{name}")
        for name in ("Ready", "SendPolicyInstructions", "GetActions")
    }
    calls["Ready"](b"")
    calls["SendPolicyInstructions"](encode_setup(config(MODEL)))

    def ask(state: NDArray[np.float64]) -> NDArray[np.floating]:
        key = state.tobytes()
        if key not in written:
            written[key] = observation_of(state, frames)
        send_observations(iter(written[key]))
        return decode_reply(calls["GetActions"](b"")).actions[ACTIONS].astype(np.float32)

    return ask


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run_server(accelerator_called(sys.argv[2]))
    else:
        path, robots, *ports = sys.argv[2:]
        frames, written = dict(zip(CAMERAS, pictures(path), strict=True)), Written()
        asks = [[robot(frames, written, int(port)) for _ in range(int(robots))] for port in ports]
        drive_robots(asks, len(MOTORS))
