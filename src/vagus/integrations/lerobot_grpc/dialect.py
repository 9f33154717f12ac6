"""LeRobot's gRPC messages as what every policy needs: state, pictures and instruction in, a chunk out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError, SpecError
from vagus.integrations.lerobot_grpc.messages import (
    ObservationValue,
    RemotePolicyConfig,
    RobotFeature,
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
    "LerobotReply",
    "LerobotRequest",
    "decode_reply",
    "decode_request",
    "decode_setup",
    "encode_reply",
    "encode_request",
    "encode_setup",
]

_STATE = "observation.state"
_IMAGES = "observation.images."
_TASK = "task"


@dataclass(frozen=True, slots=True, eq=False)
class LerobotRequest:
    """An observation by its parts, and what its answer must echo."""

    state: NDArray[np.float64]
    """(state_dim,), in the order of the names of `observation.state`; in the client's own units."""
    images: Mapping[str, NDArray[np.uint8]]
    """Camera → (height, width, channels), RGB as LeRobot's cameras give it."""
    instruction: str | None
    timestep: int
    timestamp_s: float
    """Wall clock of the client; only to be echoed."""
    must_go: bool
    extra: Mapping[str, ObservationValue] = field(default_factory=dict)
    """What the features do not name."""


@dataclass(frozen=True, slots=True, eq=False)
class LerobotReply:
    """A chunk of actions."""

    actions: NDArray[np.float32]
    """(horizon, action_dim), in the order of the robot's actions."""
    timestep: int
    """Of the first action; each further one is a step later."""
    timestamp_s: float
    """When the first action is due, on the client's wall clock."""
    step_s: float
    """Seconds from one action to the next; 0 for a single one that came from a server."""


def decode_setup(message: bytes) -> RemotePolicyConfig:
    """Return what a robot client wants, from its message `PolicySetup`.

    Raises:
        ProtocolError: malformed, or not allowed.
    """
    return read_policy_config(decode_data(message))


def encode_setup(config: RemotePolicyConfig) -> bytes:
    """Return the message `PolicySetup` of a robot client."""
    return encode_data(write_policy_config(config))


def decode_request(payload: bytes | memoryview, config: RemotePolicyConfig) -> LerobotRequest:
    """Return the observation of a robot client, from its parts put together.

    Raises:
        ProtocolError: malformed, not allowed, or without a value that the client's own features name.
    """
    observation = read_observation(payload)
    rest = dict(observation.observation)
    names = _state_names(config)
    state = np.array([_number(rest.pop(name, None), name) for name in names], np.float64)
    images = {name: _image(rest.pop(name, None), name, feature) for name, feature in _cameras(config).items()}
    instruction = rest.pop(_TASK, None)
    if instruction is not None and not isinstance(instruction, str):
        raise ProtocolError(f"{_TASK}: wanted a text, got {type(instruction).__name__}")
    return LerobotRequest(
        state,
        images,
        instruction,
        observation.timestep,
        observation.timestamp_s,
        observation.must_go,
        rest,
    )


def encode_request(request: LerobotRequest, config: RemotePolicyConfig) -> list[bytes]:
    """Return the messages `Observation` that a robot client streams for one observation.

    Raises:
        SpecError: the state does not have the features' length.
    """
    names = _state_names(config)
    if request.state.shape != (len(names),):
        raise SpecError("state", wanted=f"shape ({len(names)},)", got=f"{request.state.shape}")
    values: dict[str, ObservationValue] = dict(zip(names, request.state.tolist(), strict=True))
    values.update(request.images)
    values.update(request.extra)
    if request.instruction is not None:
        values[_TASK] = request.instruction
    observation = TimedObservation(
        request.timestamp_s, request.timestep, values, request.must_go, config.module
    )
    return [encode_part(part) for part in parts_of(write_observation(observation))]


def encode_reply(reply: LerobotReply | None, config: RemotePolicyConfig) -> bytes:
    """Return the message `Actions`; None is LeRobot's only way to say that there is no answer: no bytes.

    Raises:
        SpecError: no actions.
    """
    if reply is None:
        return b""
    actions = [
        TimedAction(reply.timestamp_s + at * reply.step_s, reply.timestep + at, action)
        for at, action in enumerate(reply.actions)
    ]
    return encode_data(write_actions(actions, config.module))


def decode_reply(message: bytes) -> LerobotReply | None:
    """Return the chunk in a policy server's message `Actions`; None: it had nothing, or failed and hides it.

    Raises:
        ProtocolError: malformed, not allowed, or actions that are not one step after the other.
    """
    data = decode_data(message)
    actions = read_actions(data) if data else ()
    if not actions:
        return None
    first, last = actions[0], actions[-1]
    if [action.timestep for action in actions] != list(range(first.timestep, first.timestep + len(actions))):
        raise ProtocolError("actions: wanted timesteps one after the other, got others")
    step_s = (last.timestamp_s - first.timestamp_s) / max(len(actions) - 1, 1)
    if step_s < 0:
        raise ProtocolError("actions: wanted times that do not fall, got others")
    return LerobotReply(
        np.stack([action.action for action in actions]), first.timestep, first.timestamp_s, step_s
    )


def _state_names(config: RemotePolicyConfig) -> tuple[str, ...]:
    feature = config.lerobot_features.get(_STATE)
    return feature.names if feature is not None else ()


def _cameras(config: RemotePolicyConfig) -> dict[str, RobotFeature]:
    return {
        key.removeprefix(_IMAGES): feature
        for key, feature in config.lerobot_features.items()
        if key.startswith(_IMAGES)
    }


def _number(value: ObservationValue | None, name: str) -> float:
    if isinstance(value, (bool, int, float)):
        return float(value)
    got = "nothing" if value is None else type(value).__name__
    raise ProtocolError(f"observation {quoted(name, 64)}: wanted a number, got {got}")


def _image(value: ObservationValue | None, name: str, feature: RobotFeature) -> NDArray[np.uint8]:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape == feature.shape:
        return value.astype(np.uint8, copy=False)
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ProtocolError(f"camera {quoted(name, 64)}: wanted uint8 {feature.shape}, got {got}")
