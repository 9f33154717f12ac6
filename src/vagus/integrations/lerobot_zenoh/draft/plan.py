"""Running plan of a robot, as a server of the draft takes it: its own rows, never a short prefix (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vagus.gateways.neutral import ForeignRtc
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk
from vagus.types import FloatArray

__all__ = ["DraftPlan", "told_plan"]

RELATIVE: Final = 1e-4
ABSOLUTE: Final = 1e-5
"""Largest differences between a row that the server gave and the same on its way back."""


@dataclass(frozen=True, eq=False)
class DraftPlan:
    """Rows that the robot has not executed yet.

    Attributes:
        model: in the model's units, as the server gave them, (n, model_dim) float32.
        robot: the same rows in the robot's units, (n, action_dim) float32.
        inference_delay: rows of them that pass until the answer acts.
    """

    model: FloatArray
    robot: FloatArray
    inference_delay: int


def told_plan(last: DraftChunk | None, rtc: ForeignRtc | None, *, least: int) -> DraftPlan | None:
    """Return what a server is told of the running plan; None: nothing.

    A server of the draft fills a prefix that is shorter than its execution horizon with zeros, and follows
    them at full weight: such a prefix is not sent.

    Args:
        last: newest chunk of the server.
        rtc: what the robot still executes, in its units.
        least: rows that the server guides by, its `rtc_execution_horizon`.
    """
    if last is None or last.robot is None or last.model is None or rtc is None or rtc.prefix is None:
        return None
    prefix = rtc.prefix
    if prefix.ndim != 2 or not least or len(prefix) < least or prefix.shape[1] != last.robot.shape[1]:
        return None
    for begin in range(len(last.robot) - least + 1):
        known = last.robot[begin : begin + len(prefix)]
        if np.allclose(prefix[: len(known)], known, rtol=RELATIVE, atol=ABSOLUTE):
            delay = min(rtc.inference_delay or 0, len(known))
            return DraftPlan(last.model[begin : begin + len(known)], known, delay)
    return None
