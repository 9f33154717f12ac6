"""Fallback strategies: which are allowed for each kind of action, and what each does in a tick.

The one rule for whatever commands a robot: what `keeps_moving` is at its `rest_value` before commands end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vagus.control.axis_limiter import BoolArray
from vagus.conventions import group_columns
from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind, FallbackMode, grips, resolved_feedback
from vagus.specs import RobotSpec
from vagus.types import ActionArray

__all__ = [
    "FallbackMode",
    "FallbackTargets",
    "Fallbacks",
    "WayBack",
    "check_fallbacks",
    "check_names",
    "fallback_of",
    "keeps_moving",
    "rest_value",
    "returns_to_start",
    "shortest_s",
    "smooth",
]


_STANDS = (FallbackMode.AUTO, FallbackMode.HOLD, FallbackMode.REPEAT_LAST)
ALLOWED = {
    ActionKind.POSITION: (*_STANDS, FallbackMode.RETURN_TO_START),
    ActionKind.VELOCITY: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.DELTA: (FallbackMode.AUTO, FallbackMode.ZERO),
    ActionKind.EFFORT: (FallbackMode.AUTO, FallbackMode.SAFE, FallbackMode.ZERO),
    ActionKind.BINARY: _STANDS,
}
"""Fallbacks that stop each kind of action."""

USUAL = {
    ActionKind.POSITION: FallbackMode.HOLD,
    ActionKind.VELOCITY: FallbackMode.ZERO,
    ActionKind.DELTA: FallbackMode.ZERO,
    ActionKind.EFFORT: FallbackMode.SAFE,
    ActionKind.BINARY: FallbackMode.REPEAT_LAST,
}
"""Meaning of `auto` for each kind; for a gripper it is `repeat_last`."""


PEAKS = (15.0 / 8.0, 10.0 / math.sqrt(3.0), 60.0)
"""Largest velocity, acceleration and jerk of `smooth`."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Fallbacks of the action kinds, and of single actions."""

    position: FallbackMode = FallbackMode.AUTO
    """Fallback of positions: auto, hold, repeat_last or return_to_start; auto is hold, but repeat_last for a
    gripper."""
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
        """Return the same fallbacks with the actions renamed: robot name → policy name."""
        return replace(self, features={rename.get(name, name): mode for name, mode in self.features.items()})


def fallback_of(feature: ActionFeature, fallbacks: Fallbacks) -> FallbackMode:
    """Return the fallback of `feature`; never AUTO.

    What is held stays at its last command. Otherwise what is said of this one action goes first, by the
    operator, then by the robot; then what the operator says of its kind; then what is usual.
    """
    kind = feature.kind
    if feature.is_held:
        return FallbackMode.REPEAT_LAST
    for said in (fallbacks.features.get(feature.name), feature.fallback, fallbacks.of(kind)):
        if said is not None and said is not FallbackMode.AUTO:
            return said
    return FallbackMode.REPEAT_LAST if grips(feature) else USUAL[kind]


def check_fallbacks(spec: RobotSpec, fallbacks: Fallbacks) -> None:
    """Refuse a fallback that would not bring `spec`'s robot to a stand.

    Raises:
        SpecError: e.g. `repeat_last` for a velocity, which would drive on; one of no action; a way back of a
            position that nothing measures, of a gripper, or of a part of a rotation.
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
    _check_ways_back(spec, fallbacks)


def _check_ways_back(spec: RobotSpec, fallbacks: Fallbacks) -> None:
    actions = resolved_feedback(spec.actions, [feature.name for feature in spec.state])
    back = {f.name for f in actions if fallback_of(f, fallbacks) is FallbackMode.RETURN_TO_START}
    for feature in actions:
        if feature.name not in back:
            continue
        if feature.feedback is None:
            raise _no_way_back(feature, "a position that a state feature measures")
        if grips(feature):
            raise _no_way_back(feature, "repeat_last or hold, because a gripper could drop what it holds")
    for columns in group_columns(actions).values():
        if len({actions[column].name in back for column in columns}) > 1:
            raise _no_way_back(actions[columns[0]], "all numbers of a rotation, or none")


def _no_way_back(feature: ActionFeature, wanted: str) -> SpecError:
    what = f"fallback of {feature.name} ({feature.kind.value})"
    return SpecError(what, wanted=wanted, got=FallbackMode.RETURN_TO_START.value)


def check_names(setting: str, names: Iterable[str], actions: Sequence[ActionFeature]) -> None:
    """Refuse a setting that names unknown actions.

    Raises:
        SpecError: as said.
    """
    known = [feature.name for feature in actions]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(setting, wanted=f"names of actions ({known})", got=f"{unknown}")


def keeps_moving(feature: ActionFeature) -> bool:
    """Say whether the robot goes on moving after its last command."""
    return feature.kind in (ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT)


def rest_value(feature: ActionFeature, fallbacks: Fallbacks) -> float:
    """Return the command that stops a feature that `keeps_moving`; 0 for any other."""
    is_safe = fallback_of(feature, fallbacks) is FallbackMode.SAFE
    return feature.safe if is_safe and feature.safe is not None else 0.0


def returns_to_start(fallbacks: Fallbacks) -> bool:
    """Say whether a setting, for all positions or for a single action, asks for a way back without a plan."""
    return FallbackMode.RETURN_TO_START in (fallbacks.position, *fallbacks.features.values())


def smooth(share: float) -> float:
    """Return the share of the way that is done after this share of the time: slow at both ends."""
    return share**3 * (10.0 - 15.0 * share + 6.0 * share * share)


def shortest_s(way: ActionArray, actions: Sequence[ActionFeature]) -> float:
    """Return the shortest time of a smooth way within the limits of every action.

    Args:
        way: how far each action goes, (action_dim,).
        actions: features in the same order.
    """
    times = [0.0]
    for column, feature in enumerate(actions):
        far = float(way[column])
        bounds = (feature.limits.velocity, feature.limits.acceleration, feature.limits.jerk)
        for order, bound in enumerate(bounds):
            if bound is not None and math.isfinite(far):
                times.append((PEAKS[order] * far / bound) ** (1.0 / (order + 1)))
    return max(times)


class WayBack:
    """The way back to where the robot stood at the start of the run, tick by tick.

    Args:
        origin: where it begins, (action_dim,).
        goal: where it ends, (action_dim,); NaN: this action stays.
        ticks: how long it takes.
        between: returns what lies at a share of the way from one action to another.
    """

    def __init__(
        self,
        origin: ActionArray,
        goal: ActionArray,
        *,
        ticks: int,
        between: Callable[[ActionArray, ActionArray, float], ActionArray],
    ) -> None:
        self._origin = origin
        self._goal: ActionArray = np.where(np.isfinite(goal), goal, origin)
        self._ticks = max(ticks, 1)
        self._done = 0
        self._between = between

    @property
    def is_over(self) -> bool:
        """Whether the last step of the way was returned."""
        return self._done >= self._ticks

    def advance(self) -> ActionArray:
        """Return where to go in this tick, (action_dim,); the goal once the time is over."""
        self._done = min(self._done + 1, self._ticks)
        return self._between(self._origin, self._goal, smooth(self._done / self._ticks))


class FallbackTargets:
    """Targets of a robot without a plan, tick by tick: each action does what its fallback says.

    Positions brake until they stand. Then `hold` is the pose measured there, once, so that nothing creeps;
    `repeat_last` is the last command, `return_to_start` the way back. `zero` and `safe` are the rest value at
    once. Grippers and binaries keep their last command.

    Args:
        actions: features in the order of the vectors.
        fallbacks: as the operator says.
        is_measured: which actions a state feature measures, (action_dim,).
        is_kept: which actions keep their last command, (action_dim,).

    Attributes:
        is_position: which actions are positions, (action_dim,).
        keeps_moving: which actions move the robot on after the last command, (action_dim,).
        rest: what stops each of these, (action_dim,); 0 for the others.
    """

    def __init__(
        self,
        actions: Sequence[ActionFeature],
        fallbacks: Fallbacks,
        *,
        is_measured: BoolArray,
        is_kept: BoolArray,
    ) -> None:
        modes = [fallback_of(feature, fallbacks) for feature in actions]
        kinds = [feature.kind for feature in actions]
        self.is_position: BoolArray = _mask(kind is ActionKind.POSITION for kind in kinds)
        self.keeps_moving: BoolArray = _mask(keeps_moving(feature) for feature in actions)
        self.rest: ActionArray = np.array([rest_value(feature, fallbacks) for feature in actions])
        self._holds = self.is_position & is_measured & _mask(mode is FallbackMode.HOLD for mode in modes)
        self._returns = _mask(mode is FallbackMode.RETURN_TO_START for mode in modes)
        self._is_kept = is_kept
        self._no_brake: BoolArray = np.zeros(len(kinds), dtype=np.bool_)
        self._pose: ActionArray | None = None
        self._way: WayBack | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the robot stands, and where to is decided."""
        return self._pose is not None

    def forget(self) -> None:
        """Begin anew at the next fallback: a plan was played, or the robot was moved by others."""
        self._pose = self._way = None

    def goal(self, start: ActionArray) -> ActionArray | None:
        """Return where the ways back lead, (action_dim,), NaN for other fallbacks; None: there are none."""
        return np.where(self._returns, start, np.nan) if self._returns.any() else None

    def settle(self, last: ActionArray, measured: ActionArray, way: WayBack | None) -> None:
        """Note that the robot stands at `measured`, (action_dim,); `way` is for those actions that go it."""
        self._pose, self._way = np.where(self._holds, measured, last), way

    def advance(self, last: ActionArray) -> tuple[ActionArray, BoolArray]:
        """Return the target of this tick and which actions brake instead, each (action_dim,)."""
        target = np.where(self._is_kept, last, self.rest)
        if self._pose is None:
            return target, self.is_position
        pose = self._pose if self._way is None else np.where(self._returns, self._way.advance(), self._pose)
        return np.where(self.is_position, pose, target), self._no_brake


def _mask(flags: Iterable[bool]) -> BoolArray:
    return np.array(list(flags), dtype=np.bool_)
