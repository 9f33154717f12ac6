"""The path of a recorded episode: its actions, how far a robot is from it, how it gets there. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vagus.control.feedback import Feedback
from vagus.control.interpolate import Interpolator
from vagus.features import ActionFeature, ActionKind, grips, resolved_feedback
from vagus.recording.episode import RecordedEpisode
from vagus.types import ActionArray, FloatArray

__all__ = ["RecordedPath"]

HALF_TURN = math.pi
"""Range of an orientation, rad."""


class RecordedPath:
    """The actions of an episode, one row per policy step, with what was measured at each.

    Args:
        episode: the episode.
        share: largest distance of a joint from the path, as a share of its range.
        tolerance: the same for every joint in its own unit, instead of the share; 0: the share counts.
    """

    def __init__(self, episode: RecordedEpisode, *, share: float, tolerance: float) -> None:
        names = [feature.name for feature in episode.state_features]
        features = resolved_feedback([_measurable(f, names) for f in episode.action_features], names)
        self._features = features
        self._actions = np.asarray(episode.actions, np.float64)
        self._states = np.asarray(episode.states, np.float64)
        self._feedback = Feedback(features, names)
        self._way = Interpolator(features)
        kinds = [feature.kind for feature in features]
        self._is_position = np.array([kind is ActionKind.POSITION for kind in kinds])
        self._is_checked = self._is_position & ~np.array([grips(feature) for feature in features])
        self._keeps = self._is_position | np.array([kind is ActionKind.BINARY for kind in kinds])
        self._has_effort = ActionKind.EFFORT in kinds
        self._bound = np.full(len(features), tolerance) if tolerance else share * self._ranges()

    def __len__(self) -> int:
        return len(self._actions)

    @property
    def unmeasured(self) -> list[str]:
        """Names of the joints whose distance nobody knows."""
        blind = self._is_checked & ~self._feedback.is_measured
        return [f.name for f, is_blind in zip(self._features, blind, strict=True) if is_blind]

    @property
    def can_rest(self) -> bool:
        """Whether there is an action that keeps a robot at the end: not for an effort."""
        return not self._has_effort

    def measured(self, state: FloatArray) -> ActionArray:
        """Return where each joint is, (action_dim,); NaN where nothing measures it."""
        measured: ActionArray = self._feedback.measured(state)
        return measured

    def strays(self, measured: ActionArray, row: int) -> list[str]:
        """Return a sentence on each joint that is too far from where it was recorded at a row."""
        return self._strays(measured, self._recorded(row))

    def strays_from(self, measured: ActionArray, place: ActionArray) -> list[str]:
        """Return a sentence on each joint that is too far from a place, (action_dim,)."""
        return self._strays(measured, place)

    def actions(self, first: int, count: int) -> ActionArray:
        """Return the actions of `count` steps from row `first` on, (count, action_dim).

        After the end, positions and binaries stay, velocities and deltas are 0.
        """
        rows = self._actions[np.clip(np.arange(first, first + count), 0, len(self) - 1)].copy()
        is_over = np.arange(first, first + count) >= len(self)
        rows[np.ix_(is_over, ~self._keeps)] = 0.0
        return np.asarray(rows)

    def approach(self, measured: ActionArray, count: int) -> ActionArray:
        """Return `count` actions from a place to the first of the recording, (count, action_dim).

        They begin and end slowly. What is no position, or is not measured, stays at rest until the
        recording begins; a binary, and a position that nothing measures, is at once as it begins.
        """
        goal = self._actions[0]
        is_known = self._is_position & np.isfinite(measured)
        start = np.where(is_known, measured, goal)
        start = np.where(self._keeps, start, 0.0)
        shares = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, count + 1) / count)
        rows = np.stack([self._way.between(start, goal, float(share)) for share in shares])
        rows[:, ~self._keeps] = 0.0
        return rows

    def _recorded(self, row: int) -> ActionArray:
        """Return where each joint was measured at a row, or else where it was told to go."""
        row = min(row, len(self) - 1)
        measured = self._feedback.measured(self._states[row].astype(np.float32))
        return np.where(np.isfinite(measured), measured, self._actions[row])

    def _strays(self, measured: ActionArray, place: ActionArray) -> list[str]:
        apart = self._way.gap(measured, place)
        is_far = self._is_checked & np.isfinite(measured) & ~(apart <= self._bound)
        return [
            f"{self._features[at].name} is at {measured[at]:.4g}, recorded at {place[at]:.4g} "
            f"(at most {self._bound[at]:.4g} apart)"
            for at in np.flatnonzero(is_far)
        ]

    def _ranges(self) -> NDArray[np.float64]:
        """Return the range of each joint: between its ends, or of all that is recorded in its unit."""
        spans = np.ptp(self._actions, axis=0)
        units = [feature.unit for feature in self._features]
        return np.array([_range(f, at, spans, units) for at, f in enumerate(self._features)])


def _range(feature: ActionFeature, at: int, spans: NDArray[np.float64], units: Sequence[str]) -> float:
    if feature.rotation is not None:
        return HALF_TURN
    limits = feature.limits
    if limits.lower is not None and limits.upper is not None:
        return limits.upper - limits.lower
    return max(float(span) for span, unit in zip(spans, units, strict=True) if unit == units[at])


def _measurable(feature: ActionFeature, names: Sequence[str]) -> ActionFeature:
    """Return the feature without a feedback that was not recorded."""
    if feature.feedback is None or feature.feedback in names:
        return feature
    return replace(feature, feedback=None)
