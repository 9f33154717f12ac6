"""Whether a server of the draft serves what a profile describes (pure)."""

from __future__ import annotations

import math
from typing import Final

from vagus.errors import ConfigError, ProtocolError
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.profile import Profile
from vagus.integrations.lerobot_zenoh.draft.attachment import SCHEMA_VERSION
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel, DraftStatus
from vagus.integrations.lerobot_zenoh.draft.terms import camera_key
from vagus.quoting import quoted
from vagus.specs import RtcSpec

__all__ = ["check_same_model", "check_server_fits", "offered_rtc", "said_by_server"]

RATE_TOLERANCE: Final = 1e-6
MAX_LISTED: Final = 800
"""Most characters of a list of names in an error."""


def check_server_fits(status: DraftStatus, profile: Profile) -> None:
    """Check what a server says that it serves; what it does not say, only the profile does.

    Raises:
        ConfigError: another version, other actions or cameras, another order, width or rate.
    """
    model = status.model
    if not status.min_schema_version <= SCHEMA_VERSION <= status.max_schema_version:
        got = f"{status.min_schema_version} to {status.max_schema_version}"
        raise _misfit("schema version", str(SCHEMA_VERSION), got, profile)
    names = [name for span in profile.actions for name in span.names]
    if model.action_names and list(model.action_names) != names:
        raise _misfit("actions", ", ".join(names), ", ".join(model.action_names), profile)
    width = sum(len(span.names) for span in profile.state)
    if model.state_dim != width:
        raise _misfit("state", f"{width} numbers", str(model.state_dim), profile)
    cameras = sorted(image.key[0] for image in profile.images)
    offered = sorted(map(camera_key, model.expected_cameras))
    if offered != cameras:
        raise _misfit("cameras", ", ".join(cameras) or "none", ", ".join(offered) or "none", profile)
    if model.trained_fps and not math.isclose(model.trained_fps, profile.rate_hz, rel_tol=RATE_TOLERANCE):
        raise _misfit("rate_hz", f"{profile.rate_hz:g}", f"{model.trained_fps:g}", profile)
    if not model.chunk_size:
        raise _misfit("chunk_size", "at least 1", "0", profile)


def check_same_model(opened: DraftModel, described: DraftModel) -> None:
    """Check that a session is with the model that the status has described: only that one was compared.

    Raises:
        ProtocolError: another name, revision, type, order of the actions, width or chunk.
    """
    got, wanted = _named(opened), _named(described)
    if got != wanted:
        raise ProtocolError(f"session: wanted the model of the status, {_told(wanted)}, got {_told(got)}")


def said_by_server(model: DraftModel) -> dict[Key, Value]:
    """Return who a server is, by all that it says of its model; the draft has no hash of it."""
    return {
        "model_repo": model.model_repo,
        "model_revision": model.model_revision,
        "policy_type": model.policy_type,
        "action_names": list(model.action_names),
        "expected_cameras": list(model.expected_cameras),
        "state_dim": model.state_dim,
        "chunk_size": model.chunk_size,
        "trained_fps": model.trained_fps,
        "rtc_execution_horizon": _guided_rows(model),
    }


def offered_rtc(model: DraftModel, horizon: int) -> RtcSpec | None:
    """Return the real-time chunking that a server offers; None: none."""
    rows = _guided_rows(model)
    return RtcSpec(min(rows, horizon)) if rows else None


def _guided_rows(model: DraftModel) -> int:
    return (model.rtc_execution_horizon or 0) if model.supports_rtc else 0


def _misfit(what: str, wanted: str, got: str, profile: Profile) -> ConfigError:
    return ConfigError(
        f"{what} of the server for the profile {profile.name}",
        wanted=quoted(wanted, MAX_LISTED),
        got=quoted(got, MAX_LISTED),
        fix="take the profile of this model",
    )


def _named(model: DraftModel) -> tuple[object, ...]:
    names = ", ".join(model.action_names)
    return model.model_repo, model.model_revision, model.policy_type, names, model.state_dim, model.chunk_size


def _told(parts: tuple[object, ...]) -> str:
    return quoted("; ".join(map(str, parts)), MAX_LISTED)
