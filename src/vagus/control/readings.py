"""Judges the robot's readings tick by tick; no decision rests on one reading alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.clock import seconds_to_ns
from vagus.control.config import SensesConfig
from vagus.control.plausibility import Plausibility
from vagus.errors import RobotError
from vagus.quoting import quoted
from vagus.specs import ActionFeature
from vagus.types import ActionArray, FloatArray

__all__ = ["Reading", "Readings"]

REMEMBERED = 3
"""Number of readings for the median: one wrong reading among three is outvoted."""
GOOD_PER_BAD = 10
"""Good readings that make up for a bad one: more than one bad in eleven ends the run after a while."""
NUMBERS = "biufO"
"""Kinds of numpy arrays that may hold numbers."""
UNSETTLED_S = 5.0
"""Longest that readings may jump about while the robot is not driven."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of one tick.

    Attributes:
        state: (state_dim,), float32; of a tick without a good reading the last good one, NaN before any.
        steady: (state_dim,), float32; the median of the last good readings, to hold and to start from.
        is_trusted: it was read in this tick and fits the one before. Without that nothing is asked, held or
            started from it.
    """

    state: FloatArray
    steady: FloatArray
    is_trusted: bool


class Readings:
    """Judges one reading per tick; all of it belongs to the thread that reads.

    A reading that is missing, not finite, of a wrong shape, or where no joint can stand costs its tick; while
    the robot is driven, so does one further from the one before than the joints can have moved. While it is
    not, somebody else may move it: then a reading counts as soon as the next one fits it. The first reading
    of all is such a one.

    Args:
        actions: features of an action.
        state_names: names of the state vector.
        config: what is believed.

    Attributes:
        bad: readings that cost their tick.
    """

    def __init__(
        self, actions: Sequence[ActionFeature], state_names: Sequence[str], config: SensesConfig
    ) -> None:
        self._size = len(state_names)
        self._plausibility = Plausibility(actions, state_names, jump_factor=config.jump_factor)
        self._max_bad = config.max_bad_readings
        self._max_debt = GOOD_PER_BAD * max(GOOD_PER_BAD, 2 * config.max_bad_readings)
        self._unsettled_ns = seconds_to_ns(UNSETTLED_S)
        self._history: deque[FloatArray] = deque(maxlen=REMEMBERED)
        self._state: FloatArray = np.full(self._size, np.nan, dtype=np.float32)
        self._in_row = 0
        self._debt = 0
        self._unsettled_since_ns: int | None = None
        self._has_seen = False
        self.bad = 0

    def take(self, value: object, now_ns: int, *, is_driven: bool) -> Reading:
        """Check one reading of the robot.

        Args:
            value: a copy is made of it.
            now_ns: monotonic time of the reading.
            is_driven: the robot has been commanded since the start or the last pause.

        Raises:
            RobotError: too many bad readings, or a first one of a wrong shape.
        """
        state = self._numbers(value)
        if isinstance(state, str):
            if not self._has_seen:
                raise RobotError(state)
            return self.missed(state)
        self._has_seen = True
        if not is_driven:
            self._plausibility.released()
        if not np.isfinite(state).all():
            return self.missed(f"state: wanted finite numbers, got {state.tolist()}")
        far = self._plausibility.out_of_reach(state)
        if far:
            return self.missed(far)
        jump = self._plausibility.jump(state, now_ns)
        if jump and is_driven:
            return self.missed(jump)
        is_first = not self._plausibility.has_reference
        if jump or is_first:
            self.forget()
        self._plausibility.accept(state, now_ns)
        self._history.append(state)
        self._state = state
        self._in_row, self._debt = 0, max(self._debt - 1, 0)
        self._note_unsettled(jump, now_ns)
        return Reading(state, self._median(), is_trusted=not (jump or is_first))

    def missed(self, why: str) -> Reading:
        """Note that a reading is missing, and why.

        Raises:
            RobotError: too many bad readings.
        """
        self.bad += 1
        self._in_row += 1
        self._debt += GOOD_PER_BAD
        if self._in_row > self._max_bad:
            raise RobotError(f"{why} ({self._count()})")
        if self._debt > self._max_debt:
            raise RobotError(f"{why} (one of {self.bad} bad readings so far, too many of the last)")
        return Reading(self._state, self._state, is_trusted=False)

    def commanded(self, action: ActionArray) -> None:
        """Note the last command, (action_dim,)."""
        self._plausibility.commanded(action)

    def forget(self) -> None:
        """Forget the earlier readings: the robot was moved by others."""
        self._plausibility.forget()
        self._history.clear()

    def _numbers(self, value: object) -> FloatArray | str:
        """Return a copy of a reading as numbers, or the reason why it is not one."""
        wanted = f"state: wanted {self._size} finite numbers"
        try:
            given = np.asarray(value)
            if given.dtype.kind not in NUMBERS:
                return f"{wanted}, got {given.dtype}"
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                state = np.array(given, dtype=np.float32)
        except Exception as error:  # noqa: BLE001 - an object of a driver may raise when it is looked at
            return f"{wanted}, got something else: {quoted(error)}"
        if np.ma.is_masked(value):
            return f"{wanted}, got masked ones"
        if state.shape != (self._size,):
            return f"{wanted}, got shape {state.shape}"
        return state

    def _count(self) -> str:
        if self._in_row == 1:
            return "no bad reading is tolerated: max_bad_readings is 0"
        return f"bad reading {self._in_row} in a row; max_bad_readings is {self._max_bad}"

    def _note_unsettled(self, jump: str, now_ns: int) -> None:
        """Raise RobotError for a robot that seems to jump about while nobody drives it."""
        if not jump:
            self._unsettled_since_ns = None
            return
        if self._unsettled_since_ns is None:
            self._unsettled_since_ns = now_ns
        elif now_ns - self._unsettled_since_ns > self._unsettled_ns:
            raise RobotError(f"no two readings fit each other for {UNSETTLED_S:g} s: {jump}")

    def _median(self) -> FloatArray:
        if len(self._history) < REMEMBERED:
            return self._history[-1]
        a, b, c = self._history
        median: FloatArray = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
        return median
