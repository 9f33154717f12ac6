"""Choice among the servers of a deployment, and what a robot asks of the chosen one (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vagus.errors import ConfigError, ProtocolError
from vagus.gateways.msgpack import Key, Value
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    CHUNK_ALIGNMENT_V1,
    CHUNK_ALIGNMENT_V2,
    RTC_MODEL_SPACE_V1,
    ChunkBlend,
    ChunkMerge,
    ChunkSettings,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding
from vagus.integrations.lerobot_zenoh.v1.values import write_map
from vagus.quoting import quoted

__all__ = ["Wish", "candidates", "check_accepted", "open_request", "said_by"]

_ALIGNED_V1 = ChunkSettings(ChunkMerge.ALIGNED, ChunkBlend(0, 1.0, ()))
"""Generation B states its blending, too: none."""
_ALIGNED_V2 = ChunkSettings(ChunkMerge.ALIGNED)


@dataclass(frozen=True)
class Wish:
    """Which server of a deployment is taken.

    Attributes:
        deployment: name of the deployment.
        mode: how chunks are joined; "": guided real-time chunking where it is offered, else whole chunks.
        encoding: how pictures are sent.
        instance: the only one that may be taken; "": any.
        said: what the first one said about itself; None before it was seen. One that says the same is taken.
        avoided: the one that has just failed; taken if there is no other; "": none.
        left: ids of sessions of ours whose close was not confirmed; they may keep their servers occupied.
    """

    deployment: str
    mode: str = ""
    encoding: PictureEncoding = PictureEncoding.JPEG
    instance: str = ""
    said: Mapping[Key, Value] | None = None
    avoided: str = ""
    left: tuple[MessageHead, ...] = ()


def said_by(deployment: Deployment) -> dict[Key, Value]:
    """Return what must stay the same as long as a robot uses a deployment, on whatever server."""
    return {
        "artifact_identity": deployment.artifact_identity,
        "semantics": deployment.semantics,
        "capabilities": write_map(deployment.capabilities.to_wire()),
    }


def candidates(found: Iterable[Deployment], wish: Wish) -> tuple[Deployment, ...]:
    """Return the servers that may be asked for a session, the best first.

    Where one says about itself what was said at the start, the others are left out: they are another model.
    """
    ready = {one.instance_id: one for one in found if one.is_ready and wish.instance in ("", one.instance_id)}
    same = [one for one in ready.values() if wish.said is None or said_by(one) == wish.said]
    return tuple(sorted(same or ready.values(), key=lambda one: _rank(one, wish)))


def open_request(deployment: Deployment, wish: Wish) -> OpenRequest:
    """Return the request for a session; chunks are aligned where the deployment can.

    A deployment that cannot (generation A) begins each chunk at its frame, too, as long as nothing is said to
    be left of the chunk before.

    Raises:
        ConfigError: the deployment does not offer the mode.
    """
    capabilities = deployment.capabilities
    mode = _mode_of(deployment, wish.mode)
    settings: ChunkSettings | None = None
    required: tuple[str, ...] = ()
    if mode is not InferenceMode.CHUNK:
        required = (RTC_MODEL_SPACE_V1,) if capabilities.model_dim != capabilities.action_dim else ()
    elif CHUNK_ALIGNMENT_V2 in deployment.contracts:
        settings, required = _ALIGNED_V2, (CHUNK_ALIGNMENT_V2,)
    elif CHUNK_ALIGNMENT_V1 in deployment.contracts:
        settings, required = _ALIGNED_V1, (CHUNK_ALIGNMENT_V1,)
    return OpenRequest(
        expected_artifact=deployment.artifact_identity,
        features=capabilities.features,
        action_feature=capabilities.action_feature,
        semantics=deployment.semantics,
        action_interval_s=capabilities.action_interval_s,
        mode=mode,
        encoding=wish.encoding,
        chunk_settings=settings,
        required_capabilities=required,
    )


def check_accepted(accepted: AcceptedSession, request: OpenRequest, deployment: Deployment) -> None:
    """Check that a session is what was asked for.

    Raises:
        ProtocolError: another model, capability, mode or way to join chunks.
    """
    got = accepted.deployment
    asked = (said_by(deployment), deployment.instance_id, request.mode, request.is_aligned)
    if (said_by(got), got.instance_id, accepted.mode, accepted.is_aligned) != asked:
        raise ProtocolError(
            f"accepted: wanted {quoted(deployment.artifact_identity, 80)}, {request.mode.value} and "
            f"{'aligned' if request.is_aligned else 'appended'} chunks, as asked, got another session"
        )


def _mode_of(deployment: Deployment, wanted: str) -> InferenceMode:
    offered = deployment.capabilities.modes
    for mode in (InferenceMode(wanted),) if wanted else (InferenceMode.RTC_GUIDED, InferenceMode.CHUNK):
        if mode in offered:
            return mode
    raise ConfigError(
        "inference_mode",
        wanted=f"one that the deployment offers: {', '.join(mode.value for mode in offered)}",
        got=wanted or "none",
        fix="give --options inference_mode …",
    )


def _rank(deployment: Deployment, wish: Wish) -> tuple[bool, bool, str]:
    status = deployment.status
    is_taken = status is not None and not status.is_available
    return deployment.instance_id == wish.avoided, is_taken, deployment.instance_id
