"""Checks of a spec for contradictions, when it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind, Limits, grips
from vagus.units import Quantity, canonical, is_stated, quantity_of

__all__ = [
    "check_depth_unit",
    "check_frame_size",
    "check_measured",
    "check_rate",
    "check_robot_action",
    "check_unit",
]

FITTING = {
    ActionKind.POSITION: Quantity.PLACE,
    ActionKind.VELOCITY: Quantity.RATE,
    ActionKind.DELTA: Quantity.PLACE,
    ActionKind.EFFORT: Quantity.EFFORT,
    ActionKind.BINARY: Quantity.SWITCH,
}
"""Kind → quantities that its unit may measure. A unit of an unknown quantity fits every kind."""
KEPT = {
    ActionKind.POSITION: ("lower", "upper", "velocity", "acceleration", "jerk"),
    ActionKind.VELOCITY: ("lower", "upper", "acceleration", "jerk"),
    ActionKind.DELTA: ("lower", "upper", "velocity"),
    ActionKind.EFFORT: ("lower", "upper", "velocity"),
    ActionKind.BINARY: (),
}
"""Kind → limits that it can have."""
HINTS = {
    ActionKind.VELOCITY: "the value of a velocity is bounded by lower and upper",
    ActionKind.BINARY: "a binary is 0 or 1; leave its limits out",
}
TURNS = ("rad", "deg", "rev")
"""Units of angles."""
MAX_SIDE = 16_384
"""Largest side of a frame in pixels; a larger one is a typing error."""
MAX_AVERAGED = 100
"""Most targets in a mean: a second at 100 Hz lags by half a second."""
DEPTH_UNITS_PER_M = (1.0, 1_000_000.0)
"""Fewest and most units of depth to the metre: whole metres, and micrometres."""
RATES_HZ = (0.01, 10_000.0)
"""Smallest and largest rate; a value outside is probably a period or in another unit."""


def check_unit(feature: ActionFeature) -> None:
    """Check that the unit of an action fits its kind, and that only a binary has an encoding.

    Raises:
        SpecError: as said.
    """
    counted, wanted = quantity_of(feature.unit), FITTING[feature.kind]
    if counted not in (None, wanted):
        kinds = [kind.value for kind, quantity in FITTING.items() if quantity is counted]
        fix = f"is it of kind {' or '.join(kinds)}?" if kinds else "state the unit that is commanded"
        raise SpecError(
            f"unit of {feature.name} ({feature.kind.value})",
            wanted=f"a unit of {wanted.value}",
            got=repr(feature.unit),
            fix=fix,
        )
    if feature.encoding is not None and feature.kind is not ActionKind.BINARY:
        raise SpecError(
            f"encoding of {feature.name}",
            wanted="an action of kind binary",
            got=f"{str(feature.encoding)!r} for a {feature.kind.value}",
        )


def check_robot_action(feature: ActionFeature) -> None:
    """Check that the limits, safe value and flags of a robot's action fit its kind.

    Raises:
        SpecError: limits that its kind does not have, a safe value that is missing or never used, a gripper
            that is no position, a held or averaged action that cannot be one.
    """
    check_unit(feature)
    _check_limits(feature)
    _check_safe(feature)
    if feature.is_gripper and feature.kind is not ActionKind.POSITION:
        raise SpecError(
            f"gripper {feature.name}",
            wanted="an action of kind position; a binary keeps its last command anyway",
            got=feature.kind.value,
        )
    if feature.continuous:
        _check_continuous(feature)
    if feature.is_held:
        _check_held(feature)
    _check_averaged(feature)
    if feature.ready is not None:
        _check_ready(feature, feature.ready)
    if feature.rotation is not None and feature.rotation.endswith(":rotvec"):
        _check_rotvec(feature)


def check_measured(actions: Sequence[ActionFeature], state: Mapping[str, str]) -> None:
    """Check that the feedback of each action exists and measures the same quantity.

    Args:
        actions: actions with resolved feedback.
        state: state feature → unit.

    Raises:
        SpecError: as said.
    """
    for feature in actions:
        if feature.is_held and feature.feedback is None:
            raise SpecError(
                f"held action {feature.name}",
                wanted="a state feature that measures where it stands",
                got="none",
            )
        if feature.feedback is not None:
            _check_feedback(feature, feature.feedback, state)
    _check_shared(actions)
    for group in dict.fromkeys(f.rotation for f in actions if f.rotation is not None):
        members = [f for f in actions if f.rotation == group]
        blind = [f.name for f in members if not f.is_measured]
        if blind and len(blind) < len(members):
            raise SpecError(
                f"rotation group {group!r}", wanted="feedback for all of it or none", got=f"none for {blind}"
            )
        _check_whole(group, members)


def check_frame_size(name: str, height: int, width: int) -> None:
    """Check that the size of a frame is possible.

    Raises:
        SpecError: a side of 0 or less, or of more than `MAX_SIDE`.
    """
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise SpecError(f"camera {name}", wanted=f"1 to {MAX_SIDE} pixels a side", got=f"{height}×{width}")


def check_depth_unit(name: str, units_per_m: float) -> None:
    """Check that the unit of a depth camera is possible.

    Raises:
        SpecError: as said.
    """
    low, high = DEPTH_UNITS_PER_M
    if not low <= units_per_m <= high:
        raise SpecError(
            f"units_per_m of depth camera {name}",
            wanted=f"{low:g} to {high:g}, such as 1000 for millimetres",
            got=repr(units_per_m),
            fix="a driver's depth scale is metres per unit: give 1 / scale" if 0 < units_per_m < low else "",
        )


def check_rate(rate_hz: float) -> None:
    """Check that a rate is in the range of robots.

    Raises:
        SpecError: as said.
    """
    low, high = RATES_HZ
    if not low <= rate_hz <= high:
        raise SpecError("rate_hz", wanted=f"{low} to {high:g} per second", got=repr(rate_hz))


def _check_limits(feature: ActionFeature) -> None:
    limits, kept = feature.limits, KEPT[feature.kind]
    if feature.kind is ActionKind.BINARY and limits == Limits(lower=0.0, upper=1.0):
        return
    names = ("lower", "upper", "velocity", "acceleration", "jerk")
    ignored = [name for name in names if getattr(limits, name) is not None and name not in kept]
    if ignored:
        raise SpecError(
            f"limits of {feature.name} ({feature.kind.value})",
            wanted=f"only {', '.join(kept)}" if kept else "none",
            got=", ".join(f"{name}={getattr(limits, name):g}" for name in ignored),
            fix=HINTS.get(feature.kind, ""),
        )


def _check_safe(feature: ActionFeature) -> None:
    safe, kind = feature.safe, feature.kind
    if kind is ActionKind.EFFORT and safe is None:
        raise SpecError(
            f"effort action {feature.name}",
            wanted="a declared safe value for when no plan is there",
            got="none",
            fix="set safe= in the robot's spec",
        )
    if safe is None:
        return
    if kind not in (ActionKind.EFFORT, ActionKind.BINARY):
        raise SpecError(
            f"safe value of {feature.name}",
            wanted="none: only an effort goes to it without a plan, and a binary begins with it",
            got=f"{safe} for a {kind.value}",
        )
    if not math.isfinite(safe) or (kind is ActionKind.BINARY and safe not in (0.0, 1.0)):
        wanted = "0 or 1" if kind is ActionKind.BINARY else "a finite number"
        raise SpecError(f"safe value of {feature.name}", wanted=wanted, got=repr(safe))


def _check_continuous(feature: ActionFeature) -> None:
    """Check that a continuous position has a unit with a known full turn, and no end stops."""
    limits, got = feature.limits, ""
    if feature.kind is not ActionKind.POSITION:
        got = f"one of kind {feature.kind.value}"
    elif canonical(feature.unit) not in TURNS:
        got = f"one in {feature.unit!r}"
    elif feature.rotation is not None:
        got = f"one in the rotation group {feature.rotation!r}"
    elif limits.lower is not None or limits.upper is not None:
        got = f"one that ends at {limits.lower} and {limits.upper}"
    if got:
        raise SpecError(
            f"continuous {feature.name}", wanted=f"a position in {' or '.join(TURNS)}, without ends", got=got
        )


def _check_held(feature: ActionFeature) -> None:
    limits, got = feature.limits, ""
    if feature.kind is not ActionKind.POSITION:
        got = f"one of kind {feature.kind.value}"
    elif limits.lower is not None or limits.upper is not None:
        got = f"one between {limits.lower} and {limits.upper}, which would move it where it stands outside"
    elif feature.fallback is not None:
        got = f"one with the fallback {feature.fallback.value}"
    if got:
        raise SpecError(
            f"held action {feature.name}", wanted="a position without ends and without a fallback", got=got
        )


def _check_averaged(feature: ActionFeature) -> None:
    """Check that a mean of targets is a target: angles without ends and rotations have none."""
    ticks, got = feature.averaged_ticks, ""
    if not 1 <= ticks <= MAX_AVERAGED:
        got = f"{ticks}"
    elif ticks > 1 and feature.kind is not ActionKind.POSITION:
        got = f"{ticks} for a {feature.kind.value}"
    elif ticks > 1 and (feature.continuous or feature.rotation is not None):
        got = f"{ticks} for an angle without ends or a part of a rotation"
    if got:
        wanted = f"1, or up to {MAX_AVERAGED} for a position with ends outside a rotation group"
        raise SpecError(f"averaged_ticks of {feature.name}", wanted=wanted, got=got)


def _check_ready(feature: ActionFeature, ready: float) -> None:
    limits, got = feature.limits, ""
    low = -math.inf if limits.lower is None else limits.lower
    high = math.inf if limits.upper is None else limits.upper
    if feature.kind is not ActionKind.POSITION or feature.is_held:
        got = "a held action" if feature.is_held else f"an action of kind {feature.kind.value}"
    elif grips(feature):
        got = "a gripper, which could drop what it holds"
    elif not (math.isfinite(ready) and low <= ready <= high):
        got = f"{ready} outside of {low} to {high}"
    if got:
        raise SpecError(f"ready of {feature.name}", wanted="a place that a position can move to", got=got)


def _check_rotvec(feature: ActionFeature) -> None:
    if quantity_of(feature.unit) is not None and canonical(feature.unit) != "rad":
        raise SpecError(
            f"unit of {feature.name} in {feature.rotation!r}",
            wanted="rad: a rotation vector is axis times angle in rad",
            got=repr(feature.unit),
        )


def _check_whole(group: str, members: Sequence[ActionFeature]) -> None:
    """Check that a rotation is held as a whole, and goes to a ready one as a whole."""
    held, ready = sum(f.is_held for f in members), sum(f.ready is not None for f in members)
    for what, count in (("held", held), ("ready", ready)):
        if 0 < count < len(members):
            raise SpecError(
                f"rotation group {group!r}",
                wanted=f"{what} for all of its {len(members)} numbers or none",
                got=f"{what} for {count}",
            )


def _check_feedback(feature: ActionFeature, feedback: str, state: Mapping[str, str]) -> None:
    subject = f"feedback of {feature.name}"
    if not feature.is_measured:
        raise SpecError(
            subject, wanted="none, or is_measured left out", got=f"{feedback!r} and is_measured=False"
        )
    if feedback not in state:
        raise SpecError(subject, wanted=f"one of the state features {sorted(state)}", got=repr(feedback))
    unit = state[feedback]
    if is_stated(unit) and is_stated(feature.unit) and canonical(unit) != canonical(feature.unit):
        raise SpecError(
            subject,
            wanted=f"a state feature in {feature.unit!r}, as it is commanded",
            got=f"{feedback!r} in {unit!r}",
            fix="name the one that measures it with feedback=, or say is_measured=False",
        )


def _check_shared(actions: Iterable[ActionFeature]) -> None:
    seen: dict[str, str] = {}
    for feature in actions:
        if feature.feedback is None or feature.kind is not ActionKind.POSITION:
            continue
        other = seen.setdefault(feature.feedback, feature.name)
        if other != feature.name:
            raise SpecError(
                f"feedback of {feature.name}",
                wanted="a state feature of its own",
                got=f"{feature.feedback!r}, which measures {other}",
                fix="one that nothing measures says is_measured=False",
            )
