"""Features: name, unit, kind, limits and fallback of one number of an action or of the state."""

from __future__ import annotations

import enum
import math
import numbers
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from vagus.encodings import BinaryEncoding
from vagus.errors import SpecError
from vagus.field_types import settle_fields

__all__ = [
    "LARGEST",
    "ActionFeature",
    "ActionKind",
    "FallbackMode",
    "Limits",
    "StateFeature",
    "grips",
    "is_blind",
    "lacking_bounds",
    "resolved_feedback",
    "told_bounds",
]


LARGEST = 1e12
"""Largest limit; a larger one would limit nothing, and its products would overflow."""

SMALLEST = 1e-12
"""Smallest limit of a rate, and narrowest range of a value."""

NARROWEST = 2.0**-20
"""Narrowest range of a value, as a share of the value: eight float32 numbers."""

SIZES = {
    "lower": (-LARGEST, LARGEST),
    "upper": (-LARGEST, LARGEST),
    "velocity": (SMALLEST, LARGEST),
    "acceleration": (SMALLEST, LARGEST),
    "jerk": (SMALLEST, LARGEST),
}


class ActionKind(enum.Enum):
    """Meaning of a number in an action for the actuator."""

    POSITION = "position"
    VELOCITY = "velocity"
    DELTA = "delta"
    EFFORT = "effort"
    BINARY = "binary"


class FallbackMode(enum.Enum):
    """Fallback of an action while there is no plan."""

    AUTO = "auto"
    """Position: hold, a gripper repeat_last. Velocity, delta: zero. Effort: safe. Binary: repeat_last."""
    HOLD = "hold"
    """Decelerate, hold the measured pose; a binary keeps its value."""
    REPEAT_LAST = "repeat_last"
    """Decelerate, stay at the last command; a binary keeps its value."""
    ZERO = "zero"
    """Go to zero within the limits."""
    SAFE = "safe"
    """Go to the safe value of the feature within the limits."""
    RETURN_TO_START = "return_to_start"
    """Decelerate, then move slowly to the pose measured at the start of the run."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one action feature, in its unit and seconds; None: no limit.

    Limits are finite numbers between `SMALLEST` and `LARGEST`, so that no motion within them overflows, at
    ticks from 0.1 ms to 100 s.

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
        unit: "rad", "m", "m/s", "lerobot_norm" …; "": not stated.
        kind: meaning of the number; decides interpolation, limits and fallback.
        feedback: name of the state feature that measures it; None: the state feature of the same name, if
            any.
        limits: limits applied to every command.
        rotation: name of the rotation group (e.g. "wrist:rotvec") that this feature belongs to, or None.
        safe: value commanded as fallback for `kind` EFFORT; required there.
        is_measured: False: no state feature measures it, even if one has the same name.
        continuous: an angle without end stops: numbers that differ by full turns mean the same position.
        encoding: encoding of a BINARY in the policy; None: as the policy states, otherwise 0 to 1.
        fallback: fallback while there is no plan; None: the fallback of its kind.
        is_gripper: it holds objects, so without a plan it keeps its last command; None: decided by its name.
        is_held: a POSITION that stays where it was measured when the driving began, whatever a policy says:
            its part is not to move. It has no lower and upper bound and no fallback of its own.
        averaged_ticks: targets of the plan whose mean is commanded, one per tick; this adds
            (averaged_ticks − 1) / 2 ticks of lag. Only a POSITION with ends, outside a rotation group.
        ready: place to which a POSITION moves before an episode, if the operator wants that
            (`move_to_ready`); None: it stays where it is.
        vouch_unbounded: the operator states that it needs no limit (see `lacking_bounds`).
        vouch_unmeasured: the operator states that a POSITION may be commanded although nothing measures it.
    """

    name: str
    unit: str
    kind: ActionKind = ActionKind.POSITION
    feedback: str | None = None
    limits: Limits = Limits()
    rotation: str | None = None
    safe: float | None = None
    is_measured: bool = True
    continuous: bool = False
    encoding: BinaryEncoding | None = None
    fallback: FallbackMode | None = None
    is_gripper: bool | None = None
    is_held: bool = False
    averaged_ticks: int = 1
    ready: float | None = None
    vouch_unbounded: bool = False
    vouch_unmeasured: bool = False

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)


@dataclass(frozen=True, slots=True)
class StateFeature:
    """One number of the state vector."""

    name: str
    unit: str

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)


def resolved_feedback(
    actions: Iterable[ActionFeature], state_names: Collection[str]
) -> tuple[ActionFeature, ...]:
    """Return `actions` with `feedback` and `is_measured` set for each action that a state feature measures.

    A state feature of the same name measures an action, but not a DELTA, which is a change of the feature.
    """
    return tuple(_resolved(feature, state_names) for feature in actions)


def _resolved(feature: ActionFeature, state_names: Collection[str]) -> ActionFeature:
    if not feature.is_measured or feature.feedback is not None:
        return feature
    if feature.kind is not ActionKind.DELTA and feature.name in state_names:
        return replace(feature, feedback=feature.name)
    return replace(feature, is_measured=False)


def lacking_bounds(feature: ActionFeature) -> tuple[str, ...]:
    """Return the names of missing limits; without them, a command may jump as far as the policy commands.

    A position needs `velocity`, unless it is held; a velocity or an effort needs `lower` and `upper`; a delta
    needs both of these, or `velocity`.
    """
    limits = feature.limits
    sides = tuple(name for name in ("lower", "upper") if getattr(limits, name) is None)
    if feature.is_held or feature.kind is ActionKind.BINARY:
        return ()
    if feature.kind in (ActionKind.POSITION, ActionKind.DELTA) and limits.velocity is not None:
        return ()
    return ("velocity",) if feature.kind is ActionKind.POSITION else sides


def told_bounds(feature: ActionFeature) -> str:
    """Return the names from `lacking_bounds` as text: "velocity limit"."""
    names = lacking_bounds(feature)
    return f"{' and '.join(names)} limit{'s' if len(names) > 1 else ''}"


def is_blind(feature: ActionFeature) -> bool:
    """Return whether `feature` is a position that nothing measures; its feedback must be resolved."""
    return feature.kind is ActionKind.POSITION and not feature.is_measured


FINGERS = ("finger", "fingers", "index", "middle", "pinky", "ring", "thumb")
HANDS = frozenset(("claw", "grasp", "grip", "grippers", "jaw", "jaws", "pinch", *FINGERS))
POSES = frozenset(
    ("pitch", "qw", "qx", "qy", "qz", "roll", "rotate", "rx", "ry", "rz", "wrist", "x", "y", "yaw", "z")
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def grips(feature: ActionFeature) -> bool:
    """Return whether a position is a gripper, by `is_gripper` or, if not set, by its name.

    A name means a gripper if one of its words ends in "gripper" or is in `HANDS`, but not if
    another word is in `POSES`: "gripper.pos" and "rightFinger2" do, "gripper_yaw" and "left_hand_wrist" do
    not.
    """
    if feature.kind is not ActionKind.POSITION or feature.is_gripper is False:
        return False
    if feature.is_gripper:
        return True
    words = {word.lower() for word in _WORD.findall(feature.name)}
    return not words & POSES and any(word in HANDS or word.endswith("gripper") for word in words)
