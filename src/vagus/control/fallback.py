"""Fallback strategy of each action while no plan is there; unsafe choices are refused.

The one rule for whatever commands a robot: what `keeps_moving` is at its `rest_value` before commands end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind, FallbackMode, grips
from vagus.specs import RobotSpec

__all__ = [
    "FallbackMode",
    "Fallbacks",
    "check_fallbacks",
    "check_names",
    "fallback_of",
    "keeps_moving",
    "rest_value",
]


ALLOWED = {
    ActionKind.POSITION: (FallbackMode.AUTO, FallbackMode.HOLD, FallbackMode.REPEAT_LAST),
    ActionKind.VELOCITY: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.DELTA: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.EFFORT: (FallbackMode.AUTO, FallbackMode.SAFE, FallbackMode.ZERO),
    ActionKind.BINARY: (FallbackMode.AUTO, FallbackMode.HOLD, FallbackMode.REPEAT_LAST),
}
"""Choices that bring each kind to a stand."""

USUAL = {
    ActionKind.POSITION: FallbackMode.HOLD,
    ActionKind.VELOCITY: FallbackMode.ZERO,
    ActionKind.DELTA: FallbackMode.ZERO,
    ActionKind.EFFORT: FallbackMode.SAFE,
    ActionKind.BINARY: FallbackMode.REPEAT_LAST,
}
"""What `auto` is for each kind; for a gripper it is `repeat_last`."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Fallback of every action kind, and of single actions."""

    position: FallbackMode = FallbackMode.AUTO
    """Fallback of positions: auto, hold or repeat_last; auto is hold, but repeat_last for a gripper."""
    velocity: FallbackMode = FallbackMode.AUTO
    """Fallback of velocities: auto or zero."""
    delta: FallbackMode = FallbackMode.AUTO
    """Fallback of deltas: auto or zero."""
    effort: FallbackMode = FallbackMode.AUTO
    """Fallback of efforts: auto, safe or zero."""
    binary: FallbackMode = FallbackMode.AUTO
    """Fallback of binaries: auto, hold or repeat_last."""
    features: dict[str, FallbackMode] = field(default_factory=dict)
    """Fallback of single actions, by the robot's name, whatever their kind does: claw.pos repeat_last."""

    def of(self, kind: ActionKind) -> FallbackMode:
        """Return the fallback of `kind`."""
        return {
            ActionKind.POSITION: self.position,
            ActionKind.VELOCITY: self.velocity,
            ActionKind.DELTA: self.delta,
            ActionKind.EFFORT: self.effort,
            ActionKind.BINARY: self.binary,
        }[kind]

    def renamed(self, rename: Mapping[str, str]) -> Fallbacks:
        """Return the same for actions that are called otherwise: robot name → policy name."""
        return replace(self, features={rename.get(name, name): mode for name, mode in self.features.items()})


def fallback_of(feature: ActionFeature, fallbacks: Fallbacks) -> FallbackMode:
    """Return what `feature` does without a plan; never AUTO.

    What is said of this one action goes first, by the operator, then by the robot; then what the operator
    says of its kind; then what is usual.
    """
    kind = feature.kind
    for said in (fallbacks.features.get(feature.name), feature.fallback, fallbacks.of(kind)):
        if said is not None and said is not FallbackMode.AUTO:
            return said
    return FallbackMode.REPEAT_LAST if grips(feature) else USUAL[kind]


def check_fallbacks(spec: RobotSpec, fallbacks: Fallbacks) -> None:
    """Refuse a fallback that would not bring `spec`'s robot to a stand.

    Raises:
        SpecError: e.g. `repeat_last` for a velocity, which would drive on; or one of no action.
    """
    check_names("fallback.features", fallbacks.features, spec.actions)
    for feature in spec.actions:
        mode = fallback_of(feature, fallbacks)
        if mode not in ALLOWED[feature.kind]:
            raise SpecError(
                f"fallback of {feature.name} ({feature.kind.value})",
                wanted=" or ".join(choice.value for choice in ALLOWED[feature.kind]),
                got=mode.value,
                fix="anything else could keep the robot moving without a plan",
            )


def check_names(setting: str, names: Iterable[str], actions: Sequence[ActionFeature]) -> None:
    """Refuse a setting of actions that there are not.

    Raises:
        SpecError: as said.
    """
    known = [feature.name for feature in actions]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(setting, wanted=f"names of actions ({known})", got=f"{unknown}")


def keeps_moving(feature: ActionFeature) -> bool:
    """Say whether the last command goes on moving the robot when no other follows."""
    return feature.kind in (ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT)


def rest_value(feature: ActionFeature, fallbacks: Fallbacks) -> float:
    """Return what a feature that `keeps_moving` is commanded to stand; 0 for any other."""
    is_safe = fallback_of(feature, fallbacks) is FallbackMode.SAFE
    return feature.safe if is_safe and feature.safe is not None else 0.0
