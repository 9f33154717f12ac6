"""Questions of a robot in a session, and the answers to them, checked (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vagus.errors import LinkError, PolicyError, ProtocolError
from vagus.gateways.msgpack import AnyArray, Value, ValueMap
from vagus.gateways.neutral import ForeignRtc, WirePath
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, InferenceMode, RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.motion import (
    FrameFeatures,
    RemoteActions,
    RemoteObservation,
)
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture, picture_of
from vagus.quoting import quoted
from vagus.types import FloatArray

__all__ = ["RemoteFaultError", "SentQuestion", "frame_of", "with_plan"]


class RemoteFaultError(LinkError):
    """A server refuses, or a session has failed; `code` and `details` are for programs."""

    def __init__(self, fault: RemoteFault) -> None:
        """Take the error as the server sent it."""
        self.code = fault.code
        self.details = fault.details
        super().__init__(f"the server says: {fault.code.value}, {quoted(fault.message, 300)}")


@dataclass(frozen=True, eq=False)
class SentQuestion:
    """An observation on its way.

    Attributes:
        head: ids and generation; `request_id` is new.
        observation: what is sent.
        accepted: the session.
    """

    head: MessageHead
    observation: RemoteObservation
    accepted: AcceptedSession

    def to_wire(self) -> bytes:
        """Return the message; ProtocolError for what no server would take."""
        return encode_message(self.head, self.observation.to_wire())

    def answered_by(self, payload: bytes) -> RemoteActions | None:
        """Return the actions in a message; None: it answers an earlier question.

        Raises:
            ProtocolError: it is no answer, or other actions than the session's.
            RemoteFaultError: the session has failed.
            PolicyError: the server still computes an earlier question; the session goes on.
        """
        head, body = decode_message(payload)
        if head.answered(MessageType.ACTION) != self.head.answered(MessageType.ACTION):
            return None
        if head.kind is MessageType.ERROR:
            fault = RemoteFaultError(RemoteFault.from_wire(body))
            raise PolicyError(str(fault)) if fault.code is ErrorCode.BUSY else fault
        if head.kind is not MessageType.ACTION:
            raise ProtocolError(f"answer: wanted actions, got {head.kind.value}")
        return self._checked(body)

    def _checked(self, body: ValueMap) -> RemoteActions:
        actions, asked = RemoteActions.from_wire(body), self.observation
        if actions.identity != asked.identity:
            raise ProtocolError("answer: wanted the identity of the observation, got another")
        taken = (asked.cursor, asked.observation_cursor)
        if self.accepted.is_aligned and (actions.cursor, actions.observation_cursor) != taken:
            raise ProtocolError("answer: wanted the cursors of the observation, got others")
        capabilities, steps = self.accepted.deployment.capabilities, self.accepted.steps
        _check_rows("canonical_actions", actions.canonical_actions, (steps, capabilities.action_dim))
        if self.accepted.mode is not InferenceMode.CHUNK:
            _check_rows("model_actions", actions.model_actions, (steps, capabilities.model_dim))
        return actions


def frame_of(
    values: Mapping[WirePath, Value], capabilities: RemoteCapabilities, encoding: PictureEncoding
) -> FrameFeatures:
    """Return the features of an observation, in the order of the deployment.

    Raises:
        PolicyError: one is missing or of another form.
    """
    features: dict[str, AnyArray | RemotePicture] = {}
    for feature in capabilities.features:
        value = values.get((feature.name,))
        if not isinstance(value, np.ndarray) or value.shape != feature.shape or value.dtype != feature.dtype:
            raise PolicyError(f"observation: wanted {feature.name}, {feature.dtype} {feature.shape}")
        if feature.kind is FeatureKind.RGB:
            features[feature.name] = picture_of(value.astype(np.uint8, copy=False), encoding)
        else:
            features[feature.name] = value
    return features


def with_plan(
    rtc: ForeignRtc | None, accepted: AcceptedSession
) -> tuple[FloatArray | None, FloatArray | None, int]:
    """Return the running plan as the server wants it: model rows, canonical rows, and the delay.

    Raises:
        PolicyError: the answer would come later than a model that was trained for a delay knows how to join.
    """
    if accepted.mode is InferenceMode.CHUNK or rtc is None or rtc.prefix is None or rtc.model_prefix is None:
        return None, None, 0
    capabilities = accepted.deployment.capabilities
    rows = min(len(rtc.prefix), len(rtc.model_prefix), capabilities.prediction_steps)
    if not rows:
        return None, None, 0
    delay, most = min(rtc.inference_delay or 0, rows), capabilities.training_max_delay
    if accepted.mode is InferenceMode.RTC_TRAINED and delay > most:
        raise PolicyError(
            f"the model was trained for a delay of {most} steps at most, and this one is {delay}"
        )
    return rtc.model_prefix[:rows], rtc.prefix[:rows].astype(np.float32), delay


def _check_rows(name: str, rows: FloatArray | None, shape: tuple[int, int]) -> None:
    if rows is None or rows.shape != shape:
        got = "none" if rows is None else f"{rows.shape}"
        raise ProtocolError(f"answer: {name}: wanted {shape}, got {got}")
