"""Observations and actions of a session (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vagus.gateways.msgpack import AnyArray, Value, ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, RemoteCapabilities, RemoteFeature
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.pictures import RemotePicture
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, picture_in
from vagus.quoting import quoted
from vagus.types import FloatArray

__all__ = [
    "FrameFeatures",
    "FrameIdentity",
    "RemoteActions",
    "RemoteObservation",
    "check_features",
    "check_observation",
    "features_of",
]

FrameFeatures = Mapping[str, "AnyArray | RemotePicture"]
"""Tensors and pictures of an observation by name."""
_MOST_STEPS: Final = 16384
"""Largest delay, and most actions between a frame and its question: such a frame is too old for every client,
and no request fills the memory."""


@dataclass(frozen=True)
class FrameIdentity:
    """What an answer repeats unchanged.

    Attributes:
        artifact_identity: that of the deployment.
        observation_id: made by the client.
        capture_time_s: on the client's own clock; only the client knows what it means.
        task: instruction; may be empty.
        task_version: counts changes of the task.
    """

    artifact_identity: str
    observation_id: str
    capture_time_s: float
    task: str
    task_version: int

    @classmethod
    def from_wire(cls, fields: BodyFields) -> FrameIdentity:
        """Return the identity in a body; RemoteMessageError (MALFORMED) otherwise."""
        return cls(
            fields.text("artifact_identity"),
            fields.text("observation_id"),
            fields.number("capture_time"),
            fields.text("task", least=0),
            fields.whole("task_version"),
        )

    def to_wire(self) -> RemoteMap:
        """Return its fields."""
        return {
            "artifact_identity": self.artifact_identity,
            "observation_id": self.observation_id,
            "capture_time": self.capture_time_s,
            "task": self.task,
            "task_version": self.task_version,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteObservation:
    """One request for actions.

    Attributes:
        sequence: rises from request to request of a session, questions included.
        identity: what the answer repeats.
        features: tensors and pictures by name.
        delay: rows that will have been executed when the answer comes, as the client guesses.
        model_continuation: rows not executed yet, in the model's units, (n, model_dim) float32.
        canonical_continuation: the same rows in the robot's units, (n, action_dim) float32.
        cursor: actions executed in this generation when the request was made.
        observation_cursor: the same when the frame was taken; None unless chunks are aligned.
    """

    sequence: int
    identity: FrameIdentity
    features: FrameFeatures
    delay: int = 0
    model_continuation: FloatArray | None = None
    canonical_continuation: FloatArray | None = None
    cursor: int = 0
    observation_cursor: int | None = None

    @property
    def continuation_rows(self) -> int:
        """Rows of the continuation."""
        rows = self.canonical_continuation
        return 0 if rows is None else len(rows)

    @classmethod
    def from_wire(cls, body: ValueMap) -> RemoteObservation:
        """Return the observation of a body.

        Raises:
            RemoteMessageError: MALFORMED; also for continuations of different length, and for a request that
                was made before its frame.
        """
        fields = BodyFields(body, "observation")
        model, canonical = fields.rows("model_continuation"), fields.rows("canonical_continuation")
        if (None if model is None else len(model)) != (None if canonical is None else len(canonical)):
            raise fields.refusal("continuations", "as many rows in both", "different numbers")
        cursor, taken = fields.whole("cursor", 0), fields.optional_whole("observation_cursor")
        if taken is not None and taken > cursor:
            raise fields.refusal("observation_cursor", f"at most the cursor, {cursor}", str(taken))
        return cls(
            sequence=fields.whole("sequence"),
            identity=FrameIdentity.from_wire(fields),
            features=features_of(fields),
            delay=fields.whole("delay", most=_MOST_STEPS),
            model_continuation=model,
            canonical_continuation=canonical,
            cursor=cursor,
            observation_cursor=taken,
        )

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        body: RemoteMap = {
            "sequence": self.sequence,
            **self.identity.to_wire(),
            "features": dict(self.features),
            "delay": self.delay,
            "model_continuation": self.model_continuation,
            "canonical_continuation": self.canonical_continuation,
            "cursor": self.cursor,
        }
        if self.observation_cursor is not None:
            body["observation_cursor"] = self.observation_cursor
        return body


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteActions:
    """The answer to an observation.

    Attributes:
        identity: that of the observation.
        canonical_actions: in the robot's units, (steps, action_dim) float32.
        model_actions: in the model's units, (steps, model_dim) float32; None in the mode chunk.
        cursor: that of the observation; None unless chunks are aligned.
        observation_cursor: likewise.
        server_durations_s: how long parts took, for people.
    """

    identity: FrameIdentity
    canonical_actions: FloatArray
    model_actions: FloatArray | None = None
    cursor: int | None = None
    observation_cursor: int | None = None
    server_durations_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, body: ValueMap) -> RemoteActions:
        """Return the actions of a body; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(body, "action")
        canonical, model = fields.rows("canonical_actions"), fields.rows("model_actions")
        if canonical is None:
            raise fields.refusal("canonical_actions", "a tensor (steps, width)", "nil or none")
        fields.whole("execution_steps", least=len(canonical), most=len(canonical))
        if model is not None and len(model) != len(canonical):
            raise fields.refusal("model_actions", f"{len(canonical)} rows", str(len(model)))
        cursor, taken = fields.optional_whole("cursor"), fields.optional_whole("observation_cursor")
        if (cursor is None) != (taken is None):
            raise fields.refusal("cursor", "both cursors or neither", "one of them")
        return cls(
            identity=FrameIdentity.from_wire(fields),
            canonical_actions=canonical,
            model_actions=model,
            cursor=cursor,
            observation_cursor=taken,
            server_durations_s=fields.numbers("server_durations"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the body."""
        body = self.identity.to_wire()
        if self.observation_cursor is not None:
            body["observation_cursor"], body["cursor"] = self.observation_cursor, self.cursor
        body["canonical_actions"] = self.canonical_actions
        body["model_actions"] = self.model_actions
        body["execution_steps"] = len(self.canonical_actions)
        durations: RemoteMap = dict(self.server_durations_s)
        body["server_durations"] = durations
        return body


def features_of(fields: BodyFields) -> FrameFeatures:
    """Return the tensors and pictures of a body; RemoteMessageError (MALFORMED) for another value."""
    features: dict[str, AnyArray | RemotePicture] = {}
    for name, value in fields.map("features").items():
        record = _record(value)
        if record is None:
            raise fields.refusal("features", "tensors and pictures", f"another value at {quoted(name, 40)}")
        features[str(name)] = record
    return features


def check_observation(
    observation: RemoteObservation, capabilities: RemoteCapabilities, *, is_aligned: bool, max_chars: int
) -> None:
    """Refuse an observation that does not fit its session; pictures are not decompressed.

    Args:
        observation: the request.
        capabilities: what the session's deployment takes.
        is_aligned: whether the session aligns chunks.
        max_chars: longest task.

    Raises:
        RemoteMessageError: INCOMPATIBLE for features, else MALFORMED.
    """
    check_features(observation.features, capabilities.features)
    most = capabilities.prediction_steps
    if len(observation.identity.task) > max_chars:
        raise _malformed("task", f"at most {max_chars} characters", str(len(observation.identity.task)))
    if observation.delay > most or observation.continuation_rows > most:
        got = f"{observation.delay} and {observation.continuation_rows}"
        raise _malformed("delay, continuation", f"at most {most} rows", got)
    taken = observation.observation_cursor
    if is_aligned and taken is None:
        raise _malformed("observation_cursor", "one, because chunks are aligned", "none")
    if taken is not None and observation.cursor - taken > _MOST_STEPS:
        wanted = f"at most {_MOST_STEPS} below the cursor, {observation.cursor}"
        raise _malformed("observation_cursor", wanted, str(taken))
    _check_width("model_continuation", observation.model_continuation, capabilities.model_dim)
    _check_width("canonical_continuation", observation.canonical_continuation, capabilities.action_dim)


def check_features(features: FrameFeatures, wanted: tuple[RemoteFeature, ...]) -> None:
    """Refuse features of another name, shape or element type; RemoteMessageError (INCOMPATIBLE)."""
    by_name = {feature.name: feature for feature in wanted}
    if different := sorted(by_name.keys() ^ features.keys()):
        raise _incompatible("features", ", ".join(by_name), f"{quoted(different[0], 40)} missing or spare")
    for name, feature in by_name.items():
        value = features[name]
        dtype = "uint8" if isinstance(value, RemotePicture) else value.dtype.name
        is_form = feature.kind is FeatureKind.RGB or not isinstance(value, RemotePicture)
        if value.shape != feature.shape or dtype != feature.dtype or not is_form:
            raise _incompatible(name, f"{feature.dtype} {feature.shape}", f"{dtype} {value.shape}")


def _record(value: Value) -> AnyArray | RemotePicture | None:
    return value if isinstance(value, np.ndarray) else picture_in(value)


def _check_width(name: str, rows: FloatArray | None, width: int) -> None:
    if rows is not None and rows.shape[1] != width:
        raise _malformed(name, f"rows of {width}", str(rows.shape[1]))


def _malformed(name: str, wanted: str, got: str) -> RemoteMessageError:
    return RemoteMessageError(ErrorCode.MALFORMED, f"observation: {name}: wanted {wanted}, got {got}")


def _incompatible(name: str, wanted: str, got: str) -> RemoteMessageError:
    return RemoteMessageError(
        ErrorCode.INCOMPATIBLE, f"observation: {quoted(name, 40)}: wanted {quoted(wanted, 300)}, got {got}"
    )
