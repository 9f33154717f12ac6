"""Specs of a foreign robot and of a foreign server, as a profile describes them (pure)."""

from __future__ import annotations

from vagus.encodings import BinaryEncoding
from vagus.errors import SpecError
from vagus.features import ActionFeature, ActionKind, StateFeature
from vagus.gateways.profile import ActionReference, Profile
from vagus.specs import CameraSpec, PolicySpec, RobotSpec
from vagus.units import canonical

__all__ = ["policy_spec_of", "relative_bases", "robot_spec_of"]


def robot_spec_of(profile: Profile) -> RobotSpec:
    """Return what the foreign robot offers, in the order of the profile.

    Raises:
        SpecError: a unit that contradicts its kind or its feedback, an unknown encoding.
    """
    return RobotSpec(
        robot_type=profile.robot_type,
        actions=_actions(profile),
        state=_state(profile),
        cameras=_cameras(profile),
        rate_hz=profile.rate_hz,
    )


def policy_spec_of(profile: Profile, policy_type: str) -> PolicySpec:
    """Return what a foreign server wants and gives; errors as `robot_spec_of`."""
    actions = _actions(profile)
    return PolicySpec(
        policy_type=policy_type,
        actions=actions,
        state=_state(profile),
        cameras=_cameras(profile),
        horizon=profile.horizon,
        model_dim=len(actions),
        rate_hz=profile.rate_hz,
    )


def relative_bases(profile: Profile) -> list[tuple[int, int]]:
    """Return place of each relative action, and of the state feature that it is counted from.

    Raises:
        SpecError: it is counted from a state in another unit.
    """
    state = _state(profile)
    places = {feature.name: at for at, feature in enumerate(state)}
    actions = [
        (span, name, base)
        for span in profile.actions
        for name, base in zip(span.names, span.relative_to or span.names, strict=True)
    ]
    found: list[tuple[int, int]] = []
    for at, (span, name, base) in enumerate(actions):
        if span.reference is not ActionReference.RELATIVE:
            continue
        unit = state[places[base]].unit
        if canonical(unit) != canonical(span.unit):
            raise SpecError(
                f"relative action {name}", wanted=f"a state in {span.unit!r}", got=f"{base!r} in {unit!r}"
            )
        found.append((at, places[base]))
    return found


def _actions(profile: Profile) -> tuple[ActionFeature, ...]:
    return tuple(
        ActionFeature(
            name,
            span.unit,
            span.kind or ActionKind.POSITION,
            encoding=BinaryEncoding.parse(span.encoding) if span.encoding else None,
            safe=0.0
            if span.kind is ActionKind.EFFORT
            else None,  # a spec wants one; a foreign robot has its own
        )
        for span in profile.actions
        for name in span.names
    )


def _state(profile: Profile) -> tuple[StateFeature, ...]:
    return tuple(StateFeature(name, span.unit) for span in profile.state for name in span.names)


def _cameras(profile: Profile) -> tuple[CameraSpec, ...]:
    return tuple(
        CameraSpec(image.name, image.height, image.width, image.required) for image in profile.images
    )
