"""Decodes and checks a chunk before the engine sees it: well formed, right widths, finite."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from vagus.clock import NS_PER_MS
from vagus.conventions import first_meaningless
from vagus.errors import ProtocolError
from vagus.specs import PolicySpec, RobotSpec
from vagus.types import ActionChunk, FloatArray
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.schema import ChunkMessage, TensorMessage

__all__ = ["Reply", "ReplyFault", "as_played", "read_chunk"]

LONGEST_MS = 1e9
"""Beyond, a server's account of its time is none."""


class ReplyFault(enum.Enum):
    """Why a chunk is refused as a whole; the values are counters."""

    MALFORMED = "rejected_malformed"
    """Not a chunk, or arrays that are not float32."""
    SHAPE = "rejected_shape"
    """Another width than agreed on, or another length than it says."""
    STEP = "rejected_step"
    """Not for the step that was asked about."""
    NOT_FINITE = "rejected_not_finite"
    """NaN or infinity in it."""
    MEANINGLESS = "rejected_meaningless"
    """An orientation whose numbers are none, or an angle of a thousand turns."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A chunk that may be merged, and what the server says that it took, in nanoseconds.

    Attributes:
        chunk: finite, of the contract's widths, with arrays of its own.
        queue_ns: waiting for its batch.
        decode_ns: turning the request into arrays.
        inference_ns: in the policy.
    """

    chunk: ActionChunk
    queue_ns: int
    decode_ns: int
    inference_ns: int


def read_chunk(payload: bytes, spec: PolicySpec, *, step: int) -> Reply | ReplyFault:
    """Return the chunk in `payload`, or what is wrong with it.

    Args:
        payload: of a chunk message.
        spec: the policy's, with what the robot says of its angles and orientations.
        step: the one that was asked about.
    """
    try:
        message = decode(payload, ChunkMessage)
        robot = _float32(message.chunk_robot, "chunk_robot")
        model = _float32(message.chunk_model, "chunk_model")
    except ProtocolError:
        return ReplyFault.MALFORMED
    length = message.valid_len
    is_fitting = robot.shape == (length, spec.action_dim) and model.shape == (length, spec.model_dim)
    if not (is_fitting and 1 <= length <= spec.horizon):
        return ReplyFault.SHAPE
    if message.step != step:
        return ReplyFault.STEP
    if not (np.isfinite(robot).all() and np.isfinite(model).all()):
        return ReplyFault.NOT_FINITE
    if first_meaningless(spec.actions, robot) is not None:
        return ReplyFault.MEANINGLESS
    times = (message.queue_wait_ms, message.decode_ms, message.inference_ms)
    return Reply(ActionChunk(step, model, robot), *map(_nanoseconds, times))


def as_played(policy: PolicySpec, robot: RobotSpec) -> PolicySpec:
    """Return `policy` with what `robot`, in the policy's names, says of each action."""
    ours = {feature.name: feature for feature in robot.actions}
    return replace(policy, actions=tuple(ours.get(feature.name, feature) for feature in policy.actions))


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * NS_PER_MS) if 0 <= milliseconds <= LONGEST_MS else 0  # and NaN is nothing


def _float32(message: TensorMessage, name: str) -> FloatArray:
    array = decode_tensor(message, shape=(None, None), name=name)
    if array.dtype != np.float32:
        raise ProtocolError(f"{name}: wanted float32, got {array.dtype}")
    return np.array(array, dtype=np.float32)  # owned: the plan outlives the message
