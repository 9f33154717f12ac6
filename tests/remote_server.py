"""A server of LeRobot's remote inference in the shape of the reference; it misbehaves when it is told to.

One session, and one worker, which does one thing after the other: a control waits while actions are computed.
After a fault a session answers nothing but `stale`, and a client that vanishes blocks the server for a while.
"""

from __future__ import annotations

import queue
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    CHUNK_ALIGNMENT_V1,
    CHUNK_ALIGNMENT_V2,
    CHUNK_BLENDING_V1,
    RTC_MODEL_SPACE_V1,
)
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
    RemoteFault,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import (
    AcceptedSession,
    Deployment,
    DeploymentStatus,
    SessionOwner,
)
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import (
    ACTION,
    FeatureKind,
    InferenceMode,
    RemoteCapabilities,
    RemoteFeature,
)
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation, check_observation
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest, granted
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.threads import Supervised
from vagus.transport.link import Delivery, Query, Sample
from vagus.transport.plain_link import PlainLink
from vagus.types import FloatArray

DEPLOYMENT = "arm"
SEMANTICS = "sim, absolute positions in radians"
GARBAGE = b"\xc1 this is no msgpack"
MARK = np.float32(1.2345e33)
"""Stands for NaN until a message is encoded, which an honest encoder refuses."""
PRESENCE_S = 5.0
"""Longest wait for the client's subscribers before the first control is acknowledged."""
CONTRACTS = {
    "A": (),
    "B": (CHUNK_ALIGNMENT_V1, CHUNK_BLENDING_V1),
    "C": (CHUNK_ALIGNMENT_V2, RTC_MODEL_SPACE_V1),
}

Act = Callable[[RemoteObservation], FloatArray]
"""Returns the rows of a reply in the robot's units; what it raises becomes an error of the session."""


def deployment_of(
    names: tuple[str, ...],
    *,
    rate_hz: float,
    steps: int,
    artifact: str = "sha256:a",
    instance_id: str = "",
    generation: str = "C",
    modes: tuple[InferenceMode, ...] = (InferenceMode.CHUNK,),
    pictures: tuple[RemoteFeature, ...] = (),
    model_dim: int | None = None,
    training_max_delay: int = 0,
) -> Deployment:
    """Return a deployment whose state is the action's, and maybe some pictures."""
    vector = RemoteFeature("observation.state", (len(names),), "float32", FeatureKind.TENSOR, names, "rad")
    return Deployment(
        name=DEPLOYMENT,
        instance_id=instance_id or secrets.token_hex(16),
        artifact_identity=artifact,
        semantics=SEMANTICS,
        capabilities=RemoteCapabilities(
            modes=modes,
            prediction_steps=steps + 4,
            execution_steps=steps,
            action_interval_s=1.0 / rate_hz,
            features=(vector, *pictures),
            action_feature=replace(vector, name=ACTION),
            rtc_horizon=0 if modes == (InferenceMode.CHUNK,) else 4,
            model_action_dim=model_dim,
            training_max_delay=training_max_delay,
        ),
        contracts=CONTRACTS[generation],
        blendable_components=names if generation == "B" else None,
        software={"lerobot_version": "test"},
    )


@dataclass
class _Owner:
    """The one session."""

    id: str
    accepted: AcceptedSession
    declared: ExitStack = field(default_factory=ExitStack)
    generation: int = 0
    sequence: int = -1
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=128))
    is_present: bool | None = None
    absent_s: float = field(default_factory=time.monotonic)
    is_faulted: bool = False
    is_computing: bool = False


class RemoteServer:
    """One server. What it is told in `wish` decides how it misbehaves.

    Args:
        link: link to its clients.
        deployment: what it serves.
        act: the policy.
        wish: returns the word of the hour.
        idle_timeout_s: how long a client that has vanished blocks it.
    """

    def __init__(
        self,
        link: PlainLink,
        deployment: Deployment,
        act: Act,
        wish: Callable[[], str] = str,
        *,
        idle_timeout_s: float = 10.0,
    ) -> None:
        self.deployment = deployment
        self.heard: list[RemoteObservation] = []
        self.opened: list[OpenRequest] = []
        self.controls: list[tuple[ControlOperation, int]] = []
        self.refused: list[ErrorCode] = []
        self._link, self._act, self.wish = link, act, wish
        self._idle_timeout_s = idle_timeout_s
        self._owner: _Owner | None = None
        self._is_dead = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._declared = ExitStack()

    @property
    def is_owned(self) -> bool:
        """Whether a session is there."""
        return self._owner is not None

    def start(self) -> None:
        """Serve."""
        Supervised(self._work, name="remote-server").start()
        link = self._link
        for declaration in (
            link.serve(
                self._key(RemotePlace.DESCRIBE), lambda query: self._jobs.put(lambda: self._describe(query))
            ),
            link.serve(self._key(RemotePlace.OPEN), lambda query: self._jobs.put(lambda: self._open(query))),
            link.token(self._key(RemotePlace.SERVER_ALIVE)),
        ):
            self._declared.callback(declaration.undeclare)

    def close(self) -> None:
        """Be gone, at once."""
        self._declared.close()
        self._end_session()
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _key(self, place: RemotePlace, session_id: str = "") -> str:
        instance = "" if place is RemotePlace.DESCRIBE else self.deployment.instance_id
        return str(RemoteKey(place, self.deployment.name, instance, session_id))

    def _described(self) -> Deployment:
        self._forget_absent()
        is_available = self._owner is None and self.wish() != "busy" and not self._is_dead
        owner = SessionOwner(owner=None if self._owner is None else self._owner.id)
        status = DeploymentStatus(
            is_available=is_available,
            failure="the policy's reset has failed" if self._is_dead else None,
            owner=owner,
            word="idle" if is_available else "active",
        )
        return replace(
            self.deployment, status=status, is_ready=not self._is_dead and self.wish() != "unready"
        )

    def _describe(self, query: Query) -> None:
        head = _opened(query.payload)
        if head is None or self.wish() == "mute":
            query.drop()
            return
        if self.wish() == "garbage_descriptor":
            query.reply(GARBAGE)
            return
        answer = replace(head[0], kind=MessageType.DESCRIPTOR, instance_id=self.deployment.instance_id)
        query.reply(encode_message(answer, self._described().to_wire()))

    def _open(self, query: Query) -> None:
        opened = _opened(query.payload)
        if opened is None:
            query.drop()
            return
        head, body = opened
        try:
            query.reply(self._admitted(head, body))
        except RemoteMessageError as error:
            query.reply(self._error(head, error))

    def _admitted(self, head: MessageHead, body: ValueMap) -> bytes:
        if head.kind is not MessageType.OPEN:
            raise RemoteMessageError(ErrorCode.MALFORMED, "not an open")
        if head.instance_id != self.deployment.instance_id:
            raise RemoteMessageError(ErrorCode.STALE, "another boot")
        request = OpenRequest.from_wire(body)
        self.opened.append(request)
        self._forget_absent()
        if self._owner is not None or self.wish() == "busy":
            raise _BusyError(self._blocker(), self._remaining_s())
        accepted = granted(request, self._described())
        self._owner = owner = _Owner(secrets.token_hex(16), accepted)
        link = self._link
        for declaration in (
            link.serve(self._key(RemotePlace.CONTROL, owner.id), self._on_control),
            link.subscribe(self._key(RemotePlace.OBSERVATION, owner.id), self._on_observation),
            link.subscribe(self._key(RemotePlace.LANGUAGE_REQUEST, owner.id), lambda _: None),
            link.watch(self._key(RemotePlace.CLIENT_ALIVE, owner.id), self._on_presence),
        ):
            owner.declared.callback(declaration.undeclare)
        answer = replace(head, kind=MessageType.ACCEPTED, session_id=owner.id)
        told = accepted
        if self.wish() == "other_artifact":
            told = replace(accepted, deployment=replace(accepted.deployment, artifact_identity="sha256:x"))
        said = told.to_wire()
        if self.wish() == "newer":
            said["mode"] = "a mode that nobody knows yet"
        return encode_message(answer, said)

    def _blocker(self) -> str:
        if self._owner is None or self._owner.is_present:
            return "active_session"
        return "awaiting_initial_presence" if self._owner.is_present is None else "absence_grace"

    def _remaining_s(self) -> float | None:
        if self._owner is None or self._owner.is_present:
            return None
        return max(0.0, self._owner.absent_s + self._idle_timeout_s - time.monotonic())

    def _forget_absent(self) -> None:
        if self._remaining_s() == 0.0:
            self._end_session()

    def _end_session(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.declared.close()

    def _on_presence(self, _: str, is_alive: bool) -> None:
        owner = self._owner
        if owner is not None:
            owner.is_present, owner.absent_s = is_alive, time.monotonic()

    def _on_control(self, query: Query) -> None:
        self._jobs.put(lambda: self._control(query))

    def _control(self, query: Query) -> None:
        opened = _opened(query.payload)
        owner = self._owner
        if opened is None or owner is None:
            query.drop()
            return
        head, body = opened
        try:
            answer = self._controlled(owner, head, ControlRequest.from_wire(body).operation)
        except RemoteMessageError as error:
            query.reply(self._error(head, error))
            return
        if answer is None:
            query.drop()
            return
        query.reply(encode_message(head.answered(MessageType.ACK), answer.to_wire()))

    def _controlled(self, owner: _Owner, head: MessageHead, operation: ControlOperation) -> ControlAck | None:
        self.controls.append((operation, head.generation))
        if operation is ControlOperation.CLOSE:
            self._end_session()
            return ControlAck(operation, head.generation)
        if head.generation < owner.generation:
            raise RemoteMessageError(ErrorCode.STALE, "an older generation")
        if head.generation == 0 and not self._sees_subscribers(owner):
            return None
        if operation is ControlOperation.RESET and self.wish() == "dead":
            self._is_dead = True
            raise RemoteMessageError(ErrorCode.EXECUTION, "the policy's reset has failed")
        owner.generation = head.generation
        return ControlAck(operation, owner.generation)

    def _sees_subscribers(self, owner: _Owner) -> bool:
        for place in (RemotePlace.ACTION, RemotePlace.LANGUAGE_RESULT):
            end_s = time.monotonic() + PRESENCE_S
            while not self._link.is_heard(self._key(place, owner.id)):
                if time.monotonic() > end_s:
                    return False
                time.sleep(0.005)
        return True

    def _on_observation(self, sample: Sample) -> None:
        """Take an observation, on a thread of the link."""
        opened, owner = _opened(sample.payload), self._owner
        if opened is None or owner is None:
            return
        head, body = opened
        try:
            observation = self._taken(owner, head, body)
        except RemoteMessageError as error:
            self._send(owner, self._error(head, error))
            return
        owner.is_computing = True
        self._jobs.put(lambda: self._answer(owner, head, observation))

    def _taken(self, owner: _Owner, head: MessageHead, body: ValueMap) -> RemoteObservation:
        if owner.is_computing or head.kind is not MessageType.OBSERVATION or self.wish() == "busy":
            raise RemoteMessageError(ErrorCode.BUSY, "another observation is computed")
        if owner.is_faulted or head.generation != owner.generation or head.request_id in owner.seen:
            raise RemoteMessageError(ErrorCode.STALE, "faulted, another generation, or seen before")
        observation = RemoteObservation.from_wire(body)
        if observation.sequence <= owner.sequence:
            raise RemoteMessageError(ErrorCode.STALE, "the sequence does not rise")
        accepted = owner.accepted
        check_observation(
            observation,
            accepted.deployment.capabilities,
            is_aligned=accepted.is_aligned,
            max_chars=accepted.deployment.limits.max_input_chars,
        )
        owner.sequence = observation.sequence
        owner.seen.append(head.request_id)
        return observation

    def _answer(self, owner: _Owner, head: MessageHead, observation: RemoteObservation) -> None:
        self.heard.append(observation)
        begun_s = time.monotonic()
        try:
            message = self._computed(owner, head, observation)
            _check_time(begun_s, owner.accepted.deployment.limits.action_deadline_s)
        except RemoteMessageError as error:
            owner.is_faulted = True
            message = self._error(head, error)
        except Exception as error:  # noqa: BLE001 - as the original: its text goes to the client
            owner.is_faulted = True
            message = self._error(head, RemoteMessageError(ErrorCode.EXECUTION, str(error)))
        owner.is_computing = False
        if message:
            self._send(owner, message)

    def _computed(self, owner: _Owner, head: MessageHead, observation: RemoteObservation) -> bytes:
        wish = self.wish()
        if wish.startswith("code "):
            raise RemoteMessageError(ErrorCode(wish.removeprefix("code ")), "told to fail")
        rows = np.asarray(self._act(observation), np.float32)[: owner.accepted.steps]
        if wish == "garbage":
            return GARBAGE
        if wish == "silent":
            return b""
        rows = rows[:-1] if wish == "short" else rows
        answer = self._actions(owner, observation, np.where(np.isnan(rows), MARK, rows).astype(np.float32))
        if wish == "identity":
            answer = replace(answer, identity=replace(answer.identity, capture_time_s=1.0))
        if wish == "cursor":
            answer = replace(answer, cursor=7777, observation_cursor=7777)
        if wish == "generation":
            head = replace(head, generation=head.generation + 1)
        if wish == "no_model":
            answer = replace(answer, model_actions=None)
        message = encode_message(head.answered(MessageType.ACTION), answer.to_wire())
        return message.replace(MARK.tobytes(), np.float32(np.nan).tobytes())

    def _actions(self, owner: _Owner, observation: RemoteObservation, rows: FloatArray) -> RemoteActions:
        is_chunk = owner.accepted.mode is InferenceMode.CHUNK
        extra = owner.accepted.deployment.capabilities.model_dim - rows.shape[1]
        model = None if is_chunk else np.pad(0.5 * rows, ((0, 0), (0, max(extra, 0))), constant_values=7.0)
        is_aligned = owner.accepted.is_aligned
        return RemoteActions(
            identity=observation.identity,
            canonical_actions=rows,
            model_actions=model,
            cursor=observation.cursor if is_aligned else None,
            observation_cursor=observation.observation_cursor if is_aligned else None,
            server_durations_s={"policy": 0.01},
        )

    def _send(self, owner: _Owner, message: bytes) -> None:
        key = self._key(RemotePlace.ACTION, owner.id)
        self._link.publish(key, header=b"", payload=message, delivery=Delivery.OBSERVATION)

    def _error(self, head: MessageHead, error: RemoteMessageError) -> bytes:
        self.refused.append(error.code)
        details: RemoteMap = error.details if isinstance(error, _BusyError) else {}
        fault = replace(RemoteFault.of(error), details=details)
        return encode_message(head.answered(MessageType.ERROR), fault.to_wire())


class _BusyError(RemoteMessageError):
    """No room: why, and for how long."""

    def __init__(self, blocker: str, remaining_s: float | None) -> None:
        self.details: RemoteMap = {
            "admission_blocker": blocker,
            "absence_grace_remaining_s": remaining_s,
        }
        super().__init__(ErrorCode.BUSY, "there is a session")


def _check_time(begun_s: float, deadline_s: float) -> None:
    if time.monotonic() - begun_s > deadline_s:
        raise RemoteMessageError(ErrorCode.TIMEOUT, "the actions took too long")


def _opened(payload: bytes) -> tuple[MessageHead, ValueMap] | None:
    """Return a message, or None: what cannot be read gets no answer."""
    try:
        return decode_message(payload)
    except ProtocolError:
        return None
