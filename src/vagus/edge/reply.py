"""What a chunk must be before the engine sees it: well formed, of the contract's widths, finite."""

from __future__ import annotations

import enum

import numpy as np

from vagus.errors import ProtocolError
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, FloatArray
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.schema import ChunkMessage, TensorMessage

__all__ = ["Fault", "read_chunk"]


class Fault(enum.Enum):
    """Why a chunk is refused as a whole; the values are counters."""

    MALFORMED = "rejected_malformed"
    """Not a chunk, or arrays that are not float32."""
    SHAPE = "rejected_shape"
    """Another width than agreed on, or another length than it says."""
    STEP = "rejected_step"
    """Not for the step that was asked about."""
    NOT_FINITE = "rejected_not_finite"
    """NaN or infinity in it."""


def read_chunk(payload: bytes, spec: PolicySpec, *, step: int) -> ActionChunk | Fault:
    """Return the chunk in `payload`, with arrays of its own, or what is wrong with it."""
    try:
        message = decode(payload, ChunkMessage)
        robot = _float32(message.chunk_robot, "chunk_robot")
        model = _float32(message.chunk_model, "chunk_model")
    except ProtocolError:
        return Fault.MALFORMED
    length = message.valid_len
    is_fitting = robot.shape == (length, spec.action_dim) and model.shape == (length, spec.model_dim)
    if not (is_fitting and 1 <= length <= spec.horizon):
        return Fault.SHAPE
    if message.step != step:
        return Fault.STEP
    if not (np.isfinite(robot).all() and np.isfinite(model).all()):
        return Fault.NOT_FINITE
    return ActionChunk(step, model, robot)


def _float32(message: TensorMessage, name: str) -> FloatArray:
    array = decode_tensor(message, shape=(None, None), name=name)
    if array.dtype != np.float32:
        raise ProtocolError(f"{name}: wanted float32, got {array.dtype}")
    return np.array(array, dtype=np.float32)  # owned: the plan outlives the message
