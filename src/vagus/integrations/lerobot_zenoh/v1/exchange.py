"""Observations of remote inference in the form that a profile describes, and the rows of an answer (pure)."""

from __future__ import annotations

from typing import Final

import numpy as np

from vagus.errors import PolicyError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, ForeignRtc, Operation, WirePath
from vagus.integrations.lerobot_zenoh.v1.alignment import ReplyPlan
from vagus.integrations.lerobot_zenoh.v1.features import ACTION
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import RemotePicture
from vagus.types import FloatArray

__all__ = ["TASK", "foreign_request", "foreign_rtc", "rows_of"]

TASK: Final = "task"
"""Key of the instruction in a profile."""
_ENVELOPE: Final = Envelope("lerobot_zenoh", "1")


def foreign_request(observation: RemoteObservation) -> ForeignRequest:
    """Return the request of an observation, its pictures decompressed.

    Raises:
        ProtocolError: a damaged JPEG.
    """
    values: dict[WirePath, Value] = {}
    for name, value in observation.features.items():
        values[name,] = value.pixels() if isinstance(value, RemotePicture) else value
    if observation.identity.task:
        values[TASK,] = observation.identity.task
    return ForeignRequest(Operation.INFER, _ENVELOPE, values)


def foreign_rtc(observation: RemoteObservation, plan: ReplyPlan) -> ForeignRtc | None:
    """Return what a client says of the rows that it executes; None without any.

    Chunks that are appended are executed after all of them, so none of them can still be changed.
    """
    rows = observation.canonical_continuation
    if rows is None:
        return None
    is_appended = plan.first_row > 0
    return ForeignRtc(
        is_enabled=True,
        prefix=rows.astype(np.float64),
        inference_delay=len(rows) if is_appended else plan.inference_delay,
        elapsed=plan.elapsed,
    )


def rows_of(reply: ForeignReply) -> FloatArray:
    """Return the rows of an answer in the robot's units, (n, action_dim) float32.

    Raises:
        PolicyError: there are none.
    """
    rows = reply.actions.get(ACTION)
    if rows is None or not len(rows):
        raise PolicyError(f"actions: wanted {ACTION!r}, got none")
    return rows.astype(np.float32)
