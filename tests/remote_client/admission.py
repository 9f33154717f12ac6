"""What a client asks for, and the checks of the original before and after it opens a session."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from vagus.errors import VagusError
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    CHUNK_ALIGNMENT_V1,
    CHUNK_ALIGNMENT_V2,
    CHUNK_BLENDING_V1,
    RTC_MODEL_SPACE_V1,
    ChunkBlend,
    ChunkMerge,
    ChunkSettings,
)
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding

__all__ = ["NotAdmittedError", "Wishes", "admitted"]


class NotAdmittedError(VagusError):
    """The client ends before it has a session."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Settings of a client, as its operator gives them.

    Attributes:
        deployment: name to look for.
        semantics: text that both sides must have alike.
        rate_hz: actions per second; None: the deployment's.
        instance_id: of one server; "": there is only one.
        mode: how it joins chunks.
        merge: likewise, in the mode chunk.
        is_generation_b: of the older generation, which tells the server how it blends.
        blend: what a client of generation B says of blending; None: it does not blend.
        encoding: of pictures.
    """

    deployment: str
    semantics: str
    rate_hz: float | None = None
    instance_id: str = ""
    mode: InferenceMode = InferenceMode.CHUNK
    merge: ChunkMerge = ChunkMerge.ALIGNED
    is_generation_b: bool = False
    blend: ChunkBlend | None = None
    encoding: PictureEncoding = PictureEncoding.RAW

    @property
    def is_aligned(self) -> bool:
        """Whether it aligns chunks."""
        return self.mode is InferenceMode.CHUNK and self.merge is ChunkMerge.ALIGNED

    @property
    def chunk_settings(self) -> ChunkSettings | None:
        """What it says of chunks; None unless it aligns."""
        if not self.is_aligned:
            return None
        blend = (self.blend or ChunkBlend(0, 1.0, ())) if self.is_generation_b else None
        return ChunkSettings(self.merge, blend)

    def required(self, deployment: Deployment) -> tuple[str, ...]:
        """Return the contracts that it needs."""
        capabilities = deployment.capabilities
        if self.is_aligned and self.is_generation_b:
            return (CHUNK_ALIGNMENT_V1, *((CHUNK_BLENDING_V1,) if self.blend is not None else ()))
        if self.is_aligned:
            return (CHUNK_ALIGNMENT_V2,)
        is_wider = capabilities.model_dim != capabilities.action_dim
        return (RTC_MODEL_SPACE_V1,) if self.mode is not InferenceMode.CHUNK and is_wider else ()


def admitted(ask: Callable[[str, bytes], tuple[bytes, ...]], wishes: Wishes) -> tuple[AcceptedSession, str]:
    """Find the server and open a session; return what was agreed, and the session's id.

    Args:
        ask: asks a key, and returns all answers.
        wishes: of the client.

    Raises:
        NotAdmittedError: the original would end here.
    """
    deployment = chosen(_described(ask, wishes.deployment), wishes)
    if wrong := wrong_in_descriptor(deployment, wishes):
        raise NotAdmittedError(f"incompatible: {wrong}")
    key = str(RemoteKey(RemotePlace.OPEN, deployment.name, deployment.instance_id))
    head = MessageHead(MessageType.OPEN, deployment.instance_id, request_id=uuid.uuid4().hex)
    answers = ask(key, encode_message(head, open_request(deployment, wishes).to_wire()))
    if len(answers) != 1:
        raise NotAdmittedError(f"open: {len(answers)} answers")
    answer, fields = decode_message(answers[0])
    if answer.kind is MessageType.ERROR:
        raise NotAdmittedError(f"open: {RemoteFault.from_wire(fields)}")
    accepted = AcceptedSession.from_wire(fields)
    ids = (answer.instance_id, answer.request_id)
    wrong = wrong_in_accepted(accepted, deployment, wishes)
    if ids != (head.instance_id, head.request_id) or not answer.session_id or wrong:
        raise NotAdmittedError(f"open: wrong {wrong or 'ids'}")
    return accepted, answer.session_id


def _described(ask: Callable[[str, bytes], tuple[bytes, ...]], name: str) -> list[Deployment]:
    head = MessageHead(MessageType.DESCRIBE, request_id=uuid.uuid4().hex)
    found = []
    for payload in ask(str(RemoteKey(RemotePlace.DESCRIBE, name)), encode_message(head, {})):
        answer, body = decode_message(payload)
        deployment = Deployment.from_wire(body)
        if answer.kind is not MessageType.DESCRIPTOR or answer.instance_id != deployment.instance_id:
            raise NotAdmittedError("describe: another answer")
        found.append(deployment)
    return found


def chosen(found: list[Deployment], wishes: Wishes) -> Deployment:
    """Return the server to open a session at; NotAdmittedError if it is not clear which."""
    wanted = [one for one in found if wishes.instance_id in ("", one.instance_id)]
    if len(wanted) != 1:
        raise NotAdmittedError(f"{len(wanted)} instances of {wishes.deployment} answered, wanted one")
    return wanted[0]


def wrong_in_descriptor(deployment: Deployment, wishes: Wishes) -> str:
    """Return why a client does not open a session; "": it does."""
    capabilities = deployment.capabilities
    interval_s = capabilities.action_interval_s if wishes.rate_hz is None else 1 / wishes.rate_hz
    checks = {
        "deployment": deployment.name == wishes.deployment,
        "semantics": deployment.semantics == wishes.semantics,
        "ready": deployment.is_ready,
        "mode": wishes.mode in capabilities.modes,
        "action_interval": math.isclose(capabilities.action_interval_s, interval_s, rel_tol=1e-6),
        "contracts": set(wishes.required(deployment)) <= set(deployment.contracts),
        "blendable_components": _may_blend(deployment, wishes),
        "representation": capabilities.action_representation == "canonical",
    }
    return ", ".join(name for name, is_right in checks.items() if not is_right)


def open_request(deployment: Deployment, wishes: Wishes) -> OpenRequest:
    """Return what the client asks for."""
    capabilities = deployment.capabilities
    return OpenRequest(
        expected_artifact=deployment.artifact_identity,
        features=capabilities.features,
        action_feature=capabilities.action_feature,
        semantics=wishes.semantics,
        action_interval_s=capabilities.action_interval_s,
        mode=wishes.mode,
        encoding=wishes.encoding,
        chunk_settings=wishes.chunk_settings,
        required_capabilities=wishes.required(deployment),
    )


def wrong_in_accepted(accepted: AcceptedSession, deployment: Deployment, wishes: Wishes) -> str:
    """Return why a client gives its session up; "": it does not."""
    checks = {
        "artifact_identity": accepted.deployment.artifact_identity == deployment.artifact_identity,
        "capabilities": accepted.deployment.capabilities == deployment.capabilities,
        "mode": accepted.mode is wishes.mode,
        "chunk_settings": wishes.chunk_settings in (None, accepted.chunk_settings),
        "blendable_components": _may_blend(accepted.deployment, wishes),
    }
    return ", ".join(name for name, is_right in checks.items() if not is_right)


def _may_blend(deployment: Deployment, wishes: Wishes) -> bool:
    named = () if wishes.blend is None or not wishes.is_generation_b else wishes.blend.components
    return set(named) <= set(deployment.blendable_components or ())
