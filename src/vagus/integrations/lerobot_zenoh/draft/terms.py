"""What a gateway of the draft serves, and whether a client's robot is the one of its profile (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from vagus.errors import SpecError
from vagus.gateways.profile import Profile
from vagus.gateways.profile_specs import relative_bases
from vagus.integrations.lerobot_zenoh.draft.attachment import SCHEMA_VERSION
from vagus.integrations.lerobot_zenoh.draft.sessions import DraftOpen
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel
from vagus.quoting import quoted
from vagus.wire.schema import Capabilities

__all__ = ["IMAGES", "camera_key", "check_draft_open", "draft_model"]

IMAGES: Final = "observation.images."
"""Begin of a camera's name in LeRobot's features; the draft's clients may leave it out."""
RATE_TOLERANCE: Final = 1e-6
MAX_LISTED: Final = 800
"""Most characters of a list of names in an error."""


def camera_key(name: str) -> str:
    """Return a camera's name as a profile has it: `observation.images.front` for `front`, too."""
    return name if name.startswith(IMAGES) else IMAGES + name


def draft_model(profile: Profile, said: Capabilities | None = None) -> DraftModel:
    """Return what a client is told of the model.

    Args:
        profile: names, order, cameras, rate and longest chunk.
        said: what the vagus server says of itself; None: nothing is known of it yet.
    """
    # what a client executes has no meaning here if it counts from a state that the client does not send again
    rtc = None if said is None or relative_bases(profile) else said.rtc
    return DraftModel(
        model_repo="" if said is None else said.model,
        model_revision="" if said is None else said.revision,
        policy_type="" if said is None else said.policy_type,
        action_names=tuple(name for span in profile.actions for name in span.names),
        expected_cameras=tuple(image.key[0] for image in profile.images),
        state_dim=sum(len(span.names) for span in profile.state),
        chunk_size=profile.horizon if said is None else min(profile.horizon, said.horizon),
        trained_fps=profile.rate_hz,
        supports_rtc=rtc is not None,
        rtc_execution_horizon=None if rtc is None else rtc.prefix_horizon,
        is_warmed_up=said is not None,
    )


def check_draft_open(asked: DraftOpen, profile: Profile) -> None:
    """Check that a client's robot is the one that the profile describes.

    Raises:
        SpecError: another version, another order of the actions, another state, other cameras, another rate.
    """
    if asked.schema_version != SCHEMA_VERSION:
        raise SpecError("schema_version", wanted=str(SCHEMA_VERSION), got=str(asked.schema_version))
    _check_actions(asked.action_names, profile)
    width = sum(len(span.names) for span in profile.state)
    if asked.state_dim != width:
        raise SpecError(
            f"state_dim for the profile {profile.name}",
            wanted=f"{width}: {_listed([name for span in profile.state for name in span.names])}",
            got=str(asked.state_dim),
            fix="start the gateway with the profile of this robot; the state is matched by position only",
        )
    _check_cameras({camera_key(name) for name in asked.camera_names}, profile)
    if not math.isclose(asked.fps, profile.rate_hz, rel_tol=RATE_TOLERANCE):
        raise SpecError(
            "fps",
            wanted=f"{profile.rate_hz:g}, as the profile {profile.name} says",
            got=f"{asked.fps:g}",
            fix=f"start the robot with --fps={profile.rate_hz:g}",
        )


def _check_actions(got: Sequence[str], profile: Profile) -> None:
    wanted = [name for span in profile.actions for name in span.names]
    if list(got) == wanted:
        return
    in_order = " in this order" if sorted(got) == sorted(wanted) else ""
    raise SpecError(
        f"action_names for the profile {profile.name}",
        wanted=f"{', '.join(wanted)}{in_order}",
        got=_listed(got) or "none",
        fix="start the gateway with the profile of this robot",
    )


def _check_cameras(got: set[str], profile: Profile) -> None:
    known = {image.key[0] for image in profile.images}
    required = {image.key[0] for image in profile.images if image.required}
    if required <= got <= known:
        return
    raise SpecError(
        f"camera_names for the profile {profile.name}",
        wanted=_listed(sorted(known)) or "none",
        got=_listed(sorted(got)) or "none",
        fix="start the gateway with the profile of this robot, or name the robot's cameras like this",
    )


def _listed(names: Sequence[str]) -> str:
    return quoted(", ".join(names), MAX_LISTED)
