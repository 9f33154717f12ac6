"""What a deployment says of itself, and what it accepts for a session (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode, RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.pictures import MAX_DIMENSION, MAX_PIXELS
from vagus.integrations.lerobot_zenoh.v1.values import (
    BOUNDS,
    MAX_DECODED_BYTES,
    MAX_RANK,
    MAX_TENSOR_BYTES,
    RemoteMap,
    RemoteValue,
)

__all__ = ["AcceptedSession", "Deployment", "DeploymentLimits", "DeploymentStatus", "SessionOwner"]

CODEC_LIMITS: Final[Mapping[str, RemoteValue]] = {
    "max_payload_bytes": BOUNDS.payload_bytes,
    "max_decoded_bytes": MAX_DECODED_BYTES,
    "max_tensor_bytes": MAX_TENSOR_BYTES,
    "max_image_pixels": MAX_PIXELS,
    "max_dimension": MAX_DIMENSION,
    "max_rank": MAX_RANK,
    "max_string_bytes": BOUNDS.text_bytes,
    "max_container_items": BOUNDS.container_items,
    "max_nodes": BOUNDS.items,
    "max_depth": BOUNDS.depth,
}
"""Bounds of a message, as a server states them."""


@dataclass(frozen=True, kw_only=True)
class DeploymentLimits:
    """Limits that a server states.

    Attributes:
        action_deadline_s: from an observation to its actions; a client waits so long for a control.
        language_deadline_s: from a question to its answer; likewise.
        idle_timeout_s: absence after which a client loses its session.
        max_input_chars: of a task or a question.
        max_output_chars: of an answer to a question.
        codec: bounds of a message, only for people.
        inflight_inference: observations that may wait at once.
    """

    action_deadline_s: float = 5.0
    language_deadline_s: float = 60.0
    idle_timeout_s: float = 10.0
    max_input_chars: int = 4096
    max_output_chars: int = 8192
    codec: Mapping[str, RemoteValue] = field(default_factory=lambda: CODEC_LIMITS)
    inflight_inference: int = 1

    @classmethod
    def from_wire(cls, fields: BodyFields) -> DeploymentLimits:
        """Return the limits that a map states; RemoteMessageError (MALFORMED) otherwise."""
        return cls(
            action_deadline_s=fields.number("action_deadline_s", 0.0, least=0.0),
            language_deadline_s=fields.number("language_deadline_s", 0.0, least=0.0),
            idle_timeout_s=fields.number("idle_timeout_s", 0.0, least=0.0),
            max_input_chars=fields.whole("max_input_chars", least=1),
            max_output_chars=fields.whole("max_output_chars", least=1),
            codec=fields.free_map("codec"),
            inflight_inference=fields.whole("inflight_inference", 1),
        )

    def to_wire(self) -> RemoteMap:
        """Return the map that states the limits."""
        return {
            "action_deadline_s": self.action_deadline_s,
            "language_deadline_s": self.language_deadline_s,
            "idle_timeout_s": self.idle_timeout_s,
            "max_input_chars": self.max_input_chars,
            "max_output_chars": self.max_output_chars,
            "codec": dict(self.codec),
            "inflight_inference": self.inflight_inference,
        }


@dataclass(frozen=True, kw_only=True)
class SessionOwner:
    """Who holds the one session of a reference server, for people.

    Attributes:
        owner: session id.
        is_client_present: whether the client's token was seen; None before the first.
        absence_grace_remaining_s: time until an absent owner loses the session.
        is_cleanup_pending: whether a session is being ended.
        cleanup_reason: why.
        is_inference_pending: whether a request is computed.
        admission_blocker: why nobody else is let in.
    """

    owner: str | None = None
    is_client_present: bool | None = None
    absence_grace_remaining_s: float | None = None
    is_cleanup_pending: bool = False
    cleanup_reason: str | None = None
    is_inference_pending: bool = False
    admission_blocker: str | None = None

    @classmethod
    def from_wire(cls, fields: BodyFields) -> SessionOwner:
        """Return what a map tells; RemoteMessageError (MALFORMED) otherwise."""
        grace = "absence_grace_remaining_s"
        return cls(
            owner=fields.optional_text("owner"),
            is_client_present=fields.flag("client_present") if fields.has("client_present") else None,
            absence_grace_remaining_s=fields.number(grace) if fields.has(grace) else None,
            is_cleanup_pending=fields.flag("cleanup_pending", default=False),
            cleanup_reason=fields.optional_text("cleanup_reason"),
            is_inference_pending=fields.flag("inference_pending", default=False),
            admission_blocker=fields.optional_text("admission_blocker"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the map that tells it."""
        return {
            "owner": self.owner,
            "client_present": self.is_client_present,
            "absence_grace_remaining_s": self.absence_grace_remaining_s,
            "cleanup_pending": self.is_cleanup_pending,
            "cleanup_reason": self.cleanup_reason,
            "inference_pending": self.is_inference_pending,
            "admission_blocker": self.admission_blocker,
        }


@dataclass(frozen=True, kw_only=True)
class DeploymentStatus:
    """State of a server, for people; no client decides by it.

    Attributes:
        is_available: whether a client would get a session.
        failure: why the server answers nobody.
        owner: who holds the session.
        word: idle, active, busy, closing, faulted or unhealthy.
    """

    is_available: bool = True
    failure: str | None = None
    owner: SessionOwner = SessionOwner()
    word: str = "idle"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One model on one server, for one kind of robot, as clients see it.

    Attributes:
        name: one segment of its keys.
        instance_id: this run of the server's program.
        artifact_identity: model, revision and settings; a client ends if it changes.
        semantics: what the operator must state on both sides, byte for byte.
        capabilities: what it can do.
        contracts: names of contracts that it keeps.
        is_ready: whether it admits clients.
        limits: limits that it states.
        software: versions, for people.
        blendable_components: names that a client of generation B may mix; None: no such client is served.
        status: state, for people.
    """

    name: str
    instance_id: str
    artifact_identity: str
    semantics: str
    capabilities: RemoteCapabilities
    contracts: tuple[str, ...] = ()
    is_ready: bool = True
    limits: DeploymentLimits = field(default_factory=DeploymentLimits)
    software: Mapping[str, RemoteValue] = field(default_factory=dict)
    blendable_components: tuple[str, ...] | None = None
    status: DeploymentStatus | None = None

    @classmethod
    def from_wire(cls, body: ValueMap) -> Deployment:
        """Return the deployment that a descriptor describes; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(body, "descriptor")
        blendable = "blendable_components"
        return cls(
            name=fields.text("deployment"),
            instance_id=fields.text("instance_id"),
            artifact_identity=fields.text("artifact_identity"),
            semantics=fields.text("semantics"),
            capabilities=RemoteCapabilities.from_wire(fields.map("capabilities")),
            contracts=fields.texts("execution_contracts", ()),
            is_ready=fields.flag("ready"),
            limits=DeploymentLimits.from_wire(fields.inner("limits")),
            software=fields.free_map("software"),
            blendable_components=fields.texts(blendable) if fields.has(blendable) else None,
            status=_status_of(fields),
        )

    def to_wire(self) -> RemoteMap:
        """Return the body of its descriptor."""
        body: RemoteMap = {
            "deployment": self.name,
            "instance_id": self.instance_id,
            "artifact_identity": self.artifact_identity,
            "software": dict(self.software),
            "semantics": self.semantics,
            "capabilities": self.capabilities.to_wire(),
            "execution_contracts": list(self.contracts),
        }
        if self.blendable_components is not None:
            body["blendable_components"] = list(self.blendable_components)
        body["ready"] = self.is_ready
        if self.status is not None:
            body["available"] = self.status.is_available
            body["failure"] = self.status.failure
            body["session"] = self.status.owner.to_wire()
            body["session_status"] = self.status.word
        body["limits"] = self.limits.to_wire()
        return body


@dataclass(frozen=True)
class AcceptedSession:
    """Answer to an open: the deployment again, and the mode and the merging that were agreed."""

    deployment: Deployment
    mode: InferenceMode
    chunk_settings: ChunkSettings

    @property
    def is_aligned(self) -> bool:
        """Whether rows are counted from the frame."""
        return self.chunk_settings.merge is ChunkMerge.ALIGNED

    @property
    def steps(self) -> int:
        """Rows of a reply: exactly so many."""
        return self.deployment.capabilities.steps(self.mode)

    @classmethod
    def from_wire(cls, body: ValueMap) -> AcceptedSession:
        """Return what a body accepts; RemoteMessageError otherwise."""
        fields = BodyFields(body, "accepted")
        settings = ChunkSettings.from_wire(fields.map("chunk_settings"))
        return cls(Deployment.from_wire(body), fields.choice("mode", InferenceMode), settings)

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        agreed: RemoteMap = {"mode": self.mode.value, "chunk_settings": self.chunk_settings.to_wire()}
        return {**self.deployment.to_wire(), **agreed}


def _status_of(fields: BodyFields) -> DeploymentStatus | None:
    if not fields.has("session_status") and not fields.has("available"):
        return None
    return DeploymentStatus(
        is_available=fields.flag("available", default=True),
        failure=fields.optional_text("failure"),
        owner=SessionOwner.from_wire(fields.inner("session")) if fields.has("session") else SessionOwner(),
        word=fields.text("session_status", "idle"),
    )
