"""LeRobot's gRPC messages as neutral requests and replies, and back (pure).

The client says once what its robot offers (`PolicySetup`); what an observation's keys mean is in there.
A reply has no field for an error: LeRobot sends no bytes then, and so does this.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation
from vagus.integrations.lerobot_grpc.messages import (
    HelpersModule,
    ObservationValue,
    RemotePolicyConfig,
    TimedAction,
    TimedObservation,
)
from vagus.integrations.lerobot_grpc.pickle_reader import read_actions, read_observation, read_policy_config
from vagus.integrations.lerobot_grpc.pickle_writer import (
    write_actions,
    write_observation,
    write_policy_config,
)
from vagus.integrations.lerobot_grpc.protobuf import decode_data, encode_data, encode_part, parts_of
from vagus.quoting import quoted

__all__ = [
    "ACTIONS",
    "IMAGES",
    "MUST_GO",
    "STATE",
    "STEP_S",
    "TASK",
    "TIMESTAMP",
    "TIMESTEP",
    "decode_reply",
    "decode_request",
    "decode_setup",
    "encode_reply",
    "encode_request",
    "encode_setup",
    "images_of",
    "state_of",
]

ACTIONS: Final = "actions"
"""Name of the actions in a reply, (horizon, action_dim) float32, in the order of the robot's actions."""
TIMESTEP: Final = "timestep"
"""Of an observation, and of the first action of its reply; each further action is a step later."""
TIMESTAMP: Final = "timestamp"
"""Seconds on the client's wall clock; a reply echoes it as the time of its first action."""
MUST_GO: Final = "must_go"
"""Whether the robot has no action left."""
STEP_S: Final = "step_s"
"""Seconds from one action of a reply to the next; 0 if a server sent a single one."""
STATE: Final = "observation.state"
"""Name of the state among a robot's features."""
IMAGES: Final = "observation.images."
"""Begin of the name of a camera among a robot's features."""
TASK: Final = "task"
"""Instruction of an observation."""

_PROTOCOL: Final = "lerobot_grpc"


def decode_setup(message: bytes) -> RemotePolicyConfig:
    """Return what a robot client wants, from its message `PolicySetup`.

    Raises:
        ProtocolError: malformed, or not allowed.
    """
    return read_policy_config(decode_data(message))


def encode_setup(config: RemotePolicyConfig) -> bytes:
    """Return the message `PolicySetup` of a robot client."""
    return encode_data(write_policy_config(config))


def decode_request(payload: bytes | memoryview) -> ForeignRequest:
    """Return the observation of a robot client, from its parts put together.

    Raises:
        ProtocolError: malformed, or not allowed.
    """
    sent = read_observation(payload)
    return ForeignRequest(
        Operation.INFER,
        Envelope(_PROTOCOL, version=sent.module.value),
        {(key,): value for key, value in sent.observation.items()},
        {(TIMESTAMP,): sent.timestamp_s, (TIMESTEP,): sent.timestep, (MUST_GO,): sent.must_go},
    )


def encode_request(request: ForeignRequest) -> list[bytes]:
    """Return the messages `Observation` that a robot client streams for one observation.

    Raises:
        ProtocolError: a value that the wire cannot carry, or no timestep.
        SpecError: an array that is not of booleans, integers or floats.
    """
    values: dict[str, ObservationValue] = {}
    for path, value in request.observation.items():
        if len(path) != 1 or not isinstance(path[0], str):
            raise ProtocolError(f"observation: wanted one text as key, got {quoted(path, 64)}")
        if not isinstance(value, (bool, int, float, str, np.ndarray)):
            raise ProtocolError(f"observation {quoted(path[0], 64)}: wanted a number, a text or an array")
        values[path[0]] = value
    must_go = request.beside.get((MUST_GO,)) is True
    timestep = _timestep(request.beside.get((TIMESTEP,)))
    timestamp_s = _seconds(request.beside.get((TIMESTAMP,)), TIMESTAMP)
    observation = TimedObservation(timestamp_s, timestep, values, must_go, _module(request.envelope))
    return [encode_part(part) for part in parts_of(write_observation(observation))]


def decode_reply(message: bytes) -> ForeignReply:
    """Return the chunk in a server's message `Actions`; no actions: it had none, or hides a failure.

    Raises:
        ProtocolError: malformed, not allowed, or actions that are not one step after the other.
    """
    data = decode_data(message)
    actions = read_actions(data) if data else ()
    if not actions:
        return ForeignReply()
    first, last = actions[0], actions[-1]
    if [action.timestep for action in actions] != list(range(first.timestep, first.timestep + len(actions))):
        raise ProtocolError("actions: wanted timesteps one after the other, got others")
    step_s = (last.timestamp_s - first.timestamp_s) / max(len(actions) - 1, 1)
    if step_s < 0:
        raise ProtocolError("actions: wanted times that do not fall, got others")
    chunk = np.stack([action.action for action in actions])
    return ForeignReply(
        {ACTIONS: chunk}, {TIMESTAMP: first.timestamp_s, TIMESTEP: first.timestep, STEP_S: step_s}
    )


def encode_reply(reply: ForeignReply, envelope: Envelope) -> bytes:
    """Return the message `Actions` that answers a request; an error, or no actions, is no bytes.

    Raises:
        ProtocolError: other actions than (horizon, action_dim) float32, or no timestep, timestamp or step.
    """
    if reply.error is not None or not reply.actions:
        return b""
    chunk = reply.actions.get(ACTIONS)
    if chunk is None or chunk.dtype != np.float32 or chunk.ndim != 2 or not len(chunk):
        raise ProtocolError(f"reply: wanted {ACTIONS!r} as float32 (horizon, action_dim), got something else")
    rows = chunk.astype(np.float32, copy=False)
    timestep = _timestep(reply.extra.get(TIMESTEP))
    begin_s, step_s = (_seconds(reply.extra.get(key), key) for key in (TIMESTAMP, STEP_S))
    actions = [TimedAction(begin_s + at * step_s, timestep + at, row) for at, row in enumerate(rows)]
    return encode_data(write_actions(actions, _module(envelope)))


def state_of(request: ForeignRequest, config: RemotePolicyConfig) -> NDArray[np.float64]:
    """Return the state (state_dim,) in the order that the client's features name, in the client's own units.

    Raises:
        ProtocolError: a number that the features name is missing.
    """
    feature = config.lerobot_features.get(STATE)
    names = feature.names if feature is not None else ()
    return np.array([_number(request.observation.get((name,)), name) for name in names], np.float64)


def images_of(request: ForeignRequest, config: RemotePolicyConfig) -> dict[str, NDArray[np.uint8]]:
    """Return camera → picture (height, width, channels), RGB, of the cameras that the features name.

    Raises:
        ProtocolError: a picture that the features name is missing, or has another shape.
    """
    cameras = {
        key.removeprefix(IMAGES): feature.shape
        for key, feature in config.lerobot_features.items()
        if key.startswith(IMAGES)
    }
    return {name: _image(request.observation.get((name,)), name, shape) for name, shape in cameras.items()}


def _module(envelope: Envelope) -> HelpersModule:
    try:
        return HelpersModule(envelope.version)
    except ValueError as error:
        known = ", ".join(module.value for module in HelpersModule)
        raise ProtocolError(f"version: wanted {known}, got {quoted(envelope.version, 64)}") from error


def _timestep(value: Value) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ProtocolError(f"{TIMESTEP}: wanted a whole number, got {type(value).__name__}")


def _seconds(value: Value, subject: str) -> float:
    if isinstance(value, float):
        return value
    raise ProtocolError(f"{subject}: wanted seconds as a float, got {type(value).__name__}")


def _number(value: Value, name: str) -> float:
    if isinstance(value, (bool, int, float)):
        return float(value)
    got = "nothing" if value is None else type(value).__name__
    raise ProtocolError(f"observation {quoted(name, 64)}: wanted a number, got {got}")


def _image(value: Value, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape == shape:
        return value.astype(np.uint8, copy=False)
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ProtocolError(f"camera {quoted(name, 64)}: wanted uint8 {shape}, got {got}")
