"""Check of a robot client's setup: what its robot offers (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.errors import SpecError
from vagus.gateways.profile import Profile, ResizeRule, WireImage
from vagus.integrations.lerobot_grpc.dialect import IMAGES, STATE
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig, RobotFeature
from vagus.quoting import quoted

__all__ = ["check_setup"]

MAX_LISTED = 800
"""Most characters of a list of names in an error."""


def check_setup(config: RemotePolicyConfig, profile: Profile) -> None:
    """Check that a client's robot is the one that the profile describes.

    Raises:
        SpecError: other names, another order, another size of a picture, or a setting that is unknown here.
    """
    _check_state(config.lerobot_features.get(STATE), profile)
    _check_images(config.lerobot_features, profile)
    unknown = [key for key in config.lerobot_features if key != STATE and not key.startswith(IMAGES)]
    if unknown:
        raise SpecError("features", wanted=f"{STATE} and {IMAGES}<camera>", got=_listed(unknown))
    if config.actions_per_chunk < 1:
        raise SpecError("actions_per_chunk", wanted="at least 1", got=str(config.actions_per_chunk))
    if config.rename_map:
        raise SpecError(
            "rename_map",
            wanted="none",
            got=_listed(config.rename_map),
            fix="names are mapped by the gateway's profile and its setting rename",
        )


def _check_state(feature: RobotFeature | None, profile: Profile) -> None:
    wanted = [name for span in profile.state for name in span.names]
    got = [] if feature is None else list(feature.names)
    if got != wanted:
        in_order = " in this order" if sorted(got) == sorted(wanted) else ""
        raise SpecError(
            f"{STATE} for the profile {profile.name}",
            wanted=f"{', '.join(wanted) or 'no state'}{in_order}",
            got=_listed(got) or "no state",
            fix="start the gateway with the profile of this robot",
        )
    if feature is not None and feature.shape != (len(wanted),):
        raise SpecError(f"{STATE}: shape", wanted=f"({len(wanted)},)", got=str(feature.shape))


def _check_images(features: Mapping[str, RobotFeature], profile: Profile) -> None:
    cameras = {key: feature for key, feature in features.items() if key.startswith(IMAGES)}
    wanted = {image.key[0]: image for image in profile.images}
    is_complete = all(key in cameras for key, image in wanted.items() if image.required)
    if not is_complete or not cameras.keys() <= wanted.keys():
        raise SpecError(
            f"cameras for the profile {profile.name}",
            wanted=", ".join(map(_told, wanted.values())) or "none",
            got=_listed([key.removeprefix(IMAGES) for key in cameras]) or "none",
            fix="start the gateway with the profile of this robot, or name the robot's cameras like this",
        )
    for key, feature in cameras.items():
        _check_size(key.removeprefix(IMAGES), feature.shape, wanted[key])


def _check_size(camera: str, shape: tuple[int, ...], image: WireImage) -> None:
    is_any_size = image.resize is not ResizeRule.REFUSE
    is_picture = len(shape) == len(image.shape) and shape[-1] == image.shape[-1]
    if shape != image.shape and not (is_any_size and is_picture):
        raise SpecError(
            f"camera {camera}: (height, width, channels)",
            wanted="(any, any, 3)" if is_any_size else str(image.shape),
            got=str(shape),
        )


def _told(image: WireImage) -> str:
    return image.key[0].removeprefix(IMAGES) + ("" if image.required else " (may be missing)")


def _listed(names: Mapping[str, str] | list[str]) -> str:
    return quoted(", ".join(names), MAX_LISTED)
