"""Observation of LeRobot in the form that a profile describes, and the actions of its answer (pure)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, WirePath
from vagus.integrations.lerobot_grpc.dialect import (
    ACTIONS,
    IMAGES,
    STATE,
    STEP_S,
    TASK,
    TIMESTAMP,
    TIMESTEP,
    encode_reply,
    images_of,
    state_of,
)
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig

__all__ = ["canonical_request", "encode_timed"]


def canonical_request(request: ForeignRequest, config: RemotePolicyConfig) -> ForeignRequest:
    """Return the observation as one state, its pictures and its instruction, of what `config` names.

    Raises:
        ProtocolError: a number or a picture is missing, has another shape, or is not finite.
    """
    values: dict[WirePath, Value] = {}
    state = state_of(request, config)
    if not np.isfinite(state).all():
        raise ProtocolError(f"{STATE}: wanted finite numbers, got NaN or infinity")
    if state.size:
        values[STATE,] = state
    values |= {(IMAGES + camera,): picture for camera, picture in images_of(request, config).items()}
    task = request.observation.get((TASK,))
    if isinstance(task, str) and task:
        values[TASK,] = task
    return replace(request, observation=values)


def encode_timed(reply: ForeignReply, request: ForeignRequest, *, step_s: float, most: int) -> bytes:
    """Return the message `Actions` for an observation: its own time and step are the first action's.

    Args:
        reply: actions (horizon, action_dim).
        request: the observation.
        step_s: seconds from one action to the next.
        most: actions that the client wants at most.

    Raises:
        PolicyError: there are no actions.
    """
    chunk = reply.actions.get(ACTIONS)
    if chunk is None or not len(chunk):
        raise PolicyError(f"actions: wanted {ACTIONS!r}, got none")
    asked = request.beside
    timed = ForeignReply(
        {ACTIONS: chunk[:most].astype(np.float32)},
        {TIMESTAMP: asked[TIMESTAMP,], TIMESTEP: asked[TIMESTEP,], STEP_S: float(step_s)},
    )
    return encode_reply(timed, request.envelope)
