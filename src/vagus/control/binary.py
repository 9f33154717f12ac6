"""Binaries as a policy writes them become 0 or 1, with hysteresis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.control.axis_limiter import BoolArray
from vagus.encodings import BinaryEncoding, BinaryForm
from vagus.features import ActionFeature, ActionKind
from vagus.types import ActionArray

__all__ = ["BinaryDecoder", "snapped"]

HALF = 0.5
"""Threshold between a robot's own 0 and 1."""


def snapped(values: ActionArray) -> ActionArray:
    """Return 1 where a robot's own reading is nearer to 1, else 0; NaN stays."""
    result: ActionArray = np.where(np.isnan(values), values, np.where(values >= HALF, 1.0, 0.0))
    return result


class BinaryDecoder:
    """Decodes the binary actions of a policy into 0 and 1; all other numbers stay as they are.

    A number within the hysteresis of the threshold leaves a binary as it is, so that one that wavers does
    not make it chatter. One that its encoding cannot mean (−1 or 4.2 for a probability) is read by the
    threshold all the same, and there is a sentence about the first of each action.

    Args:
        actions: features in the order of the vectors, with their encodings.
    """

    def __init__(self, actions: Sequence[ActionFeature]) -> None:
        self._is_binary: BoolArray = np.array([f.kind is ActionKind.BINARY for f in actions], dtype=np.bool_)
        self._any = bool(self._is_binary.any())
        self._names = [feature.name for feature in actions]
        self._encodings = [feature.encoding or BinaryEncoding() for feature in actions]
        self._low, self._high = np.array([e.band for e in self._encodings]).reshape(-1, 2).T.copy()
        self._least, self._most = np.array([e.range for e in self._encodings]).reshape(-1, 2).T.copy()
        self._middle = np.array([e.threshold for e in self._encodings], dtype=np.float64)
        self._is_inverted: BoolArray = np.array([e.is_inverted for e in self._encodings], dtype=np.bool_)
        self._is_told: BoolArray = ~self._is_binary
        self._told: list[str] = []

    def decode(self, target: ActionArray, last: ActionArray) -> ActionArray:
        """Return `target`, (action_dim,), with 0 or 1 for each binary; what is not finite stays.

        Args:
            target: as the policy writes it.
            last: what was commanded last; a binary that is neither 0 nor 1 there is read without hysteresis.
        """
        if not self._any:
            return target
        self._note_strange(target)
        is_known = (last == 0.0) | (last == 1.0)
        was_high = np.where(is_known, (last == 1.0) != self._is_inverted, target >= self._middle)
        is_high = np.where(was_high, target > self._low, target >= self._high)
        values = np.where(is_high != self._is_inverted, 1.0, 0.0)
        result: ActionArray = np.where(self._is_binary & np.isfinite(target), values, target)
        return result

    def take_notices(self) -> list[str]:
        """Return the warnings since the last call."""
        if not self._told:
            return []
        told, self._told = self._told, []
        return told

    def _note_strange(self, target: ActionArray) -> None:
        is_strange = ~self._is_told & ((target < self._least) | (target > self._most))
        if not is_strange.any():
            return
        self._is_told |= is_strange
        for column in np.flatnonzero(is_strange).tolist():
            name, value, encoding = self._names[column], float(target[column]), self._encodings[column]
            read = int((value >= self._middle[column]) != encoding.is_inverted)
            self._told.append(
                f"{name}: the policy says {value:g}, which no {encoding.form.value} encoding has; taken for "
                f"{read}. Declare how the policy writes it: encodings {{{name}: {_likely(value)}}} in its "
                "@policy or manifest, or in the robot's mapping file"
            )


def _likely(value: float) -> str:
    low, high = BinaryEncoding(BinaryForm.SIGNED).range
    return BinaryForm.SIGNED.value if low <= value <= high else BinaryForm.LOGIT.value
