"""What one number of an action or of the state is: its name, unit, kind and limits."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from vagus.errors import SpecError

__all__ = ["UNKNOWN_UNIT", "ActionFeature", "ActionKind", "Limits", "StateFeature"]

UNKNOWN_UNIT = ""
"""A unit that nobody stated; refused at session open unless `--trust-units`."""


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
        for name in ("velocity", "acceleration", "jerk"):
            bound = getattr(self, name)
            if bound is not None and not (math.isfinite(bound) and bound > 0):
                raise SpecError(f"limit {name}", wanted="a finite number above 0", got=repr(bound))
        for name in ("lower", "upper"):
            bound = getattr(self, name)
            if bound is not None and not math.isfinite(bound):
                raise SpecError(f"limit {name}", wanted="a finite number or nothing", got=repr(bound))
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise SpecError("limits", wanted="lower below upper", got=f"{self.lower} and {self.upper}")


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
