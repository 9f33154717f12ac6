"""Check that a deployment takes and gives what a profile says: names, sizes, rate, meaning (pure).

What a number means, the protocol says in free texts only. So the profile's text must be the deployment's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from vagus.errors import ConfigError
from vagus.gateways.profile import ColorOrder, ImageLayout, Profile, WireImage, WireSpan
from vagus.gateways.profile_keys import told_path
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, RemoteFeature
from vagus.quoting import quoted

__all__ = ["check_fit"]

_INTERVAL_TOLERANCE = 1e-6


def check_fit(deployment: Deployment, profile: Profile) -> None:
    """Check that each feature of a deployment is what the profile says of it.

    Raises:
        ConfigError: names the first thing that differs, as the deployment has it and as the profile has it.
    """
    capabilities = deployment.capabilities
    if profile.semantics != deployment.semantics:
        raise ConfigError(
            "semantics of the profile",
            wanted=f"{quoted(deployment.semantics, 200)!r}, as the deployment {deployment.name} has it",
            got=repr(quoted(profile.semantics, 200)),
            fix="write it into the profile only if the units there are what it means",
        )
    interval_s = capabilities.action_interval_s
    if not math.isclose(profile.rate_hz * interval_s, 1.0, rel_tol=_INTERVAL_TOLERANCE):
        raise _misfit("rate_hz", f"{1 / interval_s:g}", f"{profile.rate_hz:g}")
    _check_vector(capabilities.action_feature, profile.actions)
    pictures = {image.key: image for image in profile.images}
    wanted = {_key(feature) for feature in capabilities.features}
    for feature in capabilities.features:
        if feature.kind is FeatureKind.RGB:
            _check_picture(feature, pictures.get(_key(feature)))
        else:
            _check_vector(feature, [span for span in profile.state if span.key == _key(feature)])
    for key in (*(span.key for span in profile.state), *pictures):
        if key not in wanted:
            raise _misfit("features", "none but those that it takes", told_path(key))


def _check_vector(feature: RemoteFeature, spans: Iterable[WireSpan]) -> None:
    parts = tuple(spans)
    names = tuple(name for span in parts for name in span.names)
    if feature.shape != (len(names),):
        raise _misfit(feature.name, f"{feature.shape}", f"{(len(names),)}")
    if feature.names and feature.names != names:
        raise _misfit(feature.name, ", ".join(feature.names), ", ".join(names))
    if any(span.dtype.value != feature.dtype for span in parts):
        raise _misfit(f"dtype of {feature.name}", feature.dtype, parts[0].dtype.value)
    _check_text(feature, {span.semantics for span in parts})


def _check_picture(feature: RemoteFeature, image: WireImage | None) -> None:
    if image is None:
        raise _misfit("images", feature.name, "none of that key")
    if feature.shape != (image.height, image.width, 3):
        raise _misfit(feature.name, f"{feature.shape[:2]}", f"{(image.height, image.width)}")
    if image.layout is not ImageLayout.HWC or image.color is not ColorOrder.RGB or not image.required:
        raise _misfit(feature.name, "HWC, RGB, required", "another layout or order, or required: false")
    _check_text(feature, {image.semantics})


def _check_text(feature: RemoteFeature, stated: set[str]) -> None:
    """Check the text of a feature, where the profile states one."""
    if others := stated - {"", feature.semantics}:
        raise _misfit(f"semantics of {feature.name}", feature.semantics, min(others))


def _key(feature: RemoteFeature) -> tuple[str]:
    return (feature.name,)


def _misfit(name: str, wanted: str, got: str) -> ConfigError:
    return ConfigError(
        f"{quoted(name, 60)} in the profile",
        wanted=f"{quoted(wanted, 300)}, as the deployment has it",
        got=quoted(got, 300),
    )
