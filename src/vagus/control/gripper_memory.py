"""Keeps the last command of grippers and binaries over a pause, unless somebody moved them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.control.axis_limiter import BoolArray
from vagus.control.binary import snapped
from vagus.features import ActionFeature, ActionKind, grips
from vagus.types import ActionArray

__all__ = ["GripperMemory"]

MOVED_SHARE = 0.05
"""Share of its range by which a gripper that nobody moves may drift in a pause."""
MOVED_S = 0.1
"""The same for a gripper without a range: time at full speed."""


class GripperMemory:
    """Remembers the last command to each gripper and binary, and where they were measured then.

    A closed gripper is told to go further than the object lets it: that difference is its force. Where it is
    measured is therefore no place to go on from, unless somebody has moved it meanwhile.

    Args:
        actions: features in the order of the vectors.
    """

    def __init__(self, actions: Sequence[ActionFeature]) -> None:
        self._is_binary: BoolArray = np.array([f.kind is ActionKind.BINARY for f in actions], dtype=np.bool_)
        self.is_kept: BoolArray = self._is_binary | np.array([grips(f) for f in actions], dtype=np.bool_)
        """Which actions keep their last command, (action_dim,)."""
        self._any = bool(self.is_kept.any())
        self._drift = np.array([_drift(feature) for feature in actions])
        self._command: ActionArray = np.full(len(actions), np.nan)
        self._measured: ActionArray = np.full(len(actions), np.nan)

    def note(self, command: ActionArray, measured: ActionArray) -> None:
        """Remember one command and the measurement before it, each (action_dim,); NaN: not measured."""
        if self._any:
            np.copyto(self._command, command)
            np.copyto(self._measured, measured)

    def start(self, position: ActionArray, measured: ActionArray) -> ActionArray:
        """Return the start position, (action_dim,): `position`, or the last command of unmoved grippers."""
        if not self._any:
            return position
        start = np.where(self._is_binary, snapped(position), position)
        now = np.where(self._is_binary, snapped(measured), measured)
        then = np.where(self._is_binary, snapped(self._measured), self._measured)
        is_unmoved = (np.abs(now - then) <= self._drift) | (np.isnan(now) & np.isnan(then))
        is_kept = self.is_kept & ~np.isnan(self._command) & is_unmoved
        result: ActionArray = np.where(is_kept, self._command, start)
        return result


def _drift(feature: ActionFeature) -> float:
    limits = feature.limits
    if limits.lower is not None and limits.upper is not None:
        return MOVED_SHARE * (limits.upper - limits.lower)
    return 0.0 if limits.velocity is None else MOVED_S * limits.velocity
