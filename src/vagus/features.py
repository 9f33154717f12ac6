"""What one number of an action or of the state is: its name, unit, kind and limits."""

from __future__ import annotations

import enum
import math
import numbers
from dataclasses import dataclass

from vagus.errors import SpecError

__all__ = ["LARGEST", "UNKNOWN_UNIT", "ActionFeature", "ActionKind", "Limits", "StateFeature"]

UNKNOWN_UNIT = ""
"""A unit that nobody stated; refused at session open unless `--trust-units`."""


LARGEST = 1e12
"""Largest bound; a larger one bounds nothing, and its products are not finite for long."""

SMALLEST = 1e-12
"""Smallest bound of a rate, and narrowest range of a value."""

NARROWEST = 2.0**-20
"""Narrowest range of a value as a share of it: eight float32 numbers."""

SIZES = {
    "lower": (-LARGEST, LARGEST),
    "upper": (-LARGEST, LARGEST),
    "velocity": (SMALLEST, LARGEST),
    "acceleration": (SMALLEST, LARGEST),
    "jerk": (SMALLEST, LARGEST),
}


class ActionKind(enum.Enum):
    """What the number in an action means to the actuator."""

    POSITION = "position"
    VELOCITY = "velocity"
    DELTA = "delta"
    EFFORT = "effort"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one action feature, in its unit and seconds; None: no bound.

    A bound is a plain number of a sensible size: `LARGEST` and `SMALLEST` are such that no motion within
    admitted bounds overflows, at ticks from 0.1 ms to 100 s.

    For a position: `lower`/`upper` bound the value, `velocity`, `acceleration`, `jerk` its derivatives.
    For a velocity: `lower`/`upper` bound the value, `acceleration` its rate, `jerk` the rate of that.
    For a delta: `lower`/`upper` bound the value per policy step, `velocity` the rate.
    For an effort: `lower`/`upper` bound the value, `velocity` its rate.
    """

    lower: float | None = None
    upper: float | None = None
    velocity: float | None = None
    acceleration: float | None = None
    jerk: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in SIZES.items():
            bound = getattr(self, name)
            if bound is not None:
                object.__setattr__(self, name, _number(f"limit {name}", bound, least, most))
        if self.jerk is not None and self.acceleration is None:
            raise SpecError("limits", wanted="acceleration wherever jerk is bounded", got=f"jerk={self.jerk}")
        if self.lower is not None and self.upper is not None:
            _check_range(self.lower, self.upper)


def _number(what: str, value: object, least: float, most: float) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan  # type: ignore[arg-type] # mypy does not follow the name
    if least <= number <= most:
        return number
    wanted = f"a number from {least:g} to {most:g}"
    raise SpecError(what, wanted=wanted, got=repr(value), fix="where there is no bound, leave it out")


def _check_range(lower: float, upper: float) -> None:
    if lower >= upper:
        raise SpecError("limits", wanted="lower below upper", got=f"{lower} and {upper}")
    narrowest = max(SMALLEST, NARROWEST * max(abs(lower), abs(upper)))
    if upper - lower < narrowest:
        raise SpecError(
            "limits",
            wanted=f"upper at least {narrowest:g} above lower: actions travel as float32",
            got=f"{lower!r} and {upper!r}",
        )


@dataclass(frozen=True, slots=True)
class ActionFeature:
    """One number of an action.

    Attributes:
        name: unique name, e.g. "shoulder_pan.pos".
        unit: "rad", "m", "m/s", "lerobot_norm" …; "" when nobody stated it.
        kind: what the number means; decides interpolation, limits and fallback.
        feedback: name of the state feature that measures it, or None where nothing does.
        limits: bounds applied to every command.
        rotation: name of the rotation group (e.g. "wrist:rotvec") that this feature belongs to, or None.
        safe: value commanded as fallback for `kind` EFFORT; required there.
        continuous: an angle that turns on and on: all its numbers a full turn apart are one place.
    """

    name: str
    unit: str
    kind: ActionKind = ActionKind.POSITION
    feedback: str | None = None
    limits: Limits = Limits()
    rotation: str | None = None
    safe: float | None = None
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class StateFeature:
    """One number of the state vector."""

    name: str
    unit: str
