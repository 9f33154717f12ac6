"""What each action kind does when no plan is there; choices that would go on moving are refused.

The one rule for whatever commands a robot: what `keeps_moving` is at its `rest_value` before commands end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind, RobotSpec

__all__ = ["FallbackMode", "Fallbacks", "check_fallbacks", "keeps_moving", "rest_value"]


class FallbackMode(enum.Enum):
    """What to command for one action kind while there is no plan."""

    AUTO = "auto"
    """Position: decelerate, hold the measured pose. Velocity, delta: zero. Effort: safe. Binary: keep."""
    HOLD = "hold"
    """Decelerate, hold the measured pose; a binary keeps its value."""
    REPEAT_LAST = "repeat_last"
    """Decelerate, stay at the last command; a binary keeps its value."""
    ZERO = "zero"
    """Go to zero within the limits."""
    SAFE = "safe"
    """Go to the safe value of the feature within the limits."""


ALLOWED = {
    ActionKind.POSITION: (FallbackMode.AUTO, FallbackMode.HOLD, FallbackMode.REPEAT_LAST),
    ActionKind.VELOCITY: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.DELTA: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.EFFORT: (FallbackMode.AUTO, FallbackMode.SAFE, FallbackMode.ZERO),
    ActionKind.BINARY: (FallbackMode.AUTO, FallbackMode.HOLD, FallbackMode.REPEAT_LAST),
}
"""Choices that bring each kind to a stand."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Fallback of every action kind."""

    position: FallbackMode = FallbackMode.AUTO
    """Fallback of positions: auto, hold or repeat_last."""
    velocity: FallbackMode = FallbackMode.AUTO
    """Fallback of velocities: auto or zero."""
    delta: FallbackMode = FallbackMode.AUTO
    """Fallback of deltas: auto or zero."""
    effort: FallbackMode = FallbackMode.AUTO
    """Fallback of efforts: auto, safe or zero."""
    binary: FallbackMode = FallbackMode.AUTO
    """Fallback of binaries: auto, hold or repeat_last."""

    def of(self, kind: ActionKind) -> FallbackMode:
        """Return the fallback of `kind`."""
        return {
            ActionKind.POSITION: self.position,
            ActionKind.VELOCITY: self.velocity,
            ActionKind.DELTA: self.delta,
            ActionKind.EFFORT: self.effort,
            ActionKind.BINARY: self.binary,
        }[kind]


def check_fallbacks(spec: RobotSpec, fallbacks: Fallbacks) -> None:
    """Refuse a fallback that would not bring `spec`'s robot to a stand.

    Raises:
        SpecError: e.g. `repeat_last` for a velocity, which would drive on.
    """
    for feature in spec.actions:
        mode = fallbacks.of(feature.kind)
        if mode not in ALLOWED[feature.kind]:
            raise SpecError(
                f"fallback of {feature.name} ({feature.kind.value})",
                wanted=" or ".join(choice.value for choice in ALLOWED[feature.kind]),
                got=mode.value,
                fix="anything else could keep the robot moving without a plan",
            )


def keeps_moving(feature: ActionFeature) -> bool:
    """Say whether the last command goes on moving the robot when no other follows."""
    return feature.kind in (ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT)


def rest_value(feature: ActionFeature, fallbacks: Fallbacks) -> float:
    """Return what a feature that `keeps_moving` is commanded to stand; 0 for any other."""
    is_safe = feature.kind is ActionKind.EFFORT and fallbacks.effort is not FallbackMode.ZERO
    return feature.safe if is_safe and feature.safe is not None else 0.0
