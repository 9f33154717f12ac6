"""Checks that a joint can have moved from one reading to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S
from vagus.conventions import Turns, full_turn
from vagus.features import ActionFeature, ActionKind, resolved_feedback
from vagus.types import ActionArray, FloatArray

__all__ = ["Plausibility"]

TOLERATED_SHARE = 0.05
"""Share of the range by which a reading may jump at any time: noise, play, a knock."""
TOLERATED_S = 0.25
"""The same where there is no range: time at full speed."""
OUTSIDE = 3.0
"""How many ranges a joint may stand outside its bounds: somebody may have set these narrowly."""
LONGEST_S = 0.5
"""Longest time without a reading that counts as time to move."""


class Plausibility:
    """Checks that positions with a velocity limit move no faster than they can; others may jump.

    A joint may have moved `jump_factor` times as far as its velocity limit allows, a share of its range on
    top, and anywhere between where it was and where it was sent since its reading last changed: a driver may
    give news more slowly than it is asked. An angle without ends goes the short way round; the numbers of
    rotation groups are not compared.

    Args:
        actions: features of an action.
        state_names: names of the state vector; must hold the feedback of each action.
        jump_factor: see above; 0: every jump is believed.
    """

    def __init__(
        self, actions: Sequence[ActionFeature], state_names: Sequence[str], *, jump_factor: float
    ) -> None:
        actions = resolved_feedback(actions, state_names)
        place = {name: index for index, name in enumerate(state_names)}
        checked = [
            (index, place[feature.feedback], feature)
            for index, feature in enumerate(actions)
            if jump_factor and feature.feedback is not None and _is_bounded(feature)
        ]
        self._names = tuple(feature.name for _, _, feature in checked)
        self._actions: NDArray[np.intp] = np.array([index for index, _, _ in checked], dtype=np.intp)
        self._columns: NDArray[np.intp] = np.array([column for _, column, _ in checked], dtype=np.intp)
        self._speed = np.array([jump_factor * (f.limits.velocity or 0.0) for _, _, f in checked])
        self._turns = Turns([full_turn(feature) for _, _, feature in checked])
        self._tolerance = np.array([_tolerance(feature) for _, _, feature in checked])
        ends = [_reach(feature) for _, _, feature in checked]
        self._least: ActionArray = np.array([least for least, _ in ends])
        self._most: ActionArray = np.array([most for _, most in ends])
        self._last: ActionArray = np.zeros(len(checked))
        self._last_ns: int | None = None
        self._earlier: ActionArray = self._last
        """The reading before the last one, which may have been the wrong one of the two."""
        self._earlier_ns: int | None = None
        self._low: ActionArray = np.zeros(len(checked))
        """How far below its last reading each joint was sent since that reading changed; `_high`: above."""
        self._high: ActionArray = np.zeros(len(checked))
        self._nowhere: ActionArray = np.full(len(checked), np.nan)
        self._goal = self._nowhere

    @property
    def has_reference(self) -> bool:
        """Whether there is an earlier reading to compare with."""
        return self._last_ns is not None

    def forget(self) -> None:
        """Forget the earlier readings: the robot was moved by others."""
        self._last_ns = self._earlier_ns = None

    def out_of_reach(self, state: FloatArray) -> str:
        """Return which joint reads an impossible position, in words; "": none.

        A robot may be switched on outside its bounds, but not anywhere: such a number is another unit, or no
        reading.

        Args:
            state: (state_dim,), finite.
        """
        if not self._names:
            return ""
        values = state.astype(np.float64)[self._columns]
        is_far = (values < self._least) | (values > self._most)
        if not is_far.any():
            return ""
        at = int(np.argmax(is_far))
        return (
            f"{self._names[at]} says that it stands at {values[at]:.4g}, outside its bounds by more than "
            f"{OUTSIDE:g} times its range; is it read in the unit of its limits?"
        )

    def jump(self, state: FloatArray, now_ns: int) -> str:
        """Return which joint moved too far, in words; "": none, or no earlier reading.

        Args:
            state: (state_dim,), finite.
            now_ns: monotonic time of the reading.
        """
        if self._last_ns is None or not self._names:
            return ""
        values = state.astype(np.float64)[self._columns]
        moved = self._turns.difference(values, self._last)
        passed_s = _passed_s(self._last_ns, now_ns)
        slack = self._tolerance + self._speed * passed_s
        is_wild = (moved > self._high + slack) | (moved < self._low - slack)
        if not is_wild.any() or self._fits_earlier(values, now_ns):
            return ""
        worst = int(np.argmax(np.where(is_wild, np.abs(moved) - slack, -np.inf)))
        return (
            f"{self._names[worst]} went from {self._last[worst]:.4g} to {values[worst]:.4g} within "
            f"{passed_s * 1000:.0f} ms, which it cannot have moved"
        )

    def accept(self, state: FloatArray, now_ns: int) -> None:
        """Use this reading for the next comparison."""
        if not self._names:
            self._last_ns = now_ns
            return
        values = state.astype(np.float64)[self._columns]
        is_new = np.ones(len(values), dtype=np.bool_) if self._last_ns is None else values != self._last
        self._earlier, self._earlier_ns = self._last, self._last_ns
        self._last, self._last_ns = values, now_ns
        sent = _finite(self._turns.difference(self._goal, self._last))
        self._low = np.where(is_new, np.minimum(sent, 0.0), self._low)
        self._high = np.where(is_new, np.maximum(sent, 0.0), self._high)

    def released(self) -> None:
        """Note that nobody drives the robot: it has no target."""
        self._goal = self._nowhere

    def commanded(self, action: ActionArray) -> None:
        """Note the last command, (action_dim,)."""
        if not self._names:
            return
        self._goal = action[self._actions]
        if self._last_ns is not None:
            sent = self._turns.difference(self._goal, self._last)
            self._low = np.minimum(self._low, sent)
            self._high = np.maximum(self._high, sent)

    def _fits_earlier(self, values: ActionArray, now_ns: int) -> bool:
        """Whether `values` fit the reading before the last."""
        if self._earlier_ns is None:
            return False
        moved = self._turns.difference(values, self._earlier)
        sent = _finite(self._turns.difference(self._goal, self._earlier))
        slack = self._tolerance + self._speed * _passed_s(self._earlier_ns, now_ns)
        is_inside = (moved <= np.maximum(sent, 0.0) + slack) & (moved >= np.minimum(sent, 0.0) - slack)
        return bool(is_inside.all())


def _passed_s(since_ns: int, now_ns: int) -> float:
    return min(max(now_ns - since_ns, 0) / NS_PER_S, LONGEST_S)


def _finite(values: ActionArray) -> ActionArray:
    """Return `values` with zeros in place of missing ones."""
    return np.where(np.isfinite(values), values, 0.0)


def _is_bounded(feature: ActionFeature) -> bool:
    return (
        feature.kind is ActionKind.POSITION
        and feature.limits.velocity is not None
        and feature.rotation is None
    )


def _reach(feature: ActionFeature) -> tuple[float, float]:
    """Return the least and the greatest plausible position."""
    lower, upper = feature.limits.lower, feature.limits.upper
    if lower is None or upper is None:
        return -np.inf, np.inf
    room = OUTSIDE * (upper - lower)
    return lower - room, upper + room


def _tolerance(feature: ActionFeature) -> float:
    limits = feature.limits
    if limits.lower is None or limits.upper is None:
        return TOLERATED_S * (limits.velocity or 0.0)
    return TOLERATED_SHARE * (limits.upper - limits.lower)
