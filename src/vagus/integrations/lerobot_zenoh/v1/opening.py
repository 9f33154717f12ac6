"""Opening of a session: what a client asks for, and whether a deployment grants it (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    ALIGNMENTS,
    APPEND,
    CHUNK_ALIGNMENT_V1,
    RTC_MODEL_SPACE_V1,
    ChunkMerge,
    ChunkSettings,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode, RemoteCapabilities, RemoteFeature
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, RemoteValue
from vagus.quoting import quoted

__all__ = ["OpenRequest", "granted"]

_INTERVAL_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class OpenRequest:
    """What a client asks for.

    Attributes:
        expected_artifact: identity that the deployment must have; None: any.
        features: what it will send, in order.
        action_feature: what it will execute.
        semantics: as the operator stated them.
        action_interval_s: seconds from action to action.
        mode: how it joins chunks.
        encoding: how it sends pictures.
        chunk_settings: None unless it aligns.
        required_capabilities: names of contracts that it needs.
    """

    expected_artifact: str | None
    features: tuple[RemoteFeature, ...]
    action_feature: RemoteFeature
    semantics: str
    action_interval_s: float
    mode: InferenceMode
    encoding: PictureEncoding = PictureEncoding.RAW
    chunk_settings: ChunkSettings | None = None
    required_capabilities: tuple[str, ...] = ()

    @property
    def is_aligned(self) -> bool:
        """Whether rows are counted from the frame."""
        return self.chunk_settings is not None and self.chunk_settings.merge is ChunkMerge.ALIGNED

    @classmethod
    def from_wire(cls, body: ValueMap) -> OpenRequest:
        """Return the request of a body.

        Raises:
            RemoteMessageError: UNSUPPORTED for a mode, encoding or merge that is not known, else MALFORMED.
        """
        fields = BodyFields(body, "open")
        has_settings = fields.has("chunk_settings")
        return cls(
            expected_artifact=fields.optional_text("expected_artifact"),
            features=tuple(map(RemoteFeature.from_wire, fields.maps("features"))),
            action_feature=RemoteFeature.from_wire(fields.map("action_feature")),
            semantics=fields.text("semantics"),
            action_interval_s=fields.number("action_interval", least=0.0),
            mode=fields.choice("mode", InferenceMode, ErrorCode.UNSUPPORTED),
            encoding=fields.choice("encoding", PictureEncoding, ErrorCode.UNSUPPORTED),
            chunk_settings=ChunkSettings.from_wire(fields.map("chunk_settings")) if has_settings else None,
            required_capabilities=fields.texts("required_capabilities", ()),
        )

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        features: list[RemoteValue] = [feature.to_wire() for feature in self.features]
        body: RemoteMap = {
            "expected_artifact": self.expected_artifact,
            "features": features,
            "action_feature": self.action_feature.to_wire(),
            "semantics": self.semantics,
            "action_interval": self.action_interval_s,
            "mode": self.mode.value,
            "encoding": self.encoding.value,
        }
        if self.chunk_settings is not None:
            body["chunk_settings"] = self.chunk_settings.to_wire()
        if self.required_capabilities:
            body["required_capabilities"] = list(self.required_capabilities)
        return body


def granted(request: OpenRequest, deployment: Deployment) -> AcceptedSession:
    """Return what a deployment accepts; the chunk settings are those of the client.

    Raises:
        RemoteMessageError: UNSUPPORTED for a contract or mode that the deployment does not have; INCOMPATIBLE
            for other semantics, rate, artifact or features, or contracts that contradict the settings.
    """
    if missing := [name for name in request.required_capabilities if name not in deployment.contracts]:
        raise _refusal(
            "required_capabilities",
            f"some of {', '.join(deployment.contracts) or 'none'}",
            quoted(missing[0], 40),
            ErrorCode.UNSUPPORTED,
        )
    if request.mode not in deployment.capabilities.modes:
        offered = ", ".join(mode.value for mode in deployment.capabilities.modes)
        raise _refusal("mode", offered, request.mode.value, ErrorCode.UNSUPPORTED)
    _check_identity(request, deployment)
    _check_features(request, deployment.capabilities)
    _check_contracts(request, deployment)
    return AcceptedSession(deployment, request.mode, request.chunk_settings or APPEND)


def _check_identity(request: OpenRequest, deployment: Deployment) -> None:
    artifact, interval_s = request.expected_artifact, deployment.capabilities.action_interval_s
    if request.semantics != deployment.semantics:
        raise _refusal("semantics", quoted(deployment.semantics, 80), quoted(request.semantics, 80))
    if artifact is not None and artifact != deployment.artifact_identity:
        raise _refusal("artifact", quoted(deployment.artifact_identity, 80), quoted(artifact, 80))
    if not math.isclose(request.action_interval_s, interval_s, rel_tol=_INTERVAL_TOLERANCE):
        raise _refusal("action_interval", f"{interval_s:g} s", f"{request.action_interval_s:g} s")


def _check_features(request: OpenRequest, capabilities: RemoteCapabilities) -> None:
    if request.features != capabilities.features:
        raise _refusal("features", _names(capabilities.features), _names(request.features))
    if request.action_feature != capabilities.action_feature:
        raise _refusal("action_feature", _told(capabilities.action_feature), _told(request.action_feature))


def _check_contracts(request: OpenRequest, deployment: Deployment) -> None:
    required = request.required_capabilities
    alignments = [name for name in required if name in ALIGNMENTS]
    settings = request.chunk_settings or APPEND
    if request.is_aligned and request.mode is not InferenceMode.CHUNK:
        raise _refusal("chunk_settings", f"append in the mode {request.mode.value}", "aligned")
    if len(alignments) != (1 if request.is_aligned else 0):
        raise _refusal(
            "required_capabilities", "one alignment exactly where chunks are aligned", str(alignments)
        )
    if settings.blend is not None and CHUNK_ALIGNMENT_V1 not in required:
        raise _refusal("chunk_settings", f"a blend only with {CHUNK_ALIGNMENT_V1}", "another contract")
    allowed = deployment.blendable_components or ()
    if settings.blend is not None and (spare := set(settings.blend.components) - set(allowed)):
        raise _refusal("blend_components", f"some of {', '.join(allowed)}", quoted(min(spare), 40))
    capabilities = deployment.capabilities
    has_own_rows = (
        request.mode is not InferenceMode.CHUNK and capabilities.model_dim != capabilities.action_dim
    )
    if has_own_rows and RTC_MODEL_SPACE_V1 not in required:
        raise _refusal("required_capabilities", RTC_MODEL_SPACE_V1, "a list without it")


def _names(features: tuple[RemoteFeature, ...]) -> str:
    return quoted("; ".join(map(_told, features)), 300)


def _told(feature: RemoteFeature) -> str:
    return f"{feature.name} {feature.dtype} {feature.shape} {' '.join(feature.names)} ({feature.semantics})"


def _refusal(
    name: str, wanted: str, got: str, code: ErrorCode = ErrorCode.INCOMPATIBLE
) -> RemoteMessageError:
    return RemoteMessageError(code, f"open: {name}: wanted {wanted}, got {quoted(got, 300)}")
