"""What a session of a gateway holds, sends and asks for (pure)."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import TypeAlias

from vagus.integrations.lerobot_zenoh.v1.alignment import ReplyPlan
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import ControlAck, RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation, check_observation
from vagus.quoting import quoted
from vagus.types import FloatArray

__all__ = [
    "ClientState",
    "PendingRequest",
    "SentBody",
    "SentMessage",
    "SessionEffect",
    "actions_message",
    "acts_at",
    "check_asked",
    "fault_message",
]


class SessionEffect(enum.Enum):
    """What is to be done beside sending."""

    ASK = "ask"
    """Ask the policy for the pending request; tell `answered`, or let it become overdue."""
    RESET_EPISODE = "reset_episode"
    """Begin a new episode of the policy's session."""
    DROP_MOTION = "drop_motion"
    """Forget what was asked; its answer will not be sent."""
    END = "end"
    """Close the policy's session."""


class ClientState(enum.Enum):
    """What a session may do."""

    OPEN = "open"
    FAULTED = "faulted"
    """An error ended its run: controls are answered, observations are not."""
    CLOSED = "closed"


@dataclass(frozen=True, eq=False)
class PendingRequest:
    """An observation that has no answer yet.

    Attributes:
        head: of the observation.
        observation: the request.
        plan: how it is answered.
        arrived_ns: when it came.
        hold_due_ns: when a hold is sent; None: there is nothing to hold by.
    """

    head: MessageHead
    observation: RemoteObservation
    plan: ReplyPlan
    arrived_ns: int
    hold_due_ns: int | None


SentBody: TypeAlias = "ControlAck | RemoteActions | RemoteFault"


@dataclass(frozen=True, eq=False)
class SentMessage:
    """One message to the client; `is_hold` says that the actions are not the policy's."""

    place: RemotePlace
    head: MessageHead
    body: SentBody
    is_hold: bool = False


def acts_at(pending: PendingRequest, terms: AcceptedSession, now_ns: int) -> int:
    """Return the row of the chunk from which a reply acts that is sent now."""
    asked, interval_s = pending.observation, terms.deployment.capabilities.action_interval_s
    if pending.plan.first_row:  # it comes after all that the client has
        return pending.plan.first_row
    taken = asked.cursor if asked.observation_cursor is None else asked.observation_cursor
    return asked.cursor - taken + math.ceil((now_ns - pending.arrived_ns) / (interval_s * 1e9))


def check_asked(observation: RemoteObservation, terms: AcceptedSession) -> None:
    """Refuse an observation that is not what was agreed on; RemoteMessageError.

    The delay is a guess: a client that was answered slowly once may say more rows than a chunk has.
    """
    deployment = terms.deployment
    if observation.identity.artifact_identity != deployment.artifact_identity:
        raise RemoteMessageError(
            ErrorCode.INCOMPATIBLE,
            f"observation: artifact: wanted {deployment.artifact_identity}, "
            f"got {quoted(observation.identity.artifact_identity, 80)}",
        )
    check_observation(
        replace(observation, delay=min(observation.delay, deployment.capabilities.prediction_steps)),
        deployment.capabilities,
        is_aligned=terms.is_aligned,
        max_chars=deployment.limits.max_input_chars,
    )


def actions_message(pending: PendingRequest, rows: FloatArray, model: FloatArray | None) -> SentMessage:
    """Return the answer to a request: its rows, and what it must repeat."""
    asked = pending.observation
    is_aligned = asked.observation_cursor is not None
    body = RemoteActions(
        identity=asked.identity,
        canonical_actions=rows,
        model_actions=model,
        cursor=asked.cursor if is_aligned else None,
        observation_cursor=asked.observation_cursor,
    )
    return SentMessage(RemotePlace.ACTION, pending.head.answered(MessageType.ACTION), body)


def fault_message(head: MessageHead, place: RemotePlace, error: RemoteMessageError) -> SentMessage:
    """Return the answer that tells of an error."""
    return SentMessage(place, head.answered(MessageType.ERROR), RemoteFault.of(error))
