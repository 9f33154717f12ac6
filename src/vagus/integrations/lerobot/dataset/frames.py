"""Conversion of ticks into the frames of a dataset: one per policy step.

A frame holds the state at its beginning and the last command before the next frame begins: what the robot was
sent to from there, whatever the tick rate. Time in a dataset has no holes, so a pause ends the episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.clock import seconds_to_ns
from vagus.types import ActionArray, Command, FloatArray, Image, MotionState, Provenance

__all__ = ["Cut", "DatasetFrame", "FrameCutter"]

GAP_S = 0.5
"""Longest time between two ticks of one episode, in seconds."""


@dataclass(slots=True, eq=False)
class DatasetFrame:
    """Frame of the dataset that is not complete yet.

    Attributes:
        state: at its beginning.
        action: commanded since; of a delta, the sum.
        provenance: of the action.
        images: what the cameras showed at its beginning, once they were looked at.
        is_looked_at: nobody will add images any more.
    """

    state: FloatArray
    action: ActionArray
    provenance: Provenance
    images: Mapping[str, Image] | None = None
    is_looked_at: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Result of a tick for the frames.

    Attributes:
        done: a frame that is complete, but for its images.
        is_end: the episode ended with it.
        begun: a frame that began; its images are wanted now.
    """

    done: DatasetFrame | None = None
    is_end: bool = False
    begun: DatasetFrame | None = None


class FrameCutter:
    """Cuts the ticks of a run into frames.

    Args:
        period_s: seconds from frame to frame.
        tick_s: seconds from tick to tick; at most `period_s`.
        summed: (action_dim,), true for deltas, of which a frame holds the sum.
    """

    def __init__(self, *, period_s: float, tick_s: float, summed: NDArray[np.bool_]) -> None:
        self._period_ns = seconds_to_ns(period_s)
        self._tolerance_ns = seconds_to_ns(tick_s) // 2
        self._summed = summed
        self._frame: DatasetFrame | None = None
        self._has_frames = False
        self._episode: int | None = None
        self._ticked_ns = 0
        self._due_ns = 0
        self.missed = 0
        """Frames that no tick came for; the dataset's time is shorter by so many."""

    def step(self, now_ns: int, command: Command, state: FloatArray) -> Cut:
        """Take one tick; before the first plan action of an episode nothing is recorded."""
        action, provenance = command.action, command.provenance
        is_end = self._is_cut_off(now_ns, provenance)
        self._ticked_ns, self._episode = now_ns, provenance.episode
        done = self._take() if is_end else None
        if is_end:
            is_end, self._has_frames = self._has_frames, False
        if action is None or not (self._has_frames or provenance.motion is MotionState.PLAYING):
            return Cut(done, is_end)
        frame = self._frame
        if frame is not None and now_ns < self._due_ns - self._tolerance_ns:
            frame.action = np.where(self._summed, frame.action + action, action)
            frame.provenance = provenance
            return Cut(done, is_end)
        self._schedule(now_ns, is_first=frame is None)
        done = self._take() or done
        self._frame = DatasetFrame(state, action, provenance)
        self._has_frames = True
        return Cut(done, is_end, self._frame)

    def end(self) -> Cut:
        """Return the last frame."""
        is_end, self._has_frames = self._has_frames, False
        return Cut(self._take(), is_end)

    def _is_cut_off(self, now_ns: int, provenance: Provenance) -> bool:
        """Whether this tick is not of the episode before."""
        if self._episode is None:
            return False
        return provenance.episode != self._episode or now_ns - self._ticked_ns > seconds_to_ns(GAP_S)

    def _take(self) -> DatasetFrame | None:
        frame, self._frame = self._frame, None
        return frame

    def _schedule(self, now_ns: int, *, is_first: bool) -> None:
        if is_first:
            self._due_ns = now_ns
        # the loop commands a tick until it is three quarters of a period late, and then skips the next one
        late = max((now_ns + self._tolerance_ns // 2 - self._due_ns) // self._period_ns, 0)
        self.missed += late
        self._due_ns += (late + 1) * self._period_ns
