"""The last look at a command before a driver gets it: it shares no line with what made the command.

What fails here is a fault of ours. Nothing is commanded then, and the robot is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.conventions import full_turn, group_columns
from vagus.errors import GateError
from vagus.features import ActionFeature, ActionKind
from vagus.types import ActionArray

__all__ = ["Gate"]

LARGEST = float(np.finfo(np.float32).max)
"""Larger numbers are infinite to a driver that takes float32."""

ROUNDING = 1e-6
"""Relative error allowed in a norm and in a speed; values are compared exactly."""


ROUNDINGS = 16.0 * float(np.finfo(np.float64).eps)
"""Relative error allowed in a difference of two commands; the limiter itself allows 8."""


class Gate:
    """Lets a command through if it is finite, of the right form and inside its bounds.

    Value bounds hold exactly. What began outside of them may be on its way back, and never away. Positions
    keep their speed bound from one command to the next, what is held stays, binaries are 0 or 1, angles
    without ends lie in (−half a turn, half a turn], quaternions have norm 1, rotation vectors at most π.

    Args:
        actions: features in the order of the commands.
        tick_s: the time from one command to the next.
    """

    def __init__(self, actions: Sequence[ActionFeature], *, tick_s: float) -> None:
        self._names = [feature.name for feature in actions]
        bounds = [_bounds(feature) for feature in actions]
        self._lower: ActionArray = np.array([low for low, _ in bounds])
        self._upper: ActionArray = np.array([high for _, high in bounds])
        self._low, self._high = self._lower, self._upper
        self._binaries = [at for at, f in enumerate(actions) if f.kind is ActionKind.BINARY]
        self._groups = [
            (name, name.rpartition(":")[2], columns) for name, columns in group_columns(actions).items()
        ]
        self._steps: ActionArray = np.array([_step(feature, tick_s) for feature in actions])
        self._has_steps = bool(np.isfinite(self._steps).any())
        turns = enumerate(map(full_turn, actions))
        self._turning = [(column, turn) for column, turn in turns if turn is not None]
        self._last: ActionArray = np.full(len(actions), np.nan)

    def check(self, action: ActionArray, begins_at: ActionArray | None = None) -> None:
        """Check one command.

        Args:
            action: (action_dim,), float64.
            begins_at: where the robot stands, if this is the first command since somebody else may have moved
                it, (action_dim,); NaN where nobody knows.

        Raises:
            GateError: it must not reach the robot; says which feature and which number.
        """
        self._check_form(action)
        if begins_at is not None:
            self._begin(begins_at)
        is_inside = (action >= self._low) & (action <= self._high)  # of NaN neither is true
        if not is_inside.all():
            self._refuse_first(~is_inside, action)
        if self._has_steps:
            self._check_steps(action)
        for column in self._binaries:
            if action[column] not in (0.0, 1.0):
                raise GateError(f"{self._names[column]}: wanted 0 or 1, got {action[column]}; {STOPPED}")
        for name, convention, columns in self._groups:
            _check_norm(name, convention, math.hypot(*action[columns].tolist()))
        self._pass(action)

    def _check_form(self, action: object) -> None:
        if not isinstance(action, np.ndarray):
            got = type(action).__name__
        elif action.dtype != np.float64 or action.shape != self._lower.shape:
            got = f"{action.dtype} {action.shape}"
        else:
            return
        raise GateError(f"a command: wanted float64 ({len(self._names)},), got {got}; {STOPPED}")

    def _begin(self, begins_at: ActionArray) -> None:
        self._low = np.fmin(self._lower, begins_at)
        self._high = np.fmax(self._upper, begins_at)
        self._last = np.where(np.isnan(begins_at), self._last, begins_at)  # unmeasured, it stays

    def _check_steps(self, action: ActionArray) -> None:
        way = np.abs(action - self._last)
        for column, turn in self._turning:
            way[column] = abs(math.remainder(action[column] - self._last[column], turn))
        rounding = ROUNDINGS * (np.abs(action) + np.abs(self._last))
        is_jump = way > self._steps * (1.0 + ROUNDING) + rounding  # of NaN it is not true
        if not is_jump.any():
            return
        at = int(np.argmax(is_jump))
        raise GateError(
            f"{self._names[at]}: wanted at most {self._steps[at]:g} from {self._last[at]:g} in one tick, "
            f"got {action[at]:g}; {STOPPED}"
        )

    def _pass(self, action: ActionArray) -> None:
        self._last = action.copy()  # the driver's own from now on
        if self._low is not self._lower:  # the way back is not gone twice
            self._low, self._high = np.fmin(self._lower, action), np.fmax(self._upper, action)
            if (self._low == self._lower).all() and (self._high == self._upper).all():
                self._low, self._high = self._lower, self._upper

    def _refuse_first(self, is_wrong: NDArray[np.bool_], action: ActionArray) -> None:
        at = int(np.argmax(is_wrong))
        wanted = (
            f"{self._low[at]:g} to {self._high[at]:g}" if math.isfinite(action[at]) else "a finite number"
        )
        raise GateError(f"{self._names[at]}: wanted {wanted}, got {action[at]}; {STOPPED}")


STOPPED = "nothing was commanded; this is a fault of vagus, please report it"


def _bounds(feature: ActionFeature) -> tuple[float, float]:
    turn = full_turn(feature)
    if turn is not None:
        return math.nextafter(-0.5 * turn, 0.0), 0.5 * turn
    if feature.kind is ActionKind.BINARY:
        return 0.0, 1.0
    lower, upper = feature.limits.lower, feature.limits.upper
    return -LARGEST if lower is None else lower, LARGEST if upper is None else upper


def _step(feature: ActionFeature, tick_s: float) -> float:
    velocity = 0.0 if feature.is_held else feature.limits.velocity
    if feature.kind is not ActionKind.POSITION or feature.rotation is not None or velocity is None:
        return math.inf
    return velocity * tick_s


def _check_norm(name: str, convention: str, norm: float) -> None:
    if convention == "rotvec":
        is_right, wanted = norm <= math.pi + ROUNDING, "a rotation vector of at most π"
    else:
        is_right, wanted = abs(norm - 1.0) <= ROUNDING, "a quaternion of norm 1"
    if not is_right:
        raise GateError(f"{name}: wanted {wanted}, got one of norm {norm:g}; {STOPPED}")
