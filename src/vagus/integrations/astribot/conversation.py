"""Conversation with one Astribot S1 at the gateway: its session, and its place at a vagus server."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from vagus.errors import ConfigError, ProtocolError, SpecError, StateError, VagusError
from vagus.gateways.neutral import ForeignReply
from vagus.gateways.peer import Peer
from vagus.integrations.astribot.dialect import action_from, chunk_from, request_of
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotCommand,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    Method,
    StatusCode,
)
from vagus.integrations.astribot.session import AstribotSession

__all__ = ["MAX_DETAILS", "AstribotConversation", "failure_of"]

MAX_PIXELS = 1 << 23
"""Most pixels of all pictures of an observation; the robot's three have 1.4 million."""
MAX_DETAILS = 1500
"""Longest text of an error, in characters."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of an observation."""

    reply: ForeignReply
    frame: int
    status: StatusCode = StatusCode.OK


class AstribotConversation:
    """One robot. Any thread may call it; questions are answered one after the other.

    Predict answers with the first action of a chunk that is computed for its observation, as the original
    does: no action of an older chunk is ever given, so none is played on after a reset or a new prompt.

    Args:
        config: what the robot asked for.
        session: what it has configured.
        peer: its place at a server.

    Attributes:
        config: what the robot asked for.
    """

    def __init__(self, config: AstribotPolicyConfig, session: AstribotSession, peer: Peer) -> None:
        self.config = config
        self._session = session
        self._peer = peer
        self._lock = threading.Lock()

    def chunk(self, observation: AstribotObservation) -> AstribotChunk:
        """Return the answer to PredictChunk; why there are no actions is in it."""
        answer = self._answer(observation, Method.PREDICT_CHUNK)
        return chunk_from(answer.reply, frame=answer.frame, status=answer.status)

    def action(self, observation: AstribotObservation) -> AstribotAction:
        """Return the answer to Predict, or to one observation of a stream; why there is none is in it."""
        answer = self._answer(observation, Method.PREDICT)
        return action_from(answer.reply, frame=answer.frame, status=answer.status)

    def control(self, command: AstribotCommand) -> AstribotStatus:
        """Carry out a command.

        Raises:
            VagusError: the server could not be told that an episode begins.
        """
        with self._lock:
            before = self._session.episodes
            status = self._session.control(command)
            begins = self._session.episodes != before
        if begins:
            self._peer.reset()
        return status

    def reset(self, message: str = "reset") -> AstribotStatus:
        """Begin the episode again.

        Raises:
            VagusError: the server could not be told.
        """
        with self._lock:
            status = self._session.reset(message)
        self._peer.reset()
        return status

    def status(self, message: str = "") -> AstribotStatus:
        """Return how the session stands."""
        with self._lock:
            return self._session.status(message)

    def close(self) -> None:
        """End the conversation, and free its place; it waits for a request in progress."""
        self._peer.close()

    def _answer(self, observation: AstribotObservation, method: Method) -> _Answer:
        with self._lock:
            refusal = self._session.refusal_of(observation)
            generation, frame, prompt = self._session.generation, self._session.frame, self._session.prompt
        if refusal is not None:
            return _Answer(ForeignReply(error=refusal.message), frame, refusal.status)
        try:
            request = request_of(observation, method, prompt=prompt, max_pixels=MAX_PIXELS)
            reply = self._peer.infer(request).reply
        except VagusError as error:
            return _Answer(ForeignReply(error=str(error)[:MAX_DETAILS]), frame, failure_of(error))
        with self._lock:
            if generation != self._session.generation:
                stale = StateError("the episode or the prompt has changed while this was computed")
                return _Answer(ForeignReply(error=str(stale)), self._session.frame, failure_of(stale))
            return _Answer(reply, self._session.note_answered())


def failure_of(error: VagusError) -> StatusCode:
    """Return the status of an answer that an error is the reason of."""
    is_theirs = isinstance(error, ProtocolError | SpecError | ConfigError)
    return StatusCode.INVALID_INPUT if is_theirs else StatusCode.ERROR
