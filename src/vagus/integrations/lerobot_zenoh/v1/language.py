"""Questions about an observation, and their answers (pure).

A server without language answers `unsupported`, which does no client any harm.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, FrameIdentity, features_of
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap

__all__ = ["LanguageKind", "LanguageRequest", "LanguageResult"]


class LanguageKind(enum.Enum):
    """What is asked."""

    VQA = "vqa"
    """Something about the picture."""
    NEXT_SUBTASK = "next_subtask"


@dataclass(frozen=True, eq=False, kw_only=True)
class LanguageRequest:
    """A question.

    Attributes:
        sequence: as of an observation; both are counted together.
        identity: what the answer repeats.
        features: tensors and pictures by name.
        kind: what is asked.
        text: the question.
        intent_generation: counts the operator's wishes.
    """

    sequence: int
    identity: FrameIdentity
    features: FrameFeatures
    kind: LanguageKind
    text: str
    intent_generation: int

    @classmethod
    def from_wire(cls, body: ValueMap) -> LanguageRequest:
        """Return the question of a body; RemoteMessageError: UNSUPPORTED for another kind, else MALFORMED."""
        fields = BodyFields(body, "language_request")
        return cls(
            sequence=fields.whole("sequence"),
            identity=FrameIdentity.from_wire(fields),
            features=features_of(fields),
            kind=fields.choice("kind", LanguageKind, ErrorCode.UNSUPPORTED),
            text=fields.text("text"),
            intent_generation=fields.whole("intent_generation"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        return {
            "sequence": self.sequence,
            **self.identity.to_wire(),
            "features": dict(self.features),
            "kind": self.kind.value,
            "text": self.text,
            "intent_generation": self.intent_generation,
        }


@dataclass(frozen=True, kw_only=True)
class LanguageResult:
    """An answer.

    Attributes:
        identity: that of the question.
        answer: not blank.
        kind: that of the question.
        intent_generation: that of the question.
        duration_s: how long it took.
        server_durations_s: how long parts took, for people.
    """

    identity: FrameIdentity
    answer: str
    kind: LanguageKind
    intent_generation: int
    duration_s: float
    server_durations_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, body: ValueMap) -> LanguageResult:
        """Return the answer of a body; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(body, "language_result")
        answer = fields.text("answer")
        if not answer.strip():
            raise fields.refusal("answer", "a text that is not blank", "a blank one")
        return cls(
            identity=FrameIdentity.from_wire(fields),
            answer=answer,
            kind=fields.choice("kind", LanguageKind),
            intent_generation=fields.whole("intent_generation"),
            duration_s=fields.number("duration_s", least=0.0),
            server_durations_s=fields.numbers("server_durations"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        durations: RemoteMap = dict(self.server_durations_s)
        return {
            **self.identity.to_wire(),
            "answer": self.answer,
            "kind": self.kind.value,
            "intent_generation": self.intent_generation,
            "duration_s": self.duration_s,
            "server_durations": durations,
        }
