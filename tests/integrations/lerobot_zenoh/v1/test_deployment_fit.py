"""A deployment and a profile: whatever differs is named before anything is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_server import SEMANTICS, deployment_of
from vagus.errors import ConfigError
from vagus.gateways.profile import ColorOrder, FloatType, ImageLayout, Profile, WireImage, WireSpan
from vagus.integrations.lerobot_zenoh.v1.deployment_fit import check_fit
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, RemoteCapabilities, RemoteFeature

STATE, FRONT = ("observation.state",), ("observation.images.front",)
NAMES = ("pan", "lift", "gripper")
PICTURE = RemoteFeature(FRONT[0], (16, 24, 3), "uint8", FeatureKind.RGB, (), "front camera")
DEPLOYMENT = deployment_of(NAMES, rate_hz=30.0, steps=8, pictures=(PICTURE,))
SPANS = (
    WireSpan(key=STATE, names=NAMES[:2], unit="rad"),
    WireSpan(key=STATE, names=NAMES[2:], unit="ratio"),
)
IMAGE = WireImage(key=FRONT, name="front", height=16, width=24)
PROFILE = Profile(
    name="arm",
    protocol="lerobot_zenoh",
    robot_type="arm",
    rate_hz=30.0,
    horizon=8,
    state=SPANS,
    actions=tuple(replace(span, key=("action",)) for span in SPANS),
    images=(IMAGE,),
    instruction=("task",),
    semantics=SEMANTICS,
)


def with_spans(**settings: object) -> Profile:
    """Return the profile with other settings of all spans of the state."""
    return replace(PROFILE, state=tuple(replace(span, **settings) for span in SPANS))  # type: ignore[arg-type]


def with_image(**settings: object) -> Profile:
    """Return the profile with other settings of its picture."""
    return replace(PROFILE, images=(replace(IMAGE, **settings),))  # type: ignore[arg-type]


def test_a_profile_of_the_deployment_fits_and_may_state_the_texts_of_its_features() -> None:
    check_fit(DEPLOYMENT, PROFILE)
    check_fit(DEPLOYMENT, with_spans(semantics="rad"))
    check_fit(DEPLOYMENT, with_image(semantics="front camera"))
    check_fit(DEPLOYMENT, replace(PROFILE, horizon=50))  # more than its chunks have: they are used whole


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        (replace(PROFILE, semantics="degrees"), rf"semantics .* wanted '{SEMANTICS}'.* got 'degrees'"),
        (replace(PROFILE, rate_hz=20.0), "rate_hz .* wanted 30, .* got 20"),
        (replace(PROFILE, state=SPANS[:1]), r"observation.state .* wanted \(3,\), .* got \(2,\)"),
        (replace(PROFILE, state=SPANS[::-1]), "wanted pan, lift, gripper, .* got gripper, pan, lift"),
        (replace(PROFILE, actions=PROFILE.actions[::-1]), "action .* wanted pan, lift, gripper"),
        (with_spans(dtype=FloatType.FLOAT64), "dtype of observation.state .* wanted float32, .* got float64"),
        (with_spans(semantics="deg"), "semantics of observation.state .* wanted rad, .* got deg"),
        (with_image(semantics="wrist"), "semantics of observation.images.front"),
        (replace(PROFILE, images=()), "images .* wanted observation.images.front"),
        (with_image(height=24, width=16), r"wanted \(16, 24\), .* got \(24, 16\)"),
        (with_image(color=ColorOrder.BGR), "HWC, RGB, required"),
        (with_image(layout=ImageLayout.CHW), "HWC, RGB, required"),
        (with_image(required=False), "HWC, RGB, required"),
        (
            replace(PROFILE, images=(IMAGE, replace(IMAGE, key=("observation.images.wrist",), name="wrist"))),
            "none but those that it takes, .* got observation.images.wrist",
        ),
    ],
)
def test_what_differs_is_named_from_both_sides(profile: Profile, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_fit(DEPLOYMENT, profile)


def with_features(*features: RemoteFeature) -> RemoteCapabilities:
    return replace(DEPLOYMENT.capabilities, features=features)


def test_a_state_without_names_is_compared_by_its_width() -> None:
    state = DEPLOYMENT.capabilities.features[0]
    check_fit(replace(DEPLOYMENT, capabilities=with_features(replace(state, names=()), PICTURE)), PROFILE)


def test_what_no_profile_can_give_is_refused() -> None:
    state = DEPLOYMENT.capabilities.features[0]
    depth = RemoteFeature("observation.depth", (16, 24), "float32", FeatureKind.TENSOR, (), "metres")
    with pytest.raises(ConfigError, match=r"observation.depth .* wanted \(16, 24\)"):
        check_fit(replace(DEPLOYMENT, capabilities=with_features(state, PICTURE, depth)), PROFILE)
    with pytest.raises(ConfigError, match=r"none but those that it takes, .* got observation.state"):
        check_fit(replace(DEPLOYMENT, capabilities=with_features(PICTURE)), PROFILE)
