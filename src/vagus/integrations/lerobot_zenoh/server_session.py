"""Session of a robot of ours at a server of LeRobot's remote inference, from its opening to its close."""

from __future__ import annotations

import queue
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Final

from vagus.clock import NS_PER_S, monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import LinkError, PolicyError, ProtocolError, QueryTimeoutError
from vagus.gateways.foreign_server import Asked
from vagus.gateways.neutral import ForeignReply, WirePath
from vagus.integrations.lerobot_zenoh.connection import DeploymentLine, new_id
from vagus.integrations.lerobot_zenoh.v1.control import ControlOperation
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType
from vagus.integrations.lerobot_zenoh.v1.features import ACTION, InferenceMode
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding
from vagus.integrations.lerobot_zenoh.v1.questions import SentQuestion, frame_of, with_plan
from vagus.transport.link import Delivery, Sample

__all__ = ["ServerSession"]

TASK: Final[WirePath] = ("task",)
CLOSE_S: Final = 1.0
"""Longest wait until a server has closed a session; it is told, and does it later."""
MAX_WAITING: Final = 4
"""Messages of the server that wait; more than one answer to one question is not asked for."""
LOOK_S: Final = 0.25
"""Period in which the link is looked at while an answer is waited for."""


class ServerSession:
    """Session at one server. Used on one thread; one question at a time.

    Args:
        line: link to the server.
        head: ids of the session.
        accepted: what the server has accepted.
        encoding: how pictures are sent.
    """

    def __init__(
        self, line: DeploymentLine, head: MessageHead, accepted: AcceptedSession, encoding: PictureEncoding
    ) -> None:
        self.accepted = accepted
        self.head = head
        """Ids of the session, and its generation."""
        self.is_closed = False
        """Whether the server has confirmed that nothing of it is left."""
        self._line = line
        self._encoding = encoding
        self._declared = ExitStack()
        self._arrived: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._lost = ""
        self._has_left = False
        self._transport = line.link.health().generation
        self._sequence = 0
        self._begun_ns = 0
        self._task = ""
        self._task_version = 0

    @property
    def is_open(self) -> bool:
        """Whether the server and the link to it are still those of the opening."""
        health = self._line.link.health()
        return not self._lost and health.is_connected and health.generation == self._transport

    def start(self, end_ns: int) -> None:
        """Listen to the server, show that we are present, and wait until the server listens.

        Raises:
            LinkError: the server refuses, or is not ready in time.
            ProtocolError: an answer that is none.
        """
        link, key = self._line.link, partial(self._line.key, head=self.head)
        for declaration in (
            link.subscribe(key(RemotePlace.ACTION), self._on_action),
            # a server waits for this subscriber, too, before it says that it listens
            link.subscribe(key(RemotePlace.LANGUAGE_RESULT), lambda _: None),
            link.token(key(RemotePlace.CLIENT_ALIVE)),
            link.watch(key(RemotePlace.SERVER_ALIVE, head=replace(self.head, session_id="")), self._on_token),
        ):
            self._declared.callback(declaration.undeclare)
        self._control(ControlOperation.RESET, end_ns)
        heard = partial(link.is_heard, key(RemotePlace.OBSERVATION))
        self._line.await_true(heard, end_ns, "the server does not listen to observations")

    def ask(self, asked: Asked, end_ns: int) -> ForeignReply:
        """Return the answer to one question.

        Raises:
            PolicyError: the question cannot be asked, or the server still computes an earlier one.
            LinkError: the session has failed, the server is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        try:
            question = self._question(asked)
            payload = question.to_wire()
        except ProtocolError as error:
            raise PolicyError(f"this observation cannot be sent: {error}") from error
        while not self._arrived.empty():
            self._arrived.get_nowait()  # whatever it is, nobody waits for it
        key = self._line.key(RemotePlace.OBSERVATION, self.head)
        self._line.link.publish(key, header=b"", payload=payload, delivery=Delivery.OBSERVATION)
        actions: RemoteActions | None = None
        while actions is None:
            actions = question.answered_by(self._next(end_ns))
        model = None if self.accepted.mode is InferenceMode.CHUNK else actions.model_actions
        return ForeignReply({ACTION: actions.canonical_actions}, model=model)

    def reset(self, end_ns: int) -> None:
        """Tell the server that an episode begins; errors as `start`."""
        self.head = replace(self.head, generation=self.head.generation + 1)
        self._control(ControlOperation.RESET, end_ns)

    def leave(self) -> None:
        """Close the session, so that the server takes the next one at once; then listen to it no more."""
        if self._has_left:
            return
        self._has_left = True
        with suppress(LinkError, ProtocolError):
            if self._line.link.is_served(self._line.key(RemotePlace.CONTROL, self.head)):
                self._line.closed(self.head, monotonic_ns() + seconds_to_ns(CLOSE_S))
                self.is_closed = True
        self._declared.close()

    def _question(self, asked: Asked) -> SentQuestion:
        (request, rtc), limits = asked, self.accepted.deployment.limits
        capabilities = self.accepted.deployment.capabilities
        task = str(request.observation.get(TASK, ""))
        if len(task) > limits.max_input_chars:
            raise PolicyError(
                f"instruction: wanted at most {limits.max_input_chars} characters, got {len(task)}"
            )
        frame = frame_of(request.observation, capabilities, self._encoding)
        model, canonical, delay = with_plan(rtc, self.accepted)
        self._sequence += 1
        self._task_version += task != self._task
        self._task = task
        now_ns = monotonic_ns()
        cursor = int((now_ns - self._begun_ns) / NS_PER_S / capabilities.action_interval_s)
        identity = FrameIdentity(
            self.accepted.deployment.artifact_identity, new_id(), now_ns / NS_PER_S, task, self._task_version
        )
        observation = RemoteObservation(
            sequence=self._sequence,
            identity=identity,
            features=frame,
            delay=delay,
            model_continuation=model,
            canonical_continuation=canonical,
            cursor=cursor,
            observation_cursor=cursor if self.accepted.is_aligned else None,
        )
        head = replace(self.head, kind=MessageType.OBSERVATION, request_id=new_id())
        return SentQuestion(head, observation, self.accepted)

    def _control(self, operation: ControlOperation, end_ns: int) -> None:
        head = replace(self.head, kind=MessageType.CONTROL, request_id=new_id())
        self._line.control(head, operation, end_ns)
        self._begun_ns = monotonic_ns()

    def _next(self, end_ns: int) -> bytes:
        """Return the next message of the server."""
        while self.is_open:
            left = seconds_left(end_ns)
            if left <= 0:
                raise QueryTimeoutError("no actions in time")
            with suppress(queue.Empty):
                payload = self._arrived.get(timeout=min(left, LOOK_S))
                if payload is not None:
                    return payload
        raise LinkError(self._lost or "the link to the server was lost")

    def _on_action(self, sample: Sample) -> None:
        """Take a message of the server, on a thread of the link."""
        with suppress(queue.Full):
            self._arrived.put_nowait(sample.payload)

    def _on_token(self, _: str, is_alive: bool) -> None:  # noqa: FBT001 - as the link calls it
        """Notice that the server is gone, on a thread of the link."""
        if not is_alive:
            self._lost = "the server is gone"
            with suppress(queue.Full):
                self._arrived.put_nowait(None)
