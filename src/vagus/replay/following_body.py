"""The measured state of a robot that gets other commands than were recorded. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.control.readings import REMEMBERED, Reading
from vagus.features import ActionFeature, ActionKind
from vagus.types import ActionArray, FloatArray

__all__ = ["FollowingBody"]


class FollowingBody:
    """A robot that follows other commands as closely as it followed the recorded ones.

    A joint that a state feature measures is where it was recorded, and further by as much as its command
    differs from the recorded one. Before the first command it stands where the episode began. All else is
    measured as it was recorded, parts of a rotation too.

    Args:
        actions: features of an action, feedback resolved.
        state_names: names of the state vector.
    """

    def __init__(self, actions: Sequence[ActionFeature], state_names: Sequence[str]) -> None:
        place = {name: index for index, name in enumerate(state_names)}
        followed = [
            (index, place[f.feedback])
            for index, f in enumerate(actions)
            if f.kind is ActionKind.POSITION and f.feedback in place and f.rotation is None
        ]
        self._actions = np.array([action for action, _ in followed], dtype=np.intp)
        self._states = np.array([state for _, state in followed], dtype=np.intp)
        self._start: NDArray[np.float64] | None = None
        self._apart: NDArray[np.float64] | None = None
        self._seen: deque[FloatArray] = deque(maxlen=REMEMBERED)

    def begin_episode(self) -> None:
        """Stand where the next recorded state is."""
        self._start = self._apart = None
        self._seen.clear()

    def measure(self, recorded: NDArray[np.float64]) -> Reading:
        """Return the reading of a tick, from the recorded state, (state_dim,)."""
        state = np.array(recorded, dtype=np.float64)
        if self._start is None:
            self._start = state.copy()
        if self._apart is None:
            state[self._states] = self._start[self._states]
        else:
            state[self._states] += self._apart
        self._seen.append(np.asarray(state, np.float32))
        steady: FloatArray = np.median(np.stack(self._seen), axis=0).astype(np.float32)
        return Reading(self._seen[-1], steady, is_trusted=True)

    def command(self, recorded: ActionArray, simulated: ActionArray | None) -> None:
        """Note the commands of a tick, (action_dim,); NaN or None: nothing was commanded."""
        if simulated is None:
            return
        apart = (simulated - recorded)[self._actions]
        before = np.zeros(len(apart)) if self._apart is None else self._apart
        self._apart = np.where(np.isfinite(apart), apart, before)
