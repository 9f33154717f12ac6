"""Feedback: which number of the state measures which action."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.control.axis_limiter import BoolArray
from vagus.features import ActionFeature, ActionKind
from vagus.types import ActionArray, FloatArray

__all__ = ["Feedback"]


class Feedback:
    """Maps the state to the measured value of each action; the feedback of `actions` is resolved."""

    def __init__(self, actions: Sequence[ActionFeature], state_names: Sequence[str]) -> None:
        place = {name: index for index, name in enumerate(state_names)}
        sources = [None if f.kind is ActionKind.DELTA else f.feedback for f in actions]
        self.is_measured: BoolArray = np.array([source is not None for source in sources], dtype=np.bool_)
        self._source = np.array([0 if name is None else place[name] for name in sources], dtype=np.intp)
        self._size = len(state_names)
        self.presumed: ActionArray = np.array([_presumed(feature) for feature in actions])

    def measured(self, state: FloatArray) -> ActionArray:
        """Return the measured value of each action, (action_dim,); NaN where nothing measures it."""
        if not self._size:
            return np.full(self.presumed.size, np.nan)
        measured: ActionArray = np.where(self.is_measured, state.astype(np.float64)[self._source], np.nan)
        return measured


def _presumed(feature: ActionFeature) -> float:
    """Return where an unmeasured action starts; NaN: at its last command, or at the first target."""
    if feature.kind in (ActionKind.VELOCITY, ActionKind.DELTA):
        return 0.0
    if feature.kind in (ActionKind.EFFORT, ActionKind.BINARY) and feature.safe is not None:
        return feature.safe
    return float("nan")
