"""Conversation of a replay with a server: captured requests go out byte for byte, one after the other.

A request is sent with the payload as it was received. Of its header, only the epoch is new: the server gives
one to each session. Number, episode, capture stamp and schema version are the captured ones.
"""

from __future__ import annotations

import queue
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import msgspec

from vagus.clock import NS_PER_S, MonotonicClock, seconds_to_ns
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import Presence
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, ProtocolError, SessionRefusedError
from vagus.quoting import quoted
from vagus.replay.captures import REPLAY_OF, CapturedRequest, CapturedSession
from vagus.replay.differences import Differences
from vagus.replay.verdict import Comparison, ReplayAnswer, Sameness, compare, read_answer
from vagus.transport.keys import ClientKey, ServerKey
from vagus.transport.link import Delivery, Link, Sample
from vagus.transport.service_name import ServiceName
from vagus.wire.codec import decode, decode_header, encode, encode_header
from vagus.wire.schema import (
    MAX_NOTES,
    SCHEMA_VERSION,
    Ack,
    Capabilities,
    CloseMessage,
    Header,
    Kind,
    OpenMessage,
    ResetAck,
    ResetMessage,
    SessionRequest,
)

__all__ = ["ReplayConversation", "Resending", "open_again"]

SESSION_TIMEOUT_S = 5.0
"""Longest wait for the answer to an open or a reset."""


@dataclass(frozen=True, slots=True)
class Resending:
    """Settings of one replay of captures.

    Attributes:
        service: service to ask; None: the only one on the network.
        name: name of this client at the server.
        tolerance: largest difference that counts as the same, in each action's own unit.
        timeout_s: longest wait for the answer to a request.
        takes_other_model: captures of another model, or of one that nobody knows, are sent too.
        edge: how long a server is waited for.
    """

    service: ServiceName | None
    name: str
    tolerance: float
    timeout_s: float
    takes_other_model: bool = False
    edge: EdgeConfig = field(default_factory=EdgeConfig)


@dataclass(slots=True)
class ReplayConversation:
    """Conversation of a replay with one server; a context manager.

    Attributes:
        link: the network.
        server: the server.
        settings: of the replay.
    """

    link: Link
    server: ServerKey
    settings: Resending
    _samples: queue.SimpleQueue[Sample | None] = field(default_factory=queue.SimpleQueue)
    _stack: ExitStack = field(default_factory=ExitStack)
    _instance: str = field(default_factory=lambda: secrets.token_hex(8))
    _clock: MonotonicClock = field(default_factory=MonotonicClock)

    def __enter__(self) -> ReplayConversation:
        presence = Presence(self.link, Identity(self.settings.name, self._instance), self._samples.put)
        self._stack.callback(presence.leave)
        presence.move_to(self.server)
        self._stack.callback(self.link.watch(self.server.alive, self._note_token).undeclare)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _note_token(self, token: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        del token
        if not is_alive:
            self._samples.put(None)

    def replay(
        self,
        session: CapturedSession,
        live: Capabilities,
        differences: Differences,
        *,
        on_compared: Callable[[Comparison], None],
    ) -> None:
        """Open a session on the captured terms, send its requests in their order, and close it.

        Raises:
            LinkError: the server goes away.
            SessionRefusedError: it refuses these terms.
            ProtocolError: its answers are malformed.
        """
        epoch = self._open(session, live)
        episode: int | None = None
        try:
            for request in session.requests:
                if not request.has_reply:
                    on_compared(Comparison(request.path.name, Sameness.SKIPPED, quoted(request.result)))
                    continue
                if request.header.episode != episode:
                    episode = request.header.episode
                    self._reset(epoch, episode)
                on_compared(self._replay_one(request, epoch, differences))
        finally:
            self._close(epoch)

    def _replay_one(self, request: CapturedRequest, epoch: int, differences: Differences) -> Comparison:
        sample, name = request.load(), request.path.name
        kind = Kind.CHUNK if request.result == "chunk" else Kind.EVENT
        recorded = read_answer(kind, sample.reply)
        header = msgspec.structs.replace(request.header, epoch=epoch)
        self.link.publish(
            self._keys.observation,
            header=encode_header(header),
            payload=sample.payload,
            delivery=Delivery.OBSERVATION,
        )
        live = self._await(header)
        if live is None:
            return Comparison(name, Sameness.UNANSWERED, f"nothing within {self.settings.timeout_s:g} s")
        return compare(name, recorded, live, differences, self.settings.tolerance)

    def _await(self, asked: Header) -> ReplayAnswer | None:
        """Return the answer to a request, or None if none came in time.

        Raises:
            LinkError: the server is gone, or has ended the session.
        """
        deadline_ns = self._clock.now_ns() + seconds_to_ns(self.settings.timeout_s)
        while True:
            left_s = (deadline_ns - self._clock.now_ns()) / NS_PER_S
            try:
                sample = self._samples.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                return None
            if sample is None:
                raise LinkError(f"server {self.server.server} has gone")
            header = decode_header(sample.header)
            if header.epoch != asked.epoch:
                continue
            if (header.seq, header.episode) == (asked.seq, asked.episode):
                return read_answer(header.kind, sample.payload)
            if header.kind is Kind.EVENT and header.seq == 0:
                event = read_answer(header.kind, sample.payload)
                raise LinkError(f"the session is over ({quoted(event.code)}: {quoted(event.message)})")

    # -- session ----------------------------------------------------------------------------------------

    @property
    def _keys(self) -> ClientKey:
        return self.server.client(self.settings.name)

    def _open(self, session: CapturedSession, live: Capabilities) -> int:
        asked = open_again(session, live, instance=self._instance)
        ack = decode(self._ask(self._keys.session, SessionRequest(open=asked)), Ack)
        if not ack.accepted:
            raise SessionRefusedError(quoted(ack.code) or "unknown", quoted(ack.error, 2000))
        return ack.epoch

    def _reset(self, epoch: int, episode: int) -> None:
        ack = decode(self._ask(self._keys.reset, ResetMessage(epoch=epoch, episode=episode)), ResetAck)
        if not ack.applied:
            raise ProtocolError(f"episode {episode} did not begin ({quoted(ack.code)}): {quoted(ack.error)}")

    def _close(self, epoch: int) -> None:
        try:
            self._ask(self._keys.session, SessionRequest(close=CloseMessage(epoch=epoch)))
        except LinkError:
            return  # the server closes it itself once our token is gone

    def _ask(self, key: str, message: SessionRequest | ResetMessage) -> bytes:
        answers = self.link.query(key, encode(message), timeout_s=SESSION_TIMEOUT_S)
        if not answers:
            raise LinkError(f"server {self.server.server} gave no answer")
        return answers[0]


def open_again(session: CapturedSession, live: Capabilities, *, instance: str) -> OpenMessage:
    """Return a request for a session on the terms of a captured one.

    What belongs to the process that asked then is left out: its instance and its host. So is what a session
    in the middle of a plan demands: that model and hash stay. Which other hash is served is the question.
    """
    if session.opening is None:
        return OpenMessage(
            instance=instance,
            robot_type="replay",
            actions=live.actions,
            state=live.state,
            cameras=live.cameras,
            rate_hz=live.rate_hz,
            wants_rtc=live.rtc is not None,
            trust_units=True,
            tags={REPLAY_OF: session.name},
        )
    asked = session.opening.asked
    return msgspec.structs.replace(
        asked,
        instance=instance,
        host_id="",
        policy_type=None,
        model_hash=None,
        tags=dict([(REPLAY_OF, session.name), *asked.tags.items()][:MAX_NOTES]),
        schema_min=SCHEMA_VERSION,
        schema_max=SCHEMA_VERSION,
    )
