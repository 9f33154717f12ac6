"""The mean of the last targets of a plan, for actions that ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from vagus.features import ActionFeature
from vagus.types import ActionArray

__all__ = ["TargetAverage"]


class TargetAverage:
    """Averages the targets of consecutive ticks; actions that ask for no mean stay as they are.

    A mean never mixes targets from before and after `forget`, so it is called where a plan is interrupted.

    Args:
        actions: features in the order of the vectors, with their `averaged_ticks`.
    """

    def __init__(self, actions: Sequence[ActionFeature]) -> None:
        ticks = [feature.averaged_ticks for feature in actions]
        self._columns = [(column, count) for column, count in enumerate(ticks) if count > 1]
        self._last: deque[ActionArray] = deque(maxlen=max(ticks, default=1))

    def forget(self) -> None:
        """Begin anew: the next target is its own mean."""
        self._last.clear()

    def advance(self, target: ActionArray) -> ActionArray:
        """Return the mean of the last targets, (action_dim,); `target` as it is if it is not finite."""
        if not self._columns or not np.isfinite(target).all():
            return target
        self._last.append(target.copy())
        targets = np.array(self._last)
        mean: ActionArray = target.copy()
        for column, count in self._columns:
            mean[column] = targets[-count:, column].mean()
        return mean
